--- another session by id, row, text and metatable
-- sees: ["AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied"]
return {
  try(Session.get, it.other), try(Session.get, { id = it.other }), try(function() return it.other.name end),
  try(function() it.other:suspend() end), try(State.get, "session:" .. it.other .. ":k"),
}

--- another session by spellings of its id
-- sees: []
local reached = {}
for _, id in ipairs {
  it.other:upper(), " " .. it.other, it.other .. "\n", "{" .. it.other .. "}", it.other:gsub("-", ""), it.key,
  it.mine .. "/../" .. it.other, it.other .. "\0",
} do
  local ok, row = pcall(Session.get, id)
  if ok then reached[#reached + 1] = id end
end
return JSON.array(reached)

--- an artifact by its hash, through a session of one's own
-- sees: ["ArtifactNotFound", "AccessDenied", "AccessDenied"]
return {
  try(Artifact.get, it.mine, { content_hash = it.hash, session_id = it.mine, sequence = it.sequence }),
  try(Artifact.get, it.mine, { content_hash = it.hash, session_id = it.other, sequence = it.sequence }),
  try(Artifact.getContent, "", it.artifact),
}

--- an artifact as the parent of one's own
-- sees: ["AccessDenied", 0]
return { try(Artifact.store, "", "log", "n", "c", { parent_artifact = it.artifact }), #Artifact.list() }

--- whether a session or an artifact exists, by the words of the error
-- sees: [true, true]
local function words(f, ...) return (select(2, pcall(f, ...)).message:gsub("%x+%-%x+%-%x+%-%x+%-%x+", "ID"):gsub("%x%x%x%x%x%x+", "HASH")) end
local unknown = "00000000-0000-4000-8000-000000000000"
return {
  words(Session.get, it.other) == words(Session.get, unknown),
  words(Artifact.get, "", it.artifact) == words(Artifact.get, "", (it.artifact:gsub(it.other:gsub("-", "%%-"), unknown))),
}

--- the key of another session
-- sees: ["AccessDenied", "AccessDenied", 0]
return {
  try(Session.getOrCreate, it.key), try(Session.create, { key = it.key }),
  #Session.list { key_prefix = it.key },
}

--- listings and counts of all sessions
-- sees: [1, 1, 0, 0, 0]
return {
  #Session.list { status = "all" }, Session.count {}, #Session.list { search = "neighbour" },
  #Artifact.query { text = "secret" }, Artifact.count { content_hash = it.hash },
}

--- scopes of the host, of users, of agents and of other sessions
-- sees: ["AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied"]
return {
  try(State.get, "global", "k"), try(State.set, "user:7", "k", 1), try(State.list, "agent:x"),
  try(State.get, "custom:../session:" .. it.other, "k"), try(State.clear, "workflow:x"),
  try(State.get, "session:" .. it.other, "k"),
}

--- granting oneself a scope, a share, a permission
-- sees: ["AccessDenied", "AccessDenied", "AccessDenied"]
return {
  try(Session.grantScope, it.mine, "global", "write"), try(Session.share, it.other, it.mine, "write"),
  try(Artifact.share, "", it.artifact, it.mine, "admin"),
}

--- events of all, of another, and of another's correlation
-- sees: ["AccessDenied", 0, 0, null]
local all = Event.subscribe("**")
Tool.invoke("other", {})
return {
  try(Event.subscribe, "**", { session_id = it.other }), #Event.query { correlation_id = it.correlation },
  #Event.timeline(it.correlation), Event.receive(all, 50) or JSON.null,
}

--- an event in another's name
-- sees: ["AccessDenied", "ValidationError", "published"]
return {
  try(Event.publish, "custom.x", {}, { session_id = it.other }), try(Event.publish, "custom.x", {}, { source = "host" }),
  Event.publish("session.completed", {}).origin,
}

--- a hook that answers with operations on another session
-- sees: ["HookCancelled", null]
Hook.register("BeforeStateWrite", function()
  return { type = "fork", operations = { { message = "SetVariable", session_id = it.other, name = "k", value = 1 } } }
end)
return { try(State.set, "k", 1), State.get("k") or JSON.null }

--- a hook that redirects to another session
-- sees: ["AccessDenied", null]
Hook.register("BeforeStateWrite", function() return { type = "redirect", target = it.other } end)
return { try(State.set, "k", 1), State.get("k") or JSON.null }

--- hooks and subscriptions by guessed numbers
-- sees: [false, false, 0, 0]
local closed = 0
for i = 0, 50 do if Event.unsubscribe(i) then closed = closed + 1 end end
return { Hook.unregister(it.hook), Hook.unregister { id = it.hook }, closed, #Hook.list() }

--- answering a question oneself
-- sees: ["AccessDenied", "AccessDenied"]
local approval = Session.askHuman("", "May I?")
return { try(Session.answerApproval, approval, true), try(Session.getApproval, it.approval) }

--- a replay of another, with agents and tools of the host
-- sees: ["AccessDenied", "AccessDenied", "AccessDenied"]
return {
  try(Session.replay, it.other), try(Session.getReplayStatus, it.other), try(Session.stopReplay, it.other),
}

--- a fork of another and a child of another
-- sees: ["AccessDenied", "AccessDenied", "AccessDenied"]
return {
  try(Session.fork, it.other), try(Session.create, { parent = it.other }),
  try(Session.create, { parent_session_id = { id = it.other } }),
}

--- another session through a tool that acts for the caller
-- sees: [false, "AccessDenied"]
local answer = Tool.invoke("reader", { session = it.other })
return { answer.success, answer.error_code }

--- limits that a script sets for its own children
-- sees: ["active", 1]
local child = Session.create { config = { max_operations = 1e9 } }
return { child.status, #Session.children("") }

--- the audit log of another
-- sees: ["AccessDenied", 0]
return { try(Artifact.getAuditLog, it.other), #Artifact.getAuditLog("", it.artifact) }

--- what an earlier script has left in the globals, the strings and the random numbers
-- sees: ["nil", "nil", true]
return { type(left), type(("").left), math.random() ~= math.random() }
