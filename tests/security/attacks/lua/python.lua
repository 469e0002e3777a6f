--- attributes of Python on every function of every global
-- sees: []
local found = {}
for _, name in ipairs { "Session", "Artifact", "State", "Event", "Hook", "Tool", "Workflow", "Replay", "JSON" } do
  for key, f in pairs(_G[name]) do
    for _, attribute in ipairs { "__class__", "__globals__", "__self__", "__func__", "__dict__", "__init__" } do
      local ok, value = pcall(function() return f[attribute] end)
      if ok and value ~= nil then found[#found + 1] = name .. "." .. key .. "." .. attribute end
    end
  end
end
return JSON.array(found)

--- nothing that can be reached is a Python object
-- sees: {"boolean": true, "function": true, "number": true, "string": true, "table": true}
local seen, types = {}, {}
local function walk(v, depth)
  if v == nil or seen[v] or depth > 60 then return end
  seen[v], types[type(v)] = true, true
  if type(v) == "table" then for k, x in next, v do walk(k, depth + 1) walk(x, depth + 1) end end
  local mt = getmetatable(v)
  if mt ~= v then walk(mt, depth + 1) end
end
Hook.register("BeforeStateWrite", function(context) walk(context, 0) end)
Event.on("**", function(event) walk(event, 0) end)
State.set("k", { 1, 2.5, true, JSON.null })
walk(_G, 0)
walk(it, 0)
walk(Session.get(it.mine), 0)
walk(Event.subscribe("x"), 0)
walk(Tool.get("calculator"), 0)
walk(Replay.create_comparator(), 0)
walk(select(2, pcall(Session.get, "x")), 0)
walk(coroutine.running(), 0)
types.thread = nil
return types

--- the lupa module and the registry
-- sees: ["nil", "nil", "nil", "nil", "nil", "nil"]
return { type(python), type(lupa), type(debug), type(package), type(_G.__python), type(_G._PYTHON) }

--- a tool that answers with an object of Python
-- sees: [false, true]
local answer = Tool.invoke("leak", {})
return { answer.success, answer.error ~= nil }

--- an exception of Python as error object
-- sees: ["table", "error", "string", 2]
local ok, e = pcall(Session.get, "x")
local n = 0
for key, value in next, e do
  assert(type(value) == "string", key)
  n = n + 1
end
return { type(e), getmetatable(e), type(tostring(e)), n }

--- a format of Python in a message
-- sees: "ValidationError"
return try(Session.create, { ["{0.__class__.__mro__}"] = "%(x)s {0.__globals__}" })

--- a tool whose name is an attribute of the registry
-- sees: [false, false, false, false]
local answers = {}
for i, name in ipairs { "__class__", "register", "_tools", "send" } do answers[i] = Tool.exists(name) end
return answers

--- an iterator over what the host has returned
-- sees: ["number", "table"]
local rows = Session.list {}
local kinds = {}
for key, value in next, rows do
  if type(key) == "number" then kinds[1], kinds[2] = type(key), type(value) end
end
return kinds

--- iterating, indexing and calling a host function as if it were iterable
-- ends: ScriptError: attempt to index a function value
for _, value in ipairs(Session.get) do print(value) end

--- keywords of Python smuggled as table keys
-- sees: ["ValidationError", "ValidationError", "ValidationError"]
return {
  try(Session.create, { self = 1 }),
  try(Session.list, { ["**"] = 1 }),
  try(Hook.list, { _depth = 1, __class__ = "x" }),
}

--- an agent made with parameters that are names of the host's arguments
-- sees: ["echo", "echo"]
local texts = {}
for i, name in ipairs { "self", "__class__" } do
  texts[i] = Agent.create({ name = "a", model = "echo", [name] = "x" }):invoke("x").text
end
return texts
