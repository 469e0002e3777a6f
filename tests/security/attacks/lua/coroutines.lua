--- a yield across a host function that calls back
-- sees: [false, "attempt to yield from outside a coroutine"]
local answers = {}
Hook.register("BeforeStateWrite", function()
  local ok, e = pcall(coroutine.yield, 1)
  answers = { ok, tostring(e) }
end)
coroutine.wrap(function() State.set("k", 1) end)()
return answers

--- a yield across string.gsub and table.sort
-- sees: [false, false]
local function inside(f) return (coroutine.resume(coroutine.create(f))) end
return {
  inside(function() string.gsub("x", "x", coroutine.yield) end),
  inside(function() table.sort({ 2, 1 }, function() coroutine.yield() end) end),
}

--- a host function as the body of a coroutine
-- sees: ["AccessDenied", "dead"]
local co = coroutine.create(Session.get)
local ok, e = coroutine.resume(co, "x")
return { e.code, coroutine.status(co) }

--- coroutines that resume each other
-- sees: [false, "cannot resume non-suspended coroutine"]
local a, b
a = coroutine.create(function() return coroutine.resume(b) end)
b = coroutine.create(function() return coroutine.resume(a) end)
local _, _, ok, message = coroutine.resume(a)
return { ok, message }

--- coroutines within coroutines to the end of the C stack
-- ends: ScriptError: C stack overflow
local function f() return coroutine.wrap(f)() end
return f()

--- metamethods within metamethods to the end of the C stack
-- ends: ScriptError: C stack overflow
local t = setmetatable({}, { __index = function(t, k) return (string.gsub("x", "x", function() return t[k] end)) end })
return t.x

--- the host called at the end of the C stack
-- ends: ScriptError: C stack overflow
local function deep(n) return (string.gsub("x", "x", function() State.get("k") return deep(n + 1) end)) end
return deep(0)

--- recursion without end
-- ends: ScriptError: stack overflow
local function f() return 1 + f() end
return f()

--- recursion without end through the functions of the sandbox
-- ends: ScriptError: stack overflow
local function f()
  local ok, e = pcall(f)
  error(e, 0)
end
f()

--- source that nests too deep
-- ends: ScriptError: C stack overflow
assert(load("return " .. ("("):rep(1000) .. "1" .. (")"):rep(1000)))

--- a coroutine that is closed while it closes
-- ends: ScriptTimeout
local co
local mt = { __close = function() coroutine.close(coroutine.create(function() end)) while true do end end }
co = coroutine.create(function() local x <close> = setmetatable({}, mt) coroutine.yield() end)
coroutine.resume(co)
coroutine.close(co)

--- a hook that calls what it hooks
-- sees: ["none", 1]
local depth, deepest = 0, 0
local code
Hook.register("BeforeStateWrite", function()
  depth = depth + 1
  deepest = math.max(deepest, depth)
  local ok, e = pcall(State.set, "k", depth)
  if not ok then code = code or e.code end
  depth = depth - 1
end)
State.set("k", 0)
return { code or "none", deepest }

--- hooks that call for each other
-- sees: 8
local depth, deepest, calls = 0, 0, 0
for i = 1, 20 do
  Hook.register("BeforeStateWrite", function()
    calls = calls + 1
    if calls > 100 then return end
    depth = depth + 1
    deepest = math.max(deepest, depth)
    pcall(State.set, "k", depth)
    depth = depth - 1
  end)
end
State.set("k", 0)
return deepest

--- a handler of events that publishes what it handles
-- ends: ScriptTimeout
Event.on("custom.*", function() Event.publish("custom.again", {}) end)
Event.publish("custom.first", {})

--- a hook that is called after its function was given up
-- sees: [true, 0]
local n = 0
local hook = Hook.register("BeforeStateWrite", function() n = n + 1 end)
local unregistered = hook:unregister()
State.set("k", 1)
return { unregistered, n }

--- a coroutine that outlives the call of the hook that made it
-- sees: ["cannot resume dead coroutine", 1]
local co
Hook.register("BeforeStateWrite", function()
  co = coroutine.create(function() return 1 end)
  coroutine.resume(co)
end)
State.set("k", 1)
return { select(2, coroutine.resume(co)), State.get("k") }
