-- The string and utf8 libraries with bounds: native functions where their work is bounded, Lua code where it is not.
local K = ...
local charge, check, kill = K.charge, K.check, K.kill
local shape_for, refine, first_match = K.patterns.shape_for, K.patterns.refine, K.patterns.first_match
local slow_gmatch, slow_gsub = K.patterns.gmatch, K.patterns.gsub
local type, error, tostring, pairs, ipairs, select = type, error, tostring, pairs, ipairs, select
local native = {}
for name, f in pairs(string) do native[name] = f end
local find, match, gmatch, gsub = native.find, native.match, native.gmatch, native.gsub
local sub, rep = native.sub, native.rep

local S = {}

local function start_of(init, size, name)
  if init == nil then return 1 end
  local i = math.tointeger(type(init) == "string" and tonumber(sub(init, 1, 64)) or init)
  if not i then error("bad argument #3 to '" .. name .. "' (number has no integer representation)", 3) end
  if i > 0 then return i end
  if i == 0 then return 1 end
  return i < -size and 1 or size + i + 1
end

-- Plain search in bounded pieces: memchr and memcmp over long runs of the same bytes are quadratic too.
local function plain_find(s, p, init)
  local n, m = #s, #p
  if (n - init + 1.0) * (m / 16 + 4) <= 2e8 then
    charge((n + m) >> 5)
    return find(s, p, init, true)
  end
  local starts = math.max(1, math.floor(1e8 / (m / 16 + 4)))
  while init + m - 1 <= n do
    local from, to = find(sub(s, init, init + starts + m - 2), p, 1, true)
    if from then return from + init - 1, to + init - 1 end
    charge(10000)
    init = init + starts
  end
end

local function text(value, index, name)
  local t = type(value)
  if t == "string" then return value end
  if t == "number" then return tostring(value) end
  error("bad argument #" .. index .. " to '" .. name .. "' (string expected, got " ..
    (value == nil and "no value" or t) .. ")", 3)
end

-- After a native match that may have taken long: pay for it.
local function paid(...)
  charge(100)
  check()
  return ...
end

local SPECIAL = "[%^%$%*%+%?%.%(%[%%%-]"

function S.find(s, p, init, plain)
  s, p = text(s, 1, "find"), text(p, 2, "find")
  local size = #s
  if plain or not find(p, SPECIAL) then
    local from = start_of(init, size, "find")
    if from > size + 1 then return nil end
    return plain_find(s, p, from)
  end
  local shape = shape_for(p, true)
  if size > shape.free then refine(shape) end
  if size <= shape.free then return find(s, p, init) end
  if size <= shape.max then return paid(find(s, p, init)) end
  local from = start_of(init, size, "find")
  if from > size + 1 then return nil end
  local m, start, stop = first_match(s, shape, from)
  if m then return start, stop - 1, m.captures(start, stop, false) end
  return nil
end

function S.match(s, p, init)
  s, p = text(s, 1, "match"), text(p, 2, "match")
  local size, shape = #s, shape_for(p, true)
  if size > shape.free then refine(shape) end
  if size <= shape.free then return match(s, p, init) end
  if size <= shape.max then return paid(match(s, p, init)) end
  local from = start_of(init, size, "match")
  if from > size + 1 then return nil end
  local m, start, stop = first_match(s, shape, from)
  if m then return m.captures(start, stop, true) end
  return nil
end

function S.gmatch(s, p, init)
  s, p = text(s, 1, "gmatch"), text(p, 2, "gmatch")
  local size, shape = #s, shape_for(p, false)
  if size > shape.free then refine(shape) end
  if size <= shape.max then
    local iterate = gmatch(s, p, init)
    if size <= shape.free then return iterate end
    return function() return paid(iterate()) end
  end
  return slow_gmatch(s, shape, start_of(init, size, "gmatch"))
end

function S.gsub(s, p, r, limit)
  s, p = text(s, 1, "gsub"), text(p, 2, "gsub")
  local kind = type(r)
  if kind == "number" then r, kind = tostring(r), "string" end
  if kind ~= "string" and kind ~= "table" and kind ~= "function" then
    error("bad argument #3 to 'gsub' (string/function/table expected, got " ..
      (r == nil and "no value" or kind) .. ")", 2)
  end
  local size, shape = #s, shape_for(p, true)
  if size > shape.free then refine(shape) end
  if size <= shape.free then return gsub(s, p, r, limit) end
  if size <= shape.max then return paid(gsub(s, p, r, limit)) end
  if limit ~= nil then
    limit = math.tointeger(limit) or error("bad argument #4 to 'gsub' (number has no integer representation)", 2)
  end
  return slow_gsub(s, shape, r, limit or math.huge)
end

function S.rep(s, n, sep)
  s = text(s, 1, "rep")
  sep = sep ~= nil and text(sep, 3, "rep") or ""
  local times = math.tointeger(type(n) == "string" and tonumber(sub(n, 1, 64)) or n)
  if not times then return rep(s, n, sep) end -- raises what Lua raises
  if times <= 0 or #s + #sep == 0 then return "" end
  local size = (#s + #sep) * (times + 0.0)
  if size > K.max_bytes then kill("memory") end
  charge(math.floor(size) >> 5)
  return rep(s, times, sep)
end

-- Functions whose cost is linear in their first argument or in what they return.
local function metered(f)
  return function(...)
    local s = ...
    if type(s) == "string" and #s > 256 then charge(#s >> 5) end
    return f(...)
  end
end

for _, name in ipairs({ "upper", "lower", "reverse", "sub", "byte" }) do S[name] = metered(native[name]) end
-- Functions that look at each of many arguments, all of which may be one long string: to read a number out of it, or to
-- measure it. With a few it is no more than the work on one.
local function weigh(name, ...)
  local given, weight = { ... }, 0
  for i = 1, select("#", ...) do
    local value = given[i]
    if type(value) == "string" then weight = weight + #value end
  end
  if weight > K.max_bytes then
    error("bad arguments to '" .. name .. "' (longer than " .. K.max_bytes .. " bytes in sum)", 3)
  end
  charge(weight >> 5)
end

local function weighed(f, name)
  return function(...)
    if select("#", ...) > 4 then weigh(name, ...) end
    return f(...)
  end
end

local function weighed_result(f, name)
  return function(...)
    if select("#", ...) > 4 then weigh(name, ...) end
    local result = f(...)
    if #result > 256 then charge(#result >> 5) end
    return result
  end
end

-- Formats in which much can be asked for without an argument or a byte of result.
local MAX_FORMAT = 65536
local function formatted(f, name)
  return function(format, ...)
    if type(format) == "string" and #format > 64 then
      if #format > MAX_FORMAT then
        error("bad argument #1 to '" .. name .. "' (the format is longer than " .. MAX_FORMAT .. " bytes)", 2)
      end
      charge(#format)
    end
    return f(format, ...)
  end
end

S.format = weighed_result(native.format, "format")
S.char = weighed_result(native.char, "char")
S.pack = formatted(weighed_result(native.pack, "pack"), "pack")
S.packsize = formatted(native.packsize, "packsize")
S.unpack = formatted(function(format, s, ...)
  if type(s) == "string" then charge(#s >> 5) end
  return native.unpack(format, s, ...)
end, "unpack")
S.len = native.len

K.string = S
K.utf8 = {
  char = weighed_result(utf8.char, "char"), charpattern = utf8.charpattern, codes = metered(utf8.codes),
  codepoint = metered(utf8.codepoint), len = metered(utf8.len), offset = metered(utf8.offset),
}
local native_tonumber = tonumber
K.tonumber = metered(native_tonumber)
K.math = {}
for name, value in pairs(math) do K.math[name] = value end
K.math.max, K.math.min = weighed(math.max, "max"), weighed(math.min, "min")

-- The matcher in Lua alone, for the tests that compare it with the native one.
K.pure = {
  find = function(s, p, init)
    if start_of(init, #s, "find") > #s + 1 then return nil end
    local m, start, stop = first_match(s, shape_for(p, true), start_of(init, #s, "find"))
    if m then return start, stop - 1, m.captures(start, stop, false) end
    return nil
  end,
  gmatch = function(s, p) return slow_gmatch(s, shape_for(p, false), 1) end,
  gsub = function(s, p, r, limit) return slow_gsub(s, shape_for(p, true), r, limit or math.huge) end,
}
