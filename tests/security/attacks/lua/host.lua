--- a value larger than the script in a variable
-- ends: ScriptMemoryExceeded
State.set("k", { ("x"):rep(1 << 20), ("x"):rep(3 << 20), ("x"):rep(3 << 20) })
local keep = {}
for i = 1, 100 do keep[i] = State.get("k") end

--- variables that fill the quota
-- ends: ResourceLimitExceeded
for i = 1, 1000 do State.set("k" .. i, ("x"):rep(1 << 20)) end

--- listing more variables than fit
-- ends: ScriptMemoryExceeded
for i = 1, 24 do State.set("k" .. i, ("x"):rep(500000)) end
return State.list()

--- listing messages, events and records again and again
-- ends: ScriptTimeout
for i = 1, 200 do Session.addMessage("", "user", "m" .. i) end
while true do Session.messages("") Session.events("") Session.listVariables("") end

--- searching and querying again and again
-- ends: ScriptTimeout
Artifact.store("", "log", "n", "some words")
while true do Artifact.search("some") Artifact.query { text = "wrods", fuzzy = true } Session.list { search = "x" } end

--- a glob that backtracks
-- sees: 0
Artifact.store("", "log", ("a"):rep(200), "c")
return Artifact.count { name_pattern = ("*a"):rep(60) .. "*b" }

--- a pattern of events that backtracks
-- sees: 0
State.set("k", 1)
return #Event.query { type = ("**.*."):rep(30) .. "x" }

--- a search for a text of a megabyte, fuzzily
-- sees: "ValidationError"
Artifact.store("", "log", "n", ("word "):rep(1000))
return try(Artifact.query, { text = ("wrod "):rep(200000), fuzzy = true })

--- the difference of two texts without a common line
-- ends: ScriptTimeout
local a, b = {}, {}
for i = 1, 30000 do a[i], b[i] = "a" .. i % 7, "b" .. i % 5 .. (i % 3 == 0 and "a" .. i % 7 or "") end
Artifact.store("", "log", "n", table.concat(a, "\n"))
Artifact.store("", "log", "n", table.concat(b, "\n"))
while true do Artifact.diff("", "n", 1, 2) end

--- JSON that is deep
-- ends: ValidationError: levels
return JSON.parse(("["):rep(1e6) .. ("]"):rep(1e6))

--- JSON that is wide
-- ends: ScriptMemoryExceeded
return #JSON.parse("[" .. ("[],"):rep(1e6) .. "[]]")

--- JSON of a table that holds itself
-- ends: ValidationError: itself
local t = {}
t.t = t
return JSON.stringify(t)

--- JSON of a small table that unfolds without end
-- ends: ScriptMemoryExceeded
local t = {}
for i = 1, 60 do t = { t, t } end
return JSON.stringify(t)

--- JSON with a number of a million digits
-- ends: ValidationError: more than 1000 digits
return JSON.parse(("9"):rep(1e6))

--- arithmetic that explodes in the calculator
-- sees: [false, false, false, false, false]
local results = {}
for i, text in ipairs { "9**9**9**9", "factorial(1e9)", ("("):rep(500) .. "1" .. (")"):rep(500), "round(1, 10**9)",
                        "__import__('os').system('id')" } do
  results[i] = Tool.invoke("calculator", { expression = text }).success
end
return results

--- a template that explodes
-- sees: [false, "ValidationError"]
local answer = Tool.invoke("template_engine", { template = ("{{x}}"):rep(10000), variables = { x = ("x"):rep(1e5) } })
return { answer.success, answer.error_code }

--- a template that reads attributes
-- sees: [false, false, false]
local results = {}
for i, name in ipairs { "x.__class__", "x.__class__.__mro__", "__builtins__" } do
  results[i] = Tool.invoke("template_engine", { template = "{{" .. name .. "}}", variables = { x = "y" } }).success
end
return results

--- a path in JSON that explodes
-- sees: [true, false]
local t = {}
for i = 1, 5 do t = { t, t, t, t, t } end
local ok, answer = pcall(Tool.invoke, "json_processor", { input = t, query = "$" .. ("[*]"):rep(300) })
local long = Tool.invoke("json_processor", { input = {}, query = ("[*]"):rep(1e5) })
return { ok and answer.success or answer.code == "ValidationError", long.success }

--- the standard tools in a loop
-- ends: ScriptTimeout
local s = ("x"):rep(1 << 20)
while true do
  Tool.invoke("hash_calculator", { input = s, algorithm = "sha512" })
  Tool.invoke("base64", { input = s })
  Tool.invoke("text_stats", { text = s })
end

--- a workflow of loops in loops
-- ends: ScriptTimeout
local inner = { name = "x", tool = "calculator", input = { expression = "1" } }
local flow = Workflow.loop { steps = { inner }, times = 1000 }
for i = 1, 5 do flow = Workflow.loop { steps = { { name = "n" .. i, workflow = flow } }, times = 1000 } end
return flow:execute()

--- a workflow that is nested without end
-- ends: ValidationError: nested
local flow = Workflow.sequential { { name = "x", tool = "calculator", input = { expression = "1" } } }
for i = 1, 100 do flow = Workflow.sequential { { name = "n" .. i, workflow = flow } } end
return flow:execute()

--- a workflow that unfolds into a billion steps
-- ends: ValidationError
local flow = Workflow.sequential { { name = "x", tool = "calculator", input = { expression = "1" } } }
for i = 1, 9 do
  local steps = {}
  for k = 1, 10 do steps[k] = { name = "n" .. i .. "x" .. k, workflow = flow } end
  flow = Workflow.sequential(steps)
end
return flow:execute()

--- a workflow whose outputs double
-- ends: ScriptMemoryExceeded
local steps = { { name = "s1", tool = "template_engine", input = { template = "{{x}}", variables = { x = ("x"):rep(1e4) } } } }
for i = 2, 40 do
  local last = "{{step:s" .. i - 1 .. ":output}}"
  steps[i] = { name = "s" .. i, tool = "template_engine", input = { template = "{{x}}{{y}}", variables = { x = last, y = last } } }
end
return Workflow.sequential(steps):execute().error_code

--- a comparison of two large values
-- ends: ScriptTimeout
local a, b = {}, {}
for i = 1, 3000 do a[i], b[i] = { i }, { -i } end
local comparator = Replay.create_comparator()
while true do comparator:compare_json(a, b) end

--- a replay of a session that replays itself
-- sees: true
Session.setVariable("", "k", 1)
local result = Session.replay("")
return result.identical

--- schedules that never come, and ones that come always
-- sees: ["ValidationError", "ValidationError", "ValidationError"]
return {
  try(function() Session.replay("", { schedule = Replay.schedules.cron("0 0 31 2 *") }) end),
  try(function() Session.replay("", { schedule = Replay.schedules.interval(0) }) end),
  try(function() Session.replay("", { schedule = Replay.schedules.cron(("*,"):rep(1e5) .. "* * * * *") }) end),
}

--- dates at the end of time
-- sees: [false, false, false]
return {
  (pcall(os.date, "%c", math.maxinteger)), (pcall(os.time, { year = math.maxinteger, month = 1, day = 1 })),
  (pcall(os.date, "%Ez", 0)),
}

--- a schema of a question whose pattern takes for ever
-- ends: ValidationError: look-arounds or back-references
Session.askHuman("", "Which?", { schema = { type = "object", patternProperties = { ["^(?=a)(a+)+$"] = { type = "string" } } } })

--- options by the million
-- ends: ValidationError
local t = {}
for i = 1, 20000 do t["option" .. i] = i end
Session.list(t)

--- numbers that are no numbers
-- sees: ["ValidationError", "ValidationError", "ValidationError", "ValidationError"]
return {
  try(Session.list, { limit = 0 / 0 }), try(Session.list, { limit = -1 }),
  try(Session.list, { offset = math.huge }), try(Event.receive, Event.subscribe("x"), 0 / 0),
}

--- waiting for an event that never comes
-- ends: ScriptTimeout
local s = Event.subscribe("never")
while true do Event.receive(s, 1e12) end

--- an agent that asks itself
-- sees: "ResourceLimitExceeded"
local depth, code = 0, "none"
local agent
agent = Agent.create { name = "me", fn = function(input)
  depth = depth + 1
  if depth > 200 then return "deep" end
  local ok, e = pcall(function() return agent:invoke(input) end)
  if not ok and code == "none" then code = e.code end
  return "x"
end }
agent:invoke("x")
return code

--- an agent of a function that never ends
-- ends: ScriptTimeout
local agent = Agent.create { name = "me", fn = function() while true do end end }
while true do pcall(function() return agent:invoke("x") end) end

--- a composite of composites that doubles
-- ends: ScriptTimeout or ResourceLimitExceeded or ValidationError
local last = Agent.create { name = "a0", model = "echo" }
for i = 1, 30 do last = Agent.createComposite("a" .. i, { last, last }, { order = "parallel" }) end
while true do last:invoke("x") end

--- a step that is a function and never ends
-- ends: ScriptTimeout
Workflow.sequential { steps = { { name = "a", type = "function", ["function"] = function() while true do end end } } }:execute()
while true do end

--- a workflow that runs itself in a step
-- sees: true
local flow, depth = nil, 0
flow = Workflow.sequential { steps = { { name = "a", ["function"] = function()
  depth = depth + 1
  if depth < 100 then return flow:execute().error end
end } } }
local answer = flow:execute()
return depth < 100

--- a while condition that is always true
-- ends: ScriptTimeout
while true do
  Workflow.loop { iterator = { while_condition = function() return true end }, max_iterations = 1000,
                  body = { { name = "a", ["function"] = function() return 1 end } } }:execute()
end

--- a range of billions
-- ends: ScriptTimeout
while true do
  Workflow.loop { iterator = { range = { 1, 1000 } }, body = { { name = "a", ["function"] = function() return 1 end } } }:execute()
end

--- state of agents that grows
-- ends: ScriptMemoryExceeded or ResourceLimitExceeded or ValidationError
local agent = Agent.create { name = "me", model = "echo" }
for i = 1, 1000 do agent:setState { x = ("x"):rep(1000000) .. i, ["k" .. i] = 1 } end
for k = 1, 200 do
  local a = Agent.create { name = "me" .. k, model = "echo" }
  a:setState { x = ("x"):rep(1000000) .. k }
end

--- the host's agents and tools removed
-- sees: [false, true, true]
return { Agent.remove("echo"), #Agent.list() >= 0, Tool.exists("reader") }
