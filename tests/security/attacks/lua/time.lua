--- a loop behind pcall, a coroutine and a metamethod at once
-- ends: ScriptTimeout
local t = setmetatable({}, { __index = function() while true do end end })
while true do pcall(coroutine.wrap(function() while true do pcall(function() return t.x end) end end)) end

--- a for loop that counts to the end of the integers
-- ends: ScriptTimeout
for i = 1, math.maxinteger do end

--- a for loop over floats that never grows
-- ends: ScriptTimeout
for i = 1, math.huge, 1e-300 do end

--- a to-be-closed variable that loops when the limit has ended the script
-- ends: ScriptTimeout
local x <close> = setmetatable({}, { __close = function() while true do end end })
while true do end

--- a pattern with twenty nested repetitions
-- ends: ScriptTimeout
return (("a"):rep(30)):find(("a*"):rep(20) .. "b")

--- a pattern that looks back on what it has captured
-- ends: ScriptTimeout
return (("ab"):rep(20000)):find("(.-)%1%1b(.-)%2c")

--- frontiers and balances over a long text
-- ends: ScriptTimeout
local s = ("("):rep(200000)
while true do s:find("%b()%f[%w]x") end

--- a callback of gsub that replaces in its turn
-- ends: ScriptTimeout
local function f(depth)
  return (("x"):rep(100):gsub("x", function() return depth > 0 and f(depth - 1) or "x" end))
end
return f(50)

--- sorting by an order that loops
-- ends: ScriptTimeout
table.sort({ 3, 2, 1 }, function() while true do end end)

--- a length that lies to every function of table
-- ends: ScriptTimeout
local t = setmetatable({}, { __len = function() return 1 << 60 end, __newindex = function() end })
for _, f in ipairs { table.unpack, table.sort } do pcall(f, t) end
table.insert(t, 1, 1)

--- compiling source that grows
-- ends: ScriptTimeout
local source = "x = 1 "
while true do
  load(source)
  source = #source < 200000 and source .. source or source
end

--- reading a number out of blanks
-- ends: ScriptTimeout
local s = (" "):rep(1 << 20) .. "1"
while true do tonumber(s) math.tointeger(s) end

--- iterating a table that changes meanwhile
-- ends: ScriptTimeout
local t = { a = 1 }
while true do
  for k in pairs(t) do t[k] = nil t[k .. "x"] = 1 if #k > 50 then t = { a = 1 } end break end
end

--- goto
-- ends: ScriptTimeout
::again::
do local ok = pcall(error) end
goto again

--- formatting and packing for ever
-- ends: ScriptTimeout
while true do
  string.format("%099.99f %q", 1e300, ("\0"):rep(1000))
  string.pack("!16 i16 z s8", 1, "x", ("y"):rep(1000))
end

--- keys that all fall into one place of their table
-- only: process
-- ends: ScriptTimeout
local t = {}
for i = 1, 66000 do t[i * ((1 << 17) - 1)] = i end

--- weak keys that keep each other in a long chain
-- only: process
-- ends: ScriptTimeout
local t, keys = setmetatable({}, { __mode = "k" }), {}
for i = 1, 20000 do keys[i] = {} end
for i = 1, 19999 do t[keys[i]] = keys[i + 1] end
keys = { keys[1] }
while true do collectgarbage() end
