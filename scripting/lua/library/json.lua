-- JSON.parse and JSON.stringify, in Lua so that the script pays for them.
local K = ...
local null, array = K.null, K.array_metatable
local type, error, next, tostring, setmetatable, tonumber = type, error, next, tostring, setmetatable, tonumber
local rawequal = rawequal
local find, byte, sub, char, format, rep = string.find, string.byte, string.sub, string.char, string.format, string.rep
local gsub, concat, math_type, utf8char, utf8len = string.gsub, table.concat, math.type, utf8.char, utf8.len
local sort = K.table.sort
local charge, rawmetatable = K.charge, debug.getmetatable

local MAX_DEPTH = 200
local J = { null = null }

local function fail(code, message)
  error(K.new_error(code, message), 0)
end

function J.is_null(value) return rawequal(value, null) end

function J.array(t)
  if t == nil then t = {} end
  if type(t) ~= "table" then fail("ValidationError", "JSON.array takes a table, not a " .. type(t)) end
  if rawmetatable(t) ~= nil and not K.marks_array(rawmetatable(t)) then
    fail("ValidationError", "JSON.array takes a table without a metatable")
  end
  return setmetatable(t, array)
end

-- Parsing --------------------------------------------------------------------------------------------------------

local ESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
local LITERALS = { t = { "true", true }, f = { "false", false }, n = { "null", null } }

function J.parse(s)
  if type(s) ~= "string" then fail("ValidationError", "JSON.parse takes a string, not a " .. type(s)) end
  local value_at

  local function broken(at, what)
    local line, last = 1, 0
    local from = 1
    while true do
      local newline = find(s, "\n", from, true)
      if not newline or newline >= at then break end
      line, last, from = line + 1, newline, newline + 1
    end
    fail("ValidationError", format("invalid JSON at position %d (line %d, column %d): %s", at, line, at - last, what))
  end

  local function skip(at)
    local _, stop = find(s, "^[ \t\r\n]*", at)
    return stop + 1
  end

  local function hex_at(at)
    local digits = sub(s, at, at + 3)
    if not find(digits, "^%x%x%x%x$") then broken(at, "\\u needs four hexadecimal digits") end
    return tonumber(digits, 16)
  end

  local function string_at(at)
    local start, pieces, n = at, nil, 0
    at = at + 1
    while true do
      local stop = find(s, '["\\%c]', at)
      if not stop then broken(start, "a string without an end") end
      local c = byte(s, stop)
      if c == 34 then
        local tail = sub(s, at, stop - 1)
        charge(#tail >> 5)
        if not pieces then return tail, stop + 1 end
        pieces[n + 1] = tail
        return concat(pieces), stop + 1
      elseif c == 92 then
        pieces = pieces or {}
        pieces[n + 1] = sub(s, at, stop - 1)
        n = n + 2
        local escape = sub(s, stop + 1, stop + 1)
        if escape == "u" then
          local code = hex_at(stop + 2)
          at = stop + 6
          if code >= 0xd800 and code < 0xdc00 and sub(s, at, at + 1) == "\\u" then
            local low = hex_at(at + 2)
            if low >= 0xdc00 and low < 0xe000 then
              code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)
              at = at + 6
            end
          end
          if code >= 0xd800 and code < 0xe000 then broken(stop, "half of a surrogate pair") end
          pieces[n] = utf8char(code)
        else
          pieces[n] = ESCAPES[escape] or broken(stop, "an unknown escape")
          at = stop + 2
        end
      elseif c == 127 then
        pieces = pieces or {}
        pieces[n + 1] = sub(s, at, stop)
        n, at = n + 1, stop + 1
      else
        broken(stop, "a control character in a string")
      end
    end
  end

  local function number_at(at)
    local _, stop = find(s, "^-?%d+", at)
    if not stop then broken(at, "a value was expected") end
    if find(s, "^-?0%d", at) then broken(at, "a number with a leading zero") end
    local integer = true
    local _, fraction = find(s, "^%.%d+", stop + 1)
    if fraction then stop, integer = fraction, false end
    local _, exponent = find(s, "^[eE][+-]?%d+", stop + 1)
    if exponent then stop, integer = exponent, false end
    local text = sub(s, at, stop)
    if #text > 1000 then broken(at, "a number of more than 1000 digits") end
    local value = tonumber(text)
    if integer and math_type(value) == "float" then
      value = K.unsigned_of(text)
      if value == nil then broken(at, "an integer beyond 64 bits; give it as a string") end
    end
    if not integer then value = value * 1.0 end -- not + 0.0, which would lose the sign of -0.0
    return value, stop + 1
  end

  local function array_at(at, depth)
    local t, n = {}, 0
    at = skip(at + 1)
    if byte(s, at) == 93 then return setmetatable(t, array), at + 1 end
    while true do
      n = n + 1
      t[n], at = value_at(at, depth)
      at = skip(at)
      local c = byte(s, at)
      if c == 93 then return setmetatable(t, array), at + 1 end
      if c ~= 44 then broken(at, "',' or ']' was expected") end
      at = skip(at + 1)
    end
  end

  local function object_at(at, depth)
    local t = {}
    at = skip(at + 1)
    if byte(s, at) == 125 then return t, at + 1 end
    while true do
      if byte(s, at) ~= 34 then broken(at, "a key in quotes was expected") end
      local key
      key, at = string_at(at)
      at = skip(at)
      if byte(s, at) ~= 58 then broken(at, "':' was expected") end
      t[key], at = value_at(skip(at + 1), depth)
      at = skip(at)
      local c = byte(s, at)
      if c == 125 then return t, at + 1 end
      if c ~= 44 then broken(at, "',' or '}' was expected") end
      at = skip(at + 1)
    end
  end

  function value_at(at, depth)
    local c = byte(s, at)
    if c == 34 then return string_at(at) end
    if c == 123 or c == 91 then
      if depth >= MAX_DEPTH then broken(at, "nested deeper than " .. MAX_DEPTH .. " levels") end
      if c == 123 then return object_at(at, depth + 1) end
      return array_at(at, depth + 1)
    end
    local literal = c and LITERALS[char(c)]
    if literal then
      local word = literal[1]
      if sub(s, at, at + #word - 1) == word then return literal[2], at + #word end
    end
    if c == nil then broken(at, "the text ended where a value was expected") end
    return number_at(at)
  end

  local value, at = value_at(skip(1), 0)
  at = skip(at)
  if at <= #s then broken(at, "text after the value") end
  return value
end

-- Writing --------------------------------------------------------------------------------------------------------

local QUOTED = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
  ["\t"] = "\\t" }
for b = 0, 31 do
  QUOTED[char(b)] = QUOTED[char(b)] or format("\\u%04x", b)
end

local function number_text(value)
  if math_type(value) == "integer" then return format("%d", value) end
  if value ~= value or value == math.huge or value == -math.huge then
    fail("ValidationError", "JSON has no " .. tostring(value))
  end
  for digits = 15, 17 do
    local text = format("%." .. digits .. "g", value)
    if tonumber(text) == value then
      return find(text, "[.e]") and text or text .. ".0"
    end
  end
end

-- stringify(value [, indent]): indent is a number of spaces; keys are in order.
function J.stringify(root, indent)
  local step = math.tointeger(indent)
  if indent ~= nil and (not step or step < 0 or step > 16) then
    fail("ValidationError", "the indent of JSON.stringify is a number of spaces from 0 to 16")
  end
  local out, n = {}, 0
  local function put(piece)
    n = n + 1
    out[n] = piece
  end
  local function newline(depth)
    if step and step > 0 then put("\n" .. rep(" ", step * depth)) end
  end
  local function put_string(s)
    if not utf8len(s) then fail("ValidationError", "JSON cannot hold a string that is not valid UTF-8") end
    charge(#s >> 4)
    if find(s, '[%c"\\]') then s = gsub(s, '[%c"\\]', QUOTED) end
    put('"' .. s .. '"')
  end
  local function walk(value, depth)
    local t = type(value)
    if t == "string" then
      put_string(value)
    elseif t == "number" then
      put(number_text(value))
    elseif t == "boolean" then
      put(value and "true" or "false")
    elseif t == "nil" or rawequal(value, null) then
      put("null")
    elseif K.unsigned_digits(value) then
      put(K.unsigned_digits(value))
    elseif t ~= "table" then
      fail("ValidationError", "JSON cannot hold a " .. t)
    elseif depth >= MAX_DEPTH then
      fail("ValidationError", "nested deeper than " .. MAX_DEPTH .. " levels, or a table that holds itself")
    else
      local length = K.list_length(value)
      if length then
        put("[")
        for i = 1, length do
          if i > 1 then put(",") end
          newline(depth + 1)
          walk(value[i], depth + 1)
        end
        if length > 0 then newline(depth) end
        put("]")
      else
        local keys, by_text, count = {}, {}, 0
        for key in next, value do
          local text = K.distinct_key(value, key)
          count = count + 1
          keys[count], by_text[text] = text, key
        end
        sort(keys)
        put("{")
        for i = 1, count do
          if i > 1 then put(",") end
          newline(depth + 1)
          put_string(keys[i])
          put(step and step > 0 and ": " or ":")
          walk(value[by_text[keys[i]]], depth + 1)
        end
        if count > 0 then newline(depth) end
        put("}")
      end
    end
  end
  walk(root, 0)
  return concat(out)
end

K.JSON = J
