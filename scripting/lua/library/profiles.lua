-- What the profiles add to the environment: files in granted directories, or the full library.
local K = ...
local kill = K.kill
local type, error, select, tostring, setmetatable, next, ipairs = type, error, select, tostring, setmetatable, next, ipairs
local rawmetatable, traceback = debug.getmetatable, debug.traceback
local unpack, pack = table.unpack, table.pack

-- The full library of a trusted script, less what would reach around the limits or end the host's process.
function K.trust(env)
  local files = debug.getregistry()["FILE*"]
  if type(files) == "table" then files.__metatable = "file" end
  K.is_file = io.type
  env.io = K.copy(io)
  for _, name in ipairs({ "getenv", "tmpname", "remove", "rename", "execute", "setlocale" }) do
    env.os[name] = os[name]
  end
  env.os.exit = function(code)
    if code == nil or code == true then code = 0 end
    if code == false then code = 1 end
    K.exit_code = math.tointeger(code)
    if not K.exit_code then error("bad argument #1 to 'exit' (a whole number is needed)", 2) end
    kill("exit")
  end
  local getinfo = debug.getinfo
  env.debug = {
    traceback = function(...)
      local message = ...
      if message ~= nil and type(message) ~= "string" and type(message) ~= "number" then return message end
      return traceback(message, 2)
    end,
    getinfo = function(f, what)
      if type(f) == "number" then f = f + 1 end
      local info = getinfo(f, what or "nSltu")
      if info then info.func, info.activelines = nil, nil end
      return info
    end,
  }
  local function read(path)
    local file, message = io.open(path, "rb")
    if not file then return nil, message end
    local source = file:read((1 << 20) + 1)
    file:close()
    return (source or ""):gsub("^\xef\xbb\xbf", ""):gsub("^#[^\n]*", "")
  end
  env.loadfile = function(path, _, chunk_env)
    local source, message = read(path)
    if not source then return nil, message end
    return K.compile(source, "@" .. path, chunk_env or env)
  end
  env.dofile = function(path)
    local chunk, message = env.loadfile(path)
    if not chunk then error(message, 0) end
    return chunk()
  end
  local loaded = { _G = env }
  for _, name in ipairs({ "string", "table", "utf8", "math", "coroutine", "os", "io", "debug" }) do
    loaded[name] = env[name]
  end
  env.package = {
    path = package.path, config = package.config, loaded = loaded, preload = {}, searchpath = package.searchpath,
  }
  env.require = function(name)
    if loaded[name] ~= nil then return loaded[name] end
    local chunk, where = env.package.preload[name], ":preload:"
    if not chunk then
      local path, message = package.searchpath(name, env.package.path)
      if not path then error("module '" .. tostring(name) .. "' not found:" .. message, 2) end
      where = path
      chunk, message = env.loadfile(path)
      if not chunk then error(message, 0) end
    end
    local value = chunk(name, where)
    if value ~= nil then loaded[name] = value end
    if loaded[name] == nil then loaded[name] = true end
    return loaded[name], where
  end
end

-- Files in granted directories; the host opens, reads and writes them, and keeps them by number.
function K.grant_files(env, operations)
  local call = {}
  for name, operation in next, operations do call[name] = K.bind(operation) end
  local file = { __name = "file", __metatable = "file" }
  file.__index = file
  -- failures of the file system are returned, as io does
  local function attempt(ok, value, ...)
    if ok then return value, ... end
    return nil, tostring(value)
  end
  function file.__tostring(f) return f.number and "file (" .. f.number .. ")" or "file (closed)" end
  function file.close(f)
    call.close(f.number)
    return true
  end
  file.__close = file.close
  local function formats(f, ...)
    local n = select("#", ...)
    if n == 0 then return call.read(f.number, "l") end
    local values = {}
    for i = 1, n do
      local what = select(i, ...)
      if type(what) == "string" then what = what:gsub("^%*", "") end
      values[i] = call.read(f.number, what)
      if values[i] == nil then return unpack(values, 1, i) end
    end
    return unpack(values, 1, n)
  end
  file.read = formats
  function file.lines(f, ...)
    local wanted = pack(...)
    return function() return formats(f, unpack(wanted, 1, wanted.n)) end
  end
  function file.write(f, ...)
    for i = 1, select("#", ...) do
      local value = select(i, ...)
      if type(value) ~= "string" and type(value) ~= "number" then
        error("bad argument #" .. i .. " to 'write' (string expected, got " .. type(value) .. ")", 2)
      end
      call.write(f.number, tostring(value))
    end
    return f
  end
  function file.seek(f, whence, offset) return call.seek(f.number, whence or "cur", offset or 0) end
  function file.flush(f)
    call.flush(f.number)
    return f
  end
  env.io = {
    open = function(path, mode)
      local number, message = attempt(K.pcall(call.open, path, mode or "r"))
      if not number then return nil, message end
      return setmetatable({ number = number }, file)
    end,
    lines = function(path, ...)
      local f, message = env.io.open(path)
      if not f then error(message, 2) end
      return f:lines(...)
    end,
    type = function(f) return rawmetatable(f) == file and "file" or nil end,
  }
  env.os.remove = function(path) return attempt(K.pcall(call.remove, path)) end
end
