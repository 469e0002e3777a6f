-- The table library with bounds.
--
-- The native functions believe `#`, which a metatable (or a crafted table) can make 2^62, and they loop without
-- executing instructions. They are used on plain tables for short ranges; the rest is done in Lua.
local K = ...
local charge = K.charge
local type, error, select, tostring = type, error, select, tostring
local rawmetatable = debug.getmetatable
local native = {}
for name, f in pairs(table) do native[name] = f end
local tointeger = math.tointeger
local T = { pack = native.pack }

local SHORT, LONG_SORT = 5000, 100000

local function plain(t)
  if type(t) ~= "table" then return false end
  local mt = rawmetatable(t)
  return mt == nil or K.marks_array(mt)
end

local function integer(value, index, name)
  local i = tointeger(value)
  if not i then
    error("bad argument #" .. index .. " to '" .. name .. "' (number expected, got " ..
      (type(value) == "number" and "a number without integer representation" or type(value)) .. ")", 3)
  end
  return i
end

local function is_table(t, name)
  if type(t) ~= "table" and not rawmetatable(t) then
    error("bad argument #1 to '" .. name .. "' (table expected, got " .. (t == nil and "no value" or type(t)) .. ")", 3)
  end
end

local function check_list(t, name)
  if type(t) ~= "table" then
    error("bad argument #1 to '" .. name .. "' (table expected, got " .. (t == nil and "no value" or type(t)) .. ")", 3)
  end
end

function T.insert(t, ...)
  local n = select("#", ...)
  if n == 1 and plain(t) then
    t[#t + 1] = (...)
    return
  end
  check_list(t, "insert")
  local size = #t
  if n == 1 then
    t[size + 1] = (...)
    return
  end
  if n ~= 2 then error("wrong number of arguments to 'insert'", 2) end
  local at, value = ...
  at = integer(at, 2, "insert")
  if at < 1 or at > size + 1 then error("bad argument #2 to 'insert' (position out of bounds)", 2) end
  if plain(t) and size - at < SHORT then
    charge(size - at)
    return native.insert(t, at, value)
  end
  for i = size + 1, at + 1, -1 do t[i] = t[i - 1] end
  t[at] = value
end

function T.remove(t, at)
  check_list(t, "remove")
  local size = #t
  if at == nil then
    if size == 0 and plain(t) then return native.remove(t) end
    local value = t[size]
    t[size] = nil
    return value
  end
  at = integer(at, 2, "remove")
  if size + 1 ~= at and (at < 1 or at > size + 1) and not (size == 0 and at == 0) then
    error("bad argument #2 to 'remove' (position out of bounds)", 2)
  end
  if plain(t) and size - at < SHORT then
    if size > at then charge(size - at) end
    return native.remove(t, at)
  end
  local value = t[at]
  while at < size do
    t[at] = t[at + 1]
    at = at + 1
  end
  t[at] = nil
  return value
end

function T.concat(t, separator, from, to)
  check_list(t, "concat")
  from = from == nil and 1 or integer(from, 3, "concat")
  to = to == nil and #t or integer(to, 4, "concat")
  if not plain(t) then
    -- copied by Lua first, so that what the metatable answers is metered
    local copy, n = {}, 0
    for i = from, to do
      n = n + 1
      local value = t[i]
      if type(value) ~= "string" and type(value) ~= "number" then
        error("invalid value (at index " .. i .. ") in table for 'concat'", 2)
      end
      copy[n] = value
    end
    t, from, to = copy, 1, n
  end
  local result = native.concat(t, separator, from, to)
  charge((#result >> 5) + (to >= from and to - from or 0))
  return result
end

function T.unpack(t, from, to)
  from = from == nil and 1 or integer(from, 2, "unpack")
  to = to == nil and #t or integer(to, 3, "unpack")
  if to >= from then
    if to - from < 0 or to - from >= 250000 then error("too many results to unpack", 2) end
    charge(to - from)
  end
  return native.unpack(t, from, to)
end

function T.move(source, from, to, at, target)
  is_table(source, "move")
  if target == nil then target = source else is_table(target, "move") end
  from, to, at = integer(from, 2, "move"), integer(to, 3, "move"), integer(at, 4, "move")
  if to < from then return target end
  if not (from > 0 or to < math.maxinteger + from) then
    error("bad argument #3 to 'move' (too many elements to move)", 2)
  end
  if at > math.maxinteger - (to - from + 1) + 1 then
    error("bad argument #4 to 'move' (destination wrap around)", 2)
  end
  if to - from < SHORT and plain(source) and plain(target) then
    charge(to - from)
    return native.move(source, from, to, at, target)
  end
  if at > to or at <= from or target ~= source then
    for i = 0, to - from do target[at + i] = source[from + i] end
  else
    for i = to - from, 0, -1 do target[at + i] = source[from + i] end
  end
  return target
end

-- Heap sort: in place, no worse than n log n whatever the comparison says, and never out of the range.
local function heap_sort(t, size, less)
  local function sift(root, last)
    local value = t[root]
    while true do
      local child = 2 * root
      if child > last then break end
      if child < last and less(t[child], t[child + 1]) then child = child + 1 end
      local other = t[child]
      if not less(value, other) then break end
      t[root] = other
      root = child
    end
    t[root] = value
  end
  for root = size // 2, 1, -1 do sift(root, size) end
  for last = size, 2, -1 do
    t[1], t[last] = t[last], t[1]
    sift(1, last - 1)
  end
end

local function less_than(a, b) return a < b end

-- The length of the longest string among the elements: comparing strings takes as long as they are, and longer where
-- they hold NULs.
local function longest(t, size)
  local most = 16
  for i = 1, size do
    local value = t[i]
    if type(value) == "string" and #value > most then most = #value end
  end
  return most
end

function T.sort(t, less)
  check_list(t, "sort")
  if less ~= nil and type(less) ~= "function" then
    error("bad argument #2 to 'sort' (function expected, got " .. type(less) .. ")", 2)
  end
  local size = #t
  if size < 2 then return end
  if size >= 0x7fffffff then error("bad argument #1 to 'sort' (array too big)", 2) end
  if plain(t) and size <= LONG_SORT and size * longest(t, size) <= 4e6 then
    charge(size * 8)
    return native.sort(t, less)
  end
  heap_sort(t, size, less or less_than)
end

K.table = T
