-- Errors as objects, and the way to the host and back: calls of its functions, and its calls of the script's.
local K = ...
local host, check, kill = K.host, K.check, K.kill
local encode, decode, before_host = K.encode, K.decode, K.before_host
local type, error, select, setmetatable, rawget = type, error, select, setmetatable, rawget
local rawmetatable, native_pcall, unpack = debug.getmetatable, pcall, table.unpack

-- Errors ---------------------------------------------------------------------------------------------------------

local error_metatable = { __metatable = "error", __name = "error" }
local function error_text(e)
  local code, message = rawget(e, "code"), rawget(e, "message")
  code = type(code) == "string" and code or "ScriptError"
  if type(message) ~= "string" then return code end
  return code .. ": " .. message
end
error_metatable.__tostring = error_text
function error_metatable.__concat(a, b)
  if rawmetatable(a) == error_metatable then a = error_text(a) end
  if rawmetatable(b) == error_metatable then b = error_text(b) end
  return a .. b
end
function K.new_error(code, message)
  return setmetatable({ code = code, message = message }, error_metatable)
end
local new_error = K.new_error

-- Calls into the host --------------------------------------------------------------------------------------------

local SCALAR = { string = true, number = true, boolean = true, ["nil"] = true }

-- What the host answered: a status, then a plain value, a packed one, or an error's class and message.
local function receive(status, value, message)
  if status == 0 then return value end
  if status == 1 then return decode(value) end
  if status == 2 then error(new_error(value, message), 0) end
  return kill(value)
end
K.receive = receive

-- Functions that the host may call while the script waits for it, by number.
local functions, numbers, last_function, MAX_FUNCTIONS = {}, 0, 0, 1000
local function keep_function(f)
  if numbers >= MAX_FUNCTIONS then
    error(new_error("ResourceLimitExceeded", "a script may give at most " .. MAX_FUNCTIONS .. " functions"), 0)
  end
  numbers, last_function = numbers + 1, last_function + 1
  functions[last_function] = f
  return string.pack(">BBI4", 0xd6, 1, last_function)
end
K.keep_function = keep_function
function K.has_given_functions() return last_function > 0 end

function K.release(number)
  if functions[number] ~= nil then
    functions[number], numbers = nil, numbers - 1
  end
end

-- What a function answered, for the host. Runs code of the script: its error objects describe themselves.
local function answer(ok, value)
  if ok then
    if value == nil then return "ok", nil end
    local encoded
    ok, encoded = K.pcall(encode, value)
    if ok then return "ok", encoded end
    value = encoded
  end
  K.fail_if_killed(value)
  return "error", K.describe(value)
end

-- After this no code of the script runs before the host has answered it.
local function last_check(outer, ...)
  K.leave(outer)
  check()
  return ...
end

local function call_with(f, packed_arguments)
  local arguments = decode(packed_arguments)
  return f(unpack(arguments, 1, #arguments))
end

-- Called by the host in the middle of a call into it. The limits hold in the function as everywhere.
function K.call_back(number, arguments)
  local f = functions[number]
  if not f then return "error", "InvalidOperation", "the function was given up" end
  return last_check(K.enter_main(), answer(native_pcall(call_with, f, arguments)))
end

-- Tables travel packed; bit i of the mask says that argument i is. So do functions, where they are welcome.
local function packed_call(operation, with_functions, n, ...)
  local arguments, mask = { ... }, 0
  for i = 1, n do
    local value = arguments[i]
    if not SCALAR[type(value)] then
      arguments[i] = encode(value, with_functions)
      mask = mask | (1 << (i - 1))
    end
  end
  before_host()
  return receive(host(operation, mask, unpack(arguments, 1, n)))
end

local function bind(operation, with_functions)
  return function(...)
    local n = select("#", ...)
    if n <= 4 then
      local a, b, c, d = ...
      if SCALAR[type(a)] and SCALAR[type(b)] and SCALAR[type(c)] and SCALAR[type(d)] then
        before_host()
        return receive(host(operation, 0, ...))
      end
    elseif n > 16 then
      error(new_error("ValidationError", "too many arguments"), 0)
    end
    return packed_call(operation, with_functions, n, ...)
  end
end
K.bind = bind
