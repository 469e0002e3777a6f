-- Sharing: sessions reach only their own artifacts, until the owner shares one. Every access is in the audit log.
--
--   $ greenroom run lua/sharing.lua

local writer = Session.create { name = "Writer" }
local reviewer = Session.create { name = "Reviewer" }
local draft = Artifact.store(writer, "agent_output", "draft.md", "# A draft\n")

-- Nobody else may read it yet.
local fine, problem = pcall(Artifact.get, reviewer, draft)
print(fine, problem.code, Artifact.checkAccess(reviewer, draft, "read"))
--> false	AccessDenied	false

-- read < write < admin: who may write may also read, and an admin may share further.
local grant = Artifact.share(writer, draft, reviewer, "read")
print(grant.permission, Artifact.getContent(reviewer, draft):match("%a+ %a+"))
--> read	A draft
print(pcall(Artifact.storeVersion, reviewer, draft, "# Mine now\n"))
--> false	AccessDenied: …

-- Who may write stores the next version where the artifact lives: in the writer's session.
Artifact.share(writer, draft, reviewer, "write")
Artifact.storeVersion(reviewer, draft, "# A draft\n\nReviewed.\n")
for _, version in ipairs(Artifact.versions(writer, "draft.md")) do print(version.version, version.size) end
--> 1	10
--> 2	21

-- What has been shared with a session, and with whom an artifact is shared.
print(Artifact.sharedWithMe(reviewer)[1].name, Artifact.getPermissions(writer, draft)[1].session_id == reviewer)
--> draft.md	true

-- A share may end by itself, and it may hold for the children of the other session too.
local guest = Session.create { name = "Guest" }
local child = Session.create { name = "Guest's helper", parent = guest }
Artifact.share(writer, draft, guest, "read", { expires_at = os.time() + 3600, inherit = true })
print(Artifact.checkAccess(child, draft, "read"))
--> true

-- Revoking ends it at once.
print(Artifact.revoke(writer, draft, guest), Artifact.checkAccess(guest, draft, "read"))
--> true	false

-- A whole session can be shared: its messages and variables are then readable, too.
writer:addMessage("assistant", "The draft is ready.")
Session.share(writer, reviewer, "read")
print(Session.messages(writer)[1].content)
--> The draft is ready.

-- The audit log has every attempt across sessions, newest first: granted or not.
local denied = Artifact.getAuditLog(writer, { granted = false })
print(#denied >= 2, denied[#denied].access, denied[#denied].session == reviewer)
--> true	read	true
