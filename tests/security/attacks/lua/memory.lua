--- a string that doubles behind pcall
-- ends: ScriptMemoryExceeded
local s = "x"
while true do pcall(function() s = s .. s end) end

--- a repetition of exabytes
-- ends: ScriptMemoryExceeded
return ("x"):rep(1 << 50)

--- a repetition whose size wraps around
-- ends: ScriptMemoryExceeded
return ("xx"):rep(math.maxinteger)

--- tables in tables in tables
-- ends: ScriptMemoryExceeded
local t = {}
while true do t = { t, {}, {}, {} } end

--- one table with integer keys
-- ends: ScriptMemoryExceeded
local t = {}
for i = 1, 1 << 30 do t[i] = true end

--- one table with keys of text
-- ends: ScriptMemoryExceeded
local t = {}
for i = 1, 1 << 30 do t["key " .. i] = i end

--- closures with upvalues
-- ends: ScriptMemoryExceeded
local keep = {}
while true do
  local a, b, c = 1, 2, 3
  keep[#keep + 1] = function() a, b, c = b, c, a end
end

--- coroutines with deep stacks
-- ends: ScriptMemoryExceeded
local keep = {}
local function deep(n) if n == 0 then coroutine.yield() else deep(n - 1) end return n end
while true do
  keep[#keep + 1] = coroutine.create(deep)
  coroutine.resume(keep[#keep], 150)
end

--- arguments by the hundred thousand
-- ends: ScriptMemoryExceeded
local t = {}
for i = 1, 200000 do t[i] = i end
local function f(...) return { ... }, { ... }, { ... }, f(...) end
return f(table.unpack(t))

--- a replacement that multiplies
-- ends: ScriptMemoryExceeded
local s = "x"
while true do s = s:gsub(".", "%0%0%0%0%0%0%0%0") end

--- concatenating what a metatable lies about
-- ends: ScriptMemoryExceeded
return table.concat(setmetatable({}, { __len = function() return 1 << 40 end, __index = function() return "xxxxxxxx" end }))

--- padding of string.pack
-- ends: ScriptMemoryExceeded
return #string.pack(("!16 Xi16 c1000000"):rep(100), table.unpack(setmetatable({}, { __index = function() return "" end }), 1, 100))

--- a return value of a million tables
-- ends: ScriptMemoryExceeded
local t = {}
for i = 1, 1e6 do t[i] = {} end
return t

--- a return value that is small but unfolds without end
-- ends: ScriptMemoryExceeded
local t = {}
for i = 1, 60 do t = { t, t } end
return t

--- a return value that holds itself
-- ends: ValidationError: itself
local t = {}
t[1] = { t }
return t

--- weak tables that keep what they should not
-- ends: ScriptMemoryExceeded
local weak = setmetatable({}, { __mode = "k" })
local key = {}
while true do
  local next = { ("x"):rep(100), key }
  weak[key], key = next, next
end

--- stopping the collector
-- ends: ScriptError: collectgarbage
collectgarbage("stop")
