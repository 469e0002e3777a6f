// Sharing: sessions reach only their own artifacts, until the owner shares one. Every access is in the audit log.
//
//   $ greenroom run js/sharing.js

const writer = Session.create({ name: "Writer" });
const reviewer = Session.create({ name: "Reviewer" });
const draft = Artifact.store(writer, "agent_output", "draft.md", "# A draft\n");

// Nobody else may read it yet.
function attempt(work) {
  try {
    return work();
  } catch (problem) {
    return problem.code;
  }
}
print(`${attempt(() => Artifact.get(reviewer, draft))} ${Artifact.checkAccess(reviewer, draft, "read")}`);
//> AccessDenied false

// read < write < admin: who may write may also read, and an admin may share further.
const grant = Artifact.share(writer, draft, reviewer, "read");
print(`${grant.permission}: ${Artifact.getContent(reviewer, draft).trim()}`);
//> read: # A draft
print(attempt(() => Artifact.storeVersion(reviewer, draft, "# Mine now\n")));
//> AccessDenied

// Who may write stores the next version where the artifact lives: in the writer's session.
Artifact.share(writer, draft, reviewer, "write");
Artifact.storeVersion(reviewer, draft, "# A draft\n\nReviewed.\n");
for (const version of Artifact.versions(writer, "draft.md")) print(`${version.version} ${version.size}`);
//> 1 10
//> 2 21

// What has been shared with a session, and with whom an artifact is shared.
print(`${Artifact.sharedWithMe(reviewer)[0].name} ${Artifact.getPermissions(writer, draft)[0].session_id === reviewer}`);
//> draft.md true

// A share may end by itself, and it may hold for the children of the other session too.
const guest = Session.create({ name: "Guest" });
const child = Session.create({ name: "Guest's helper", parent: guest });
Artifact.share(writer, draft, guest, "read", { expires_at: Date.now() / 1000 + 3600, inherit: true });
print(Artifact.checkAccess(child, draft, "read"));
//> true

// Revoking ends it at once.
print(`${Artifact.revoke(writer, draft, guest)} ${Artifact.checkAccess(guest, draft, "read")}`);
//> true false

// A whole session can be shared: its messages and variables are then readable, too.
writer.addMessage("assistant", "The draft is ready.");
Session.share(writer, reviewer, "read");
print(Session.messages(writer)[0].content);
//> The draft is ready.

// The audit log has every attempt across sessions, newest first: granted or not.
const denied = Artifact.getAuditLog(writer, { granted: false });
const oldest = denied[denied.length - 1];
print(`${denied.length >= 2} ${oldest.access} ${oldest.session === reviewer}`);
//> true read true
