/// another session by id, row and getter
// sees: ["AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied"]
return [
  attempt(() => Session.get(it.other)), attempt(() => Session.get({ id: it.other })), attempt(() => it.other.name),
  attempt(() => it.other.suspend()), attempt(() => State.get("session:" + it.other, "k")),
]

/// an artifact by its hash, through a session of one's own
// sees: ["ArtifactNotFound", "AccessDenied", "AccessDenied"]
return [
  attempt(Artifact.get, it.mine, { content_hash: it.hash, session_id: it.mine, sequence: it.sequence }),
  attempt(Artifact.get, it.mine, { content_hash: it.hash, session_id: it.other, sequence: it.sequence }),
  attempt(Artifact.getContent, "", it.artifact),
]

/// methods of one session called on another
// sees: ["AccessDenied", "AccessDenied"]
const row = Session.get(it.mine)
row.id = it.other
return [attempt(() => row.suspend()), attempt(() => row.addTag.call({ id: it.other }, "x"))]

/// scopes of the host and of others
// sees: ["AccessDenied", "AccessDenied", "AccessDenied"]
return [attempt(State.get, "global", "k"), attempt(State.set, "user:7", "k", 1), attempt(State.list, "session:" + it.other)]

/// events and hooks of others
// sees: ["AccessDenied", 0, false, 0]
return [
  attempt(Event.subscribe, "**", { session_id: it.other }), Event.query({ correlation_id: it.correlation }).length,
  Hook.unregister(it.hook), Hook.list().length,
]

/// a hook that answers with operations on another session
// sees: ["HookCancelled", true]
Hook.register("BeforeStateWrite", () => ({
  type: "fork", operations: [{ message: "SetVariable", session_id: it.other, name: "k", value: 1 }],
}))
return [attempt(State.set, "k", 1), State.get("k") == null]

/// listings of all sessions
// sees: [1, 1, 0, 0]
return [
  Session.list({ status: "all" }).length, Session.count({}), Session.list({ search: "neighbour" }).length,
  Artifact.query({ text: "secret" }).length,
]

/// what an earlier script has left
// sees: ["undefined", "undefined", "function"]
return [typeof globalThis.left, typeof ({}).left, typeof Session.get]

/// granting oneself a scope, a share, a permission
// sees: ["AccessDenied", "AccessDenied", "AccessDenied"]
return [
  attempt(Session.grantScope, it.mine, "global", "write"), attempt(Session.share, it.other, it.mine, "write"),
  attempt(Artifact.share, "", it.artifact, it.mine, "admin"),
]
