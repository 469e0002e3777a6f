--- the metatables of strings, errors, null and functions
-- sees: ["string", "string", "error", false, false]
return {
  getmetatable(""), getmetatable(it.other), getmetatable(select(2, pcall(Session.get, "x"))),
  (pcall(function() getmetatable("").__index.find = nil end)),
  (pcall(function() getmetatable(JSON.null).__index = print end)),
}

--- replacing the metatable of what is protected
-- sees: [false, false]
return {
  (pcall(setmetatable, JSON.null, {})),
  (pcall(setmetatable, select(2, pcall(Session.get, "x")), {})),
}

--- a finalizer
-- ends: ScriptError: a metatable with __gc is not allowed
setmetatable({}, { __gc = function() while true do end end })

--- a finalizer that is added when the metatable is set already
-- sees: 0
local ran, mt = 0, {}
for i = 1, 100 do setmetatable({}, mt) end
mt.__gc = function() ran = ran + 1 end
collectgarbage()
collectgarbage()
return ran

--- a finalizer behind an __index of the metatable
-- sees: 0
local ran = 0
for i = 1, 100 do
  setmetatable({}, setmetatable({}, { __index = { __gc = function() ran = ran + 1 end } }))
end
collectgarbage()
return ran

--- a finalizer at the close of the state
-- sees: 1
local mt = setmetatable({}, { __mode = "k" })
keep = setmetatable({}, mt)
rawset(mt, "__gc", function() while true do end end)
return 1

--- an ephemeron that frees and makes itself
-- ends: ScriptTimeout
local t = setmetatable({}, { __mode = "k" })
while true do
  local k = {}
  t[k] = setmetatable({}, { __index = function() return t[k] end })
end

--- tables that look up each other
-- ends: ScriptError: chain too long
local a, b = setmetatable({}, {}), setmetatable({}, {})
getmetatable(a).__index, getmetatable(b).__index = b, a
return a.x

--- a table that is its own __call
-- only: process
-- ends: ScriptTimeout
local mt = {}
local t = setmetatable({}, mt)
mt.__call = t
return t()

--- metamethods of what goes to the host
-- sees: {"k": 1}
local called = false
local function trap() called = true error("called") end
local t = setmetatable({ k = 1 }, { __pairs = trap, __index = trap, __len = trap, __name = "x", __tostring = trap })
State.set("t", t)
assert(not called)
return State.get("t")

--- hooks of the sandbox's own functions by overwriting globals
-- sees: [1, "set", true]
for _, name in ipairs { "string", "table", "math", "coroutine", "utf8" } do
  for key in pairs(_G[name]) do _G[name][key] = function() error("mine") end end
end
pcall, error, type, next, pairs, select, tostring, rawget, setmetatable = nil, nil, nil, nil, nil, nil, nil, nil, nil
State.set("k", "set")
return { 1, State.get("k"), #it.mine == 36 }

--- tampering with the globals of the next script
-- sees: true
Session.get, State.set, print, JSON.parse = nil, nil, nil, nil
string.rep = function() return "tampered" end
return true
