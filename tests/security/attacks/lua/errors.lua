--- an error whose text loops for ever
-- ends: ScriptTimeout
error(setmetatable({}, { __tostring = function() while true do end end }))

--- an error whose text is an error whose text is an error
-- ends: ScriptError: an error object
local mt = {}
mt.__tostring = function() error(setmetatable({}, mt)) end
error(setmetatable({}, mt))

--- an error that answers with another thing than a text
-- ends: ScriptError: an error object
error(setmetatable({}, { __tostring = function() return {} end }))

--- an error that claims to be a denial of the runtime
-- ends: AccessDenied: mine
error { code = "AccessDenied", message = "mine" }

--- an error that claims a class of Python
-- ends: KeyboardInterrupt: mine
error { code = "KeyboardInterrupt", message = "mine" }

--- an error with a message of megabytes
-- ends: Mine: xxxx
error { code = "Mine", message = ("x"):rep(1 << 20) }

--- an error with a message that is code for a terminal
-- ends: ScriptError: gone
error("\27]0;owned\7\27[2Jgone\r", 0)

--- a function, a coroutine and a cycle as errors
-- sees: ["function", "thread", "table"]
local function caught(e) return type(select(2, pcall(error, e))) end
local cycle = {}
cycle.message = cycle
return { caught(print), caught(coroutine.create(print)), caught(cycle) }

--- a handler of xpcall that fails in its turn
-- sees: [false, "error"]
local ok, e = xpcall(error, function() error("again") end)
return { ok, tostring(e):find("again") and "error" or tostring(e) }

--- a memory error that is caught and caused again
-- ends: ScriptMemoryExceeded
local s = ("x"):rep(1 << 20)
while true do pcall(function() local t = {} while true do t[#t + 1] = s .. #t end end) end

--- a timeout that is caught in every coroutine
-- ends: ScriptTimeout
local function again() while true do pcall(coroutine.wrap(again)) end end
again()

--- changing an error object that the host has made
-- sees: ["AccessDenied", "changed"]
local _, first = pcall(Session.get, "x")
first.message = "changed"
local _, second = pcall(Session.get, "x")
return { second.code, second.message == first.message and "shared" or first.message }
