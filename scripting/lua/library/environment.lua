-- The globals a script sees, and the run itself.
local K = ...
local host, charge = K.host, K.charge
local encode, decode, null = K.encode, K.decode, K.null
local before_host, receive, bind = K.before_host, K.receive, K.bind
local type, error, select, tostring, setmetatable, next = type, error, select, tostring, setmetatable, next
local rawget, pairs, ipairs, native_getmetatable = rawget, pairs, ipairs, getmetatable
local rawmetatable, set_rawmetatable = debug.getmetatable, debug.setmetatable
local native_xpcall = xpcall
local find, match, sub, gsub, upper, lower = string.find, string.match, string.sub, string.gsub, string.upper, string.lower
local concat, unpack, pack = table.concat, table.unpack, table.pack
local collectgarbage = collectgarbage
local native_string_metatable = native_getmetatable("")

local WRITE = 1 -- of the host: a line of output
local FINISH = 2 -- of the host: what is left to do at the end of a script

-- Strings --------------------------------------------------------------------------------------------------------

local ID = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

local COMPONENTS = { session = true, scope = true, tool = true, agent = true, workflow = true }
local function bind_strings(string_library, methods, fields, field, shown, row_of)
  local metatable = native_string_metatable
  metatable.__metatable = "string"
  metatable.__index = function(s, key)
    local value = string_library[key]
    if value ~= nil then return value end
    if #s == 36 and find(s, ID) then
      if key == "id" then return s end
      local method = methods[key]
      if method then return method end
      if fields[key] then
        before_host()
        return receive(host(field, 0, s, key))
      end
      if shown[key] then return row_of(s)[key] end
    elseif (key == "name" or key == "type") and #s < 512 then
      -- the component of a hook's context: "tool:calculator" has the name "calculator"
      local colon = find(s, ":", 1, true)
      local kind = colon and sub(s, 1, colon - 1)
      if kind and COMPONENTS[kind] then return key == "type" and kind or sub(s, colon + 1) end
    end
  end
  -- "10" + 1 reads the number out of the string, however long that is
  for _, event in ipairs({ "__add", "__sub", "__mul", "__mod", "__pow", "__div", "__idiv", "__unm" }) do
    local native = metatable[event]
    metatable[event] = function(a, b)
      if type(a) == "string" and #a > 1000 then a = sub(a, 1, 1) .. "x" end
      if type(b) == "string" and #b > 1000 then b = sub(b, 1, 1) .. "x" end
      return native(a, b)
    end
  end
end

-- Basic functions --------------------------------------------------------------------------------------------------

local array = K.array_metatable

local function safe_setmetatable(t, metatable)
  if type(t) ~= "table" then
    error("bad argument #1 to 'setmetatable' (table expected, got " .. type(t) .. ")", 2)
  end
  if type(metatable) == "table" and rawget(metatable, "__gc") ~= nil then
    -- finalizers run where no limit can reach them
    error("a metatable with __gc is not allowed", 2)
  end
  if K.marks_array(rawmetatable(t)) then set_rawmetatable(t, nil) end
  return setmetatable(t, metatable)
end

local muted = false
local MAX_LINE = (1 << 20) + 16

local function make_print(env)
  return function(...)
    local n = select("#", ...)
    local parts = {}
    local size = 0
    for i = 1, n do
      local part = tostring((select(i, ...)))
      size = size + #part
      if size > MAX_LINE then part = sub(part, 1, MAX_LINE) end
      parts[i] = part
      if size > MAX_LINE then break end
    end
    if muted then
      charge(10)
      return
    end
    local line = concat(parts, "\t") .. "\n"
    before_host()
    charge(20 + (#line >> 5))
    muted = not receive(host(WRITE, 0, line))
  end
end

local function copy(t)
  local c = {}
  for key, value in next, t do c[key] = value end
  return c
end
K.copy = copy

-- In a run that is recorded, the host says what time it is.
local NOW = -1
local function now(kind)
  before_host()
  return receive(host(NOW, 0, kind))
end

local function time_of(...)
  if K.told_time and (...) == nil then return now(0) // 1 | 0 end
  return os.time(...)
end

local function clock_of()
  if K.told_time then return now(1) end
  return os.clock()
end

local function seed_with(...)
  -- without a number, Lua would take the time and an address
  if K.told_time and select("#", ...) == 0 then return math.randomseed(math.random(0)) end
  return math.randomseed(...)
end

local function metered_date(format, ...)
  if type(format) == "string" then
    if #format > 65536 then error("bad argument #1 to 'date' (the format is longer than 65536 bytes)", 2) end
    charge(#format)
  end
  local time = ...
  if time == nil and K.told_time then return os.date(format, time_of()) end
  if type(time) == "string" and #time < 64 then
    local seconds = K.seconds_of(time)
    if seconds then return os.date(format, seconds) end
  end
  return os.date(format, ...)
end

-- Returns the seconds since the epoch of a time as RFC 3339 writes it, so that os.date takes the times of rows.
function K.seconds_of(text)
  local year, month, day, hour, minute, second, zone =
    match(text, "^(%d%d%d%d)-(%d%d)-(%d%d)[Tt ](%d%d):(%d%d):(%d%d)[.%d]*([Zz+-][%d:]*)$")
  if not year then return nil end
  local sign, hours, minutes = match(zone, "^([+-])(%d%d):?(%d%d)$")
  if not sign and zone ~= "Z" and zone ~= "z" then return nil end
  local y, m = year + 0, month + 0
  if m <= 2 then y, m = y - 1, m + 12 end -- days since 1970-03-01 and the like: the year begins in March
  local days = 365 * y + y // 4 - y // 100 + y // 400 + (153 * (m - 3) + 2) // 5 + day - 719469
  local seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
  if sign then seconds = seconds - (sign == "+" and 1 or -1) * (hours * 60 + minutes) * 60 end
  return seconds // 1 | 0
end

local native_tostring = tostring
local function base_environment()
  local env = {
    _VERSION = _VERSION, assert = assert, error = error, getmetatable = native_getmetatable, ipairs = ipairs,
    next = next, pairs = pairs, rawequal = rawequal, rawget = rawget, rawlen = rawlen, rawset = rawset,
    select = select, tostring = native_tostring, type = type,
    tonumber = K.tonumber, setmetatable = safe_setmetatable, pcall = K.pcall, xpcall = K.xpcall,
    collectgarbage = K.safe_collectgarbage,
    string = copy(K.string), table = copy(K.table), utf8 = copy(K.utf8), math = copy(K.math),
    coroutine = copy(K.coroutine), JSON = copy(K.JSON),
    os = { time = time_of, date = metered_date, clock = clock_of, difftime = os.difftime },
  }
  env.math.randomseed = seed_with
  env._G = env
  env.load = K.make_load(env)
  env.print = make_print(env)
  return env
end

-- The run --------------------------------------------------------------------------------------------------------

local env

-- Calls a function that never raises: an input that cannot travel to the host is a failed outcome like any other.
local function softly(call)
  return function(...)
    local ok, outcome = K.pcall(call, ...)
    if ok then return outcome end
    local code, message = K.describe(outcome)
    return { success = false, error = message, error_code = code, duration = 0.0 }
  end
end

-- A name in the other of the two spellings: get_tags for getTags, and the other way round.
local function respelt(name)
  if find(name, "_", 1, true) then return (gsub(name, "_(%l)", upper)) end
  return (gsub(name, "%u", function(letter) return "_" .. lower(letter) end))
end

-- Functions by name, which are found by the other spelling of their names too.
local function spelt(functions, name)
  return setmetatable(functions, { __name = name, __metatable = name, __index = function(known, asked)
    if type(asked) == "string" and #asked < 64 then return rawget(known, respelt(asked)) end
  end })
end
K.spelt = spelt

-- Builds the environment from the layout: see definition/layout.py.
function K.prepare(profile, layout)
  env = base_environment()
  local by_number = {}
  local make
  setmetatable(by_number, { __index = function(_, number) return make(number) end })
  local dress = K.dressers(layout.shapes, by_number)
  function make(number)
    local call = rawget(by_number, number)
    if call then return call end
    call = bind(number, layout.callbacks[number])
    if layout.soft[number] then call = softly(call) end
    local shape = layout.returns[number]
    if shape then
      local plain = call
      call = function(...) return dress[shape](plain(...), ...) end
    end
    by_number[number] = call
    return call
  end
  for name, functions in next, layout.globals do
    local global = env[name] or {}
    env[name] = global
    for path, number in next, functions do
      local space, own = match(path, "^(.-)%.(.+)$")
      if space then
        global[space] = global[space] or {}
        global[space][own] = make(number)
      else
        global[path] = make(number)
      end
    end
    for key, value in next, layout.constants[name] or {} do global[key] = value end
    local finder = layout.finders[name]
    if finder then
      local find_one = make(finder)
      setmetatable(global, { __index = function(_, key) return find_one(key) end, __name = name, __metatable = name })
    elseif name ~= "" and functions then
      spelt(global, name)
    end
  end
  if env.Streaming then K.install_streaming(env.Streaming) end
  local methods, fields = spelt({}, "methods"), {}
  for name, number in next, layout.shapes[layout.ids.shape].methods do methods[name] = make(number) end
  for _, name in next, layout.ids.fields do fields[name] = true end
  local shown = {}
  for _, name in next, layout.ids.shown do shown[name] = true end
  bind_strings(env.string, methods, fields, layout.ids.field, shown, make(layout.ids.row))
  K.env, K.id_methods, K.id_fields = env, methods, fields
  if profile == "trusted" then K.trust(env) end
  if profile == "files" then K.grant_files(env, layout.files) end
end

local MAX_MESSAGE = 4096
local function clipped(text, size)
  if #text <= size then return text end
  return sub(text, 1, size) .. "…"
end

-- An error on its way out: its class, message, line and traceback. May run the error's own metamethods, under
-- the same limits.
local function describe(err)
  local cause, message
  if type(err) == "table" and type(rawget(err, "message")) == "string" and type(rawget(err, "code")) == "string" then
    cause, message = rawget(err, "code"), rawget(err, "message")
  elseif type(err) == "table" and type(rawget(err, "message")) == "string" then
    message = rawget(err, "message")
  elseif type(err) == "string" then
    message = err
  elseif type(err) == "table" and not (type(rawmetatable(err)) == "table" and rawget(rawmetatable(err), "__tostring")) then
    local ok, text = K.pcall(K.JSON.stringify, err)
    message = ok and text or "an error object without a text"
  else
    local ok, text = K.pcall(native_tostring, err)
    message = ok and type(text) == "string" and text or "an error object of type " .. type(err) .. " without a text"
  end
  return cause and clipped(cause, 100), clipped(message, MAX_MESSAGE)
end

K.describe = describe

-- Takes what the script is to run, while there is no limit yet that pushing it could meet.
local source, source_name, packed_arguments
function K.take(text, name, arguments)
  source, source_name, packed_arguments = text, "=" .. name, arguments
end

-- Only functions of the script are left to be called.
local function finish()
  if not K.has_given_functions() then return end
  before_host()
  receive(host(FINISH, 0))
end

K.finish = finish
function K.is_id(text) return #text == 36 and find(text, ID) ~= nil end

-- Runs a script to its end. Returns "ok" and its packed value, or "error", class, message, line and traceback.
function K.main()
  K.place.source = source_name
  local arguments = decode(packed_arguments)
  packed_arguments = nil
  env.arg = { [0] = sub(source_name, 2), unpack(arguments) }
  local chunk, message = K.compile(source, source_name, env)
  if not chunk then
    K.fail_if_killed(message)
    return "error", "SyntaxError", clipped(message, MAX_MESSAGE), nil, nil
  end
  local results = pack(native_xpcall(chunk, K.handler, unpack(arguments)))
  if results[1] and results.n == 2 then results = pack(native_xpcall(K.drained, K.handler, results[2])) end
  if results[1] then
    local fine, problem = native_xpcall(finish, K.handler)
    if not fine then results = pack(false, problem) end
  end
  local line, trace = K.place.line, K.place.traceback
  local ok, value = results[1], results[2]
  if ok then
    if results.n > 2 then
      value = {}
      for i = 2, results.n do value[i - 1] = results[i] == nil and null or results[i] end
      setmetatable(value, array)
    end
    if value == nil then return "ok", nil end
    local encoded
    ok, encoded = native_xpcall(encode, K.handler, value)
    if ok then return "ok", encoded end
    value = encoded
    line, trace = nil, nil
  end
  K.fail_if_killed(value)
  local cause, text = describe(value)
  return "error", cause, text, line, trace and clipped(trace, 16384)
end
