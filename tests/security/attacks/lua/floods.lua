--- lines of output
-- ends: ScriptTimeout
while true do print(("x"):rep(1000)) end

--- one line of output of megabytes
-- sees: 1
print(("x"):rep(3 << 20))
return 1

--- sessions
-- ends: ScriptTimeout
while true do Session.create { name = "flood" } end

--- sessions within sessions
-- ends: AccessDenied: nor a descendant
local parent = it.mine
while true do parent = Session.create { parent = parent } end

--- artifacts
-- ends: ResourceLimitExceeded: max_artifacts
local items = {}
for i = 1, 500 do items[i] = { type = "log", name = "n" .. i, content = "c" .. i } end
while true do Artifact.storeMany("", items) end

--- bytes of artifacts
-- ends: ResourceLimitExceeded: max_storage_bytes
local s = ("x"):rep(1 << 20)
for i = 1, 1e6 do Artifact.store("", "log", "n", s .. i) end

--- hooks
-- ends: ResourceLimitExceeded: 100 hooks
while true do Hook.register("BeforeStateWrite", function() end) end

--- subscriptions
-- ends: ResourceLimitExceeded: 64 subscriptions
while true do Event.subscribe("**") end

--- handlers of events
-- ends: ResourceLimitExceeded: 64 subscriptions
while true do Event.on("**", function() end) end

--- functions that are given to the host and refused
-- sees: "ValidationError"
local code
for i = 1, 600 do code = try(Hook.register, "NoSuchPoint", function() end) end
return code

--- agents
-- ends: ResourceLimitExceeded: 1000 agents
while true do Agent.create { model = "echo" } end

--- agents that keep megabytes
-- ends: ResourceLimitExceeded: agents of a script may take 16777216 bytes
for i = 1, 1000 do Agent.create { model = "echo", system_prompt = ("x"):rep(1000000) .. i } end

--- workflows that keep megabytes
-- ends: ResourceLimitExceeded: workflows of a script may take 16777216 bytes
for i = 1, 1000 do
  Workflow.sequential { { name = "x", tool = "calculator", input = { expression = ("x"):rep(1 << 20) .. i } } }
end

--- queues of many subscriptions
-- sees: true
for i = 1, 64 do Event.subscribe("custom.q" .. i) end
Session.setCurrent(nil)
local x = ("x"):rep(30000)
for round = 1, 8 do for i = 1, 64 do pcall(Event.publish, "custom.q" .. i, { x = x .. i .. round }) end end
return true

--- workflows
-- ends: ResourceLimitExceeded: 1000 workflows
local keep = {}
while true do keep[#keep + 1] = Workflow.sequential { { name = "x", tool = "calculator", input = {} } } end

--- schedules of replays
-- ends: ResourceLimitExceeded: this session has 10 schedules
State.set("k", 1)
while true do Session.replay("", { schedule = Replay.schedules.interval(3600) }) end

--- a schedule that keeps megabytes
-- ends: ResourceLimitExceeded: at most 262144 bytes
local change = Replay.create_modification("variables.k", ("x"):rep(1 << 20))
Session.replay("", { mode = "modified", modifications = { change }, schedule = Replay.schedules.interval(3600) })

--- schedules of replays that never pause
-- sees: true
for i = 1, 5 do Session.replay("", { schedule = Replay.schedules.interval(0.01) }) end
Event.receive(Event.subscribe("never"), 60)
return Session.getReplayStatus("").schedules[1].active

--- events
-- ends: ScriptTimeout
while true do Event.publish("custom.flood", { n = 1 }) end

--- events that wait in a subscription
-- ends: ScriptTimeout
local s = Event.subscribe("**")
while true do Event.publish("custom.flood", { x = ("x"):rep(60000) }) end

--- messages
-- ends: ScriptTimeout
while true do Session.addMessage("", "user", ("x"):rep(1000)) end

--- tags and metadata
-- ends: ValidationError
for i = 1, 1e6 do Session.addTag("", "tag " .. i) end

--- questions to people
-- ends: ResourceLimitExceeded or ScriptTimeout
while true do Session.askHuman("", "May I?") end

--- denials in the audit log
-- ends: ScriptTimeout
while true do pcall(Session.get, it.other) end

--- records
-- ends: ResourceLimitExceeded: max_record
for i = 1, 1e6 do Session.putRecord("", "k" .. i, ("x"):rep(60000)) end

--- forks
-- ends: ScriptTimeout
while true do Session.fork("") end
