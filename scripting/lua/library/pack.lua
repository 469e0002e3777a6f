-- Values over the border, as MessagePack: no table of the script is ever seen by the host, and no object of the
-- host is ever in the script. Both sides of the conversion are paid from the script's own limits.
local K = ...
local charge = K.charge
local type, error, next, tostring, tonumber = type, error, next, tostring, tonumber
local rawlen, rawget, rawequal, setmetatable = rawlen, rawget, rawequal, setmetatable
local spack, sunpack, byte, sub, format = string.pack, string.unpack, string.byte, string.sub, string.format
local math_type, concat, utf8len = math.type, table.concat, utf8.len
local rawmetatable, set_rawmetatable = debug.getmetatable, debug.setmetatable

local MAX_DEPTH, MAX_NODES, MAX_BYTES = 100, 1000000, 32 << 20

-- JSON.null and the mark of arrays, which keeps an empty list apart from an empty object.
local null = setmetatable({}, {
  __tostring = function() return "null" end,
  __newindex = function() error("JSON.null cannot be changed", 2) end,
  __metatable = "null",
})
local array = { __metatable = "array" }
K.null, K.array_metatable = null, array

-- Pages of a listing: arrays that also have fields, which neither `pairs` nor the host sees. `lazy` has functions that
-- make a field when it is read for the first time.
local listings = setmetatable({}, { __mode = "k" })
function K.listing(rows, fields, lazy)
  local metatable = { __name = "listing", __metatable = "array" }
  function metatable.__index(_, key)
    if fields[key] == nil and lazy[key] ~= nil then fields[key] = lazy[key]() end
    return fields[key]
  end
  listings[metatable] = true
  return set_rawmetatable(rows, metatable)
end

-- Whether this is the metatable of arrays, or of a listing.
local function marks_array(metatable)
  return metatable == array or metatable ~= nil and listings[metatable] or false
end
K.marks_array = marks_array

-- Integers from 2^63 to 2^64-1, which Lua has none of: values that say their digits and go back unchanged. Their bits
-- stand in a table of our own, so no script can make one, or change one.
local unsigned = setmetatable({}, { __mode = "k" })
local function digits(value)
  local bits = unsigned[value]
  local tens = (bits >> 1) // 5
  return format("%d%d", tens, bits - tens * 10)
end
local unsigned_metatable = {
  __name = "integer",
  __tostring = digits,
  __concat = function(a, b) return (unsigned[a] and digits(a) or a) .. (unsigned[b] and digits(b) or b) end,
  __eq = function(a, b) return unsigned[a] == unsigned[b] end,
  __newindex = function() error("an integer cannot be changed", 2) end,
  __metatable = "integer",
}
local function new_unsigned(bits)
  local value = setmetatable({}, unsigned_metatable)
  unsigned[value] = bits
  return value
end
-- Such an integer from its digits; nil for digits that stand for any other number.
function K.unsigned_of(text)
  if byte(text) == 45 or #text < 19 or #text > 20 then return nil end
  if #text == 20 and text > "18446744073709551615" or #text == 19 and text < "9223372036854775808" then return nil end
  local bits = 0
  for at = 1, #text do bits = bits * 10 + byte(text, at) - 48 end
  return new_unsigned(bits)
end

-- The digits of such an integer; nil for anything else.
function K.unsigned_digits(value)
  return unsigned[value] and digits(value)
end

local function refuse(message)
  error(K.new_error("ValidationError", message), 0)
end

-- The length of a table that is a list; nil for an object. The metatable is not asked.
local function list_length(t)
  local size = rawlen(t)
  if size == 0 then
    if next(t) == nil and marks_array(rawmetatable(t)) then return 0 end
    return nil
  end
  local n = 0
  for key in next, t do
    if math_type(key) ~= "integer" or key < 1 or key > size then return nil end
    n = n + 1
  end
  return n == size and n or nil
end
K.list_length = list_length

local function key_text(key)
  local t = type(key)
  if t == "string" then return key end
  if math_type(key) == "integer" then return format("%d", key) end
  if t == "number" then
    local text = format("%.14g", key)
    return tonumber(text) == key and text or format("%.17g", key)
  end
  refuse("a table key must be a string or a number, not a " .. t)
end

-- The text of a key of a table; refuses one that would fall together with another key.
local function distinct_key(t, key)
  local text = key_text(key)
  if text ~= key and rawget(t, text) ~= nil then
    refuse("the keys " .. text .. " and \"" .. text .. "\" of a table would become one")
  end
  return text
end
K.distinct_key = distinct_key

local function encode_string(s)
  local n = #s
  if utf8len(s) then
    if n < 32 then return spack("Bc" .. n, 0xa0 + n, s) end
    return spack(">Bs4", 0xdb, s)
  end
  return spack(">Bs4", 0xc6, s)
end

-- Functions may stand anywhere in a value `with_functions`: they travel by their numbers, as an extension type, which no
-- table can imitate.
local function encode(root, with_functions)
  local out, n, size, nodes = {}, 0, 0, 0
  local functions, places, found = {}, {}, 0
  local function put(piece)
    n, size = n + 1, size + #piece
    if size > MAX_BYTES then refuse("the value is larger than " .. MAX_BYTES .. " bytes") end
    out[n] = piece
  end
  local function walk(value, depth)
    nodes = nodes + 1
    if nodes > MAX_NODES then refuse("the value has more than " .. MAX_NODES .. " parts") end
    local t = type(value)
    if t == "string" then
      charge(#value >> 5)
      put(encode_string(value))
    elseif t == "number" then
      if math_type(value) == "float" then
        put(spack(">Bd", 0xcb, value))
      elseif value >= 0 and value < 128 then
        put(spack("B", value))
      else
        put(spack(">Bi8", 0xd3, value))
      end
    elseif t == "boolean" then
      put(value and "\xc3" or "\xc2")
    elseif t == "nil" or rawequal(value, null) then
      put("\xc0")
    elseif unsigned[value] then
      put(spack(">Bi8", 0xcf, unsigned[value]))
    elseif t == "table" then
      if depth >= MAX_DEPTH then
        refuse("the value is nested deeper than " .. MAX_DEPTH .. " levels, or holds itself")
      end
      local length = list_length(value)
      if length then
        put(spack(">BI4", 0xdd, length))
        for i = 1, length do walk(value[i], depth + 1) end
      else
        local count, kept = 0, K.hidden[value]
        for _ in next, value do count = count + 1 end
        if kept then
          for key in next, kept do
            if rawget(value, key) == nil then count = count + 1 end
          end
        end
        put(spack(">BI4", 0xdf, count))
        for key, item in next, value do
          local text = distinct_key(value, key)
          if not utf8len(text) then refuse("a table key is not valid UTF-8") end
          put(encode_string(text))
          walk(item, depth + 1)
        end
        if kept then
          for key, item in next, kept do
            if rawget(value, key) == nil then
              put(encode_string(key))
              walk(item, depth + 1)
            end
          end
        end
      end
    elseif t == "function" and with_functions then
      put("\xd6\x01\0\0\0\0")
      found = found + 1
      functions[found], places[found] = value, n
    else
      refuse("a " .. t .. " cannot leave the script: only nil, booleans, numbers, strings and tables can")
    end
  end
  walk(root, 0)
  for i = 1, found do out[places[i]] = K.keep_function(functions[i]) end
  return concat(out)
end

local decode_at
local function decode_list(s, at, n)
  local t = {}
  for i = 1, n do t[i], at = decode_at(s, at) end
  return setmetatable(t, array), at
end

local function decode_map(s, at, n)
  local t = {}
  for _ = 1, n do
    local key
    key, at = decode_at(s, at)
    t[key], at = decode_at(s, at)
  end
  return t, at
end

local readers = {
  [0xc0] = function(_, at) return null, at end,
  [0xc2] = function(_, at) return false, at end,
  [0xc3] = function(_, at) return true, at end,
  [0xdc] = function(s, at) return decode_list(s, at + 2, (sunpack(">I2", s, at))) end,
  [0xdd] = function(s, at) return decode_list(s, at + 4, (sunpack(">I4", s, at))) end,
  [0xde] = function(s, at) return decode_map(s, at + 2, (sunpack(">I2", s, at))) end,
  [0xdf] = function(s, at) return decode_map(s, at + 4, (sunpack(">I4", s, at))) end,
}
for tag, form in next, {
  [0xc4] = ">s1", [0xc5] = ">s2", [0xc6] = ">s4", [0xca] = ">f", [0xcb] = ">d", [0xcc] = ">I1", [0xcd] = ">I2",
  [0xce] = ">I4", [0xcf] = ">I8", [0xd0] = ">i1", [0xd1] = ">i2", [0xd2] = ">i4", [0xd3] = ">i8",
  [0xd9] = ">s1", [0xda] = ">s2", [0xdb] = ">s4",
} do
  readers[tag] = function(s, at) return sunpack(form, s, at) end
end

readers[0xcf] = function(s, at)
  local bits, stop = sunpack(">i8", s, at)
  if bits >= 0 then return bits, stop end
  return new_unsigned(bits), stop
end

function decode_at(s, at)
  local tag = byte(s, at)
  if tag < 0x80 then return tag, at + 1 end
  if tag < 0x90 then return decode_map(s, at + 1, tag - 0x80) end
  if tag < 0xa0 then return decode_list(s, at + 1, tag - 0x90) end
  if tag < 0xc0 then
    local stop = at + tag - 0xa0
    return sub(s, at + 1, stop), stop + 1
  end
  if tag >= 0xe0 then return tag - 256, at + 1 end
  return readers[tag](s, at + 1)
end

K.encode = encode
K.decode = function(s) return (decode_at(s, 1)) end
