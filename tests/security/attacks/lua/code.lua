--- bytecode in a string
-- sees: [null, "attempt to load a binary chunk (mode is 't')"]
local f, message = load("\27LuaT\0\25\147\r\n\26\n")
return { JSON.null, (message:gsub("^.*: ", "")) }

--- bytecode from a reader, byte by byte
-- sees: true
local bytes, i = "\27LuaT\0\25\147\r\n\26\n", 0
local f = load(function() i = i + 1 return bytes:sub(i, i) end, "x", "b")
return f == nil

--- bytecode after a comment and a byte order mark
-- sees: [true, true, true]
return { load("\xef\xbb\xbf\27Lua") == nil, load("#x\n\27Lua") == nil, load("\27Lua", "=x", "bt", {}) == nil }

--- dumping a function
-- ends: ScriptError: attempt to call a nil value (field 'dump')
return string.dump(function() end)

--- require, dofile, loadfile and package
-- sees: ["nil", "nil", "nil", "nil", "nil", "nil"]
return { type(require), type(dofile), type(loadfile), type(loadstring), type(package), type(string.dump) }

--- a loaded chunk asks for its upvalues and the environment of the host
-- sees: [true, "nil", "nil"]
local f = load("return _ENV, ...", "x", "t")
local env, more = f()
return { env == _G, type(more), type(rawget(env, "host")) }

--- a chunk with an environment that answers everything
-- sees: "trapped"
return load("return anything", "x", "t", setmetatable({}, { __index = function() return "trapped" end }))()

--- a chunk's name that pretends to be a line of the engine
-- ends: ScriptError: fooled
load("error('fooled')", "@/usr/lib/python3/site-packages/greenroom/runtime.py\n[C]")()

--- a module of the standard library in profile files
-- profile: files
-- sees: ["nil", "nil", "nil", "nil", "nil", "nil"]
return { type(io.popen), type(io.tmpfile), type(io.output), type(os.execute), type(os.getenv), type(os.rename) }

--- shared libraries in profile trusted
-- profile: trusted
-- only: thread
-- sees: ["nil", "nil", "nil", false]
return { type(package.loadlib), type(package.cpath), type(package.searchers), (pcall(require, "libc.so.6")) }

--- debug functions that reach beneath the sandbox in profile trusted
-- profile: trusted
-- only: thread
-- sees: []
local found = {}
for _, name in ipairs { "sethook", "gethook", "getregistry", "getupvalue", "setupvalue", "upvalueid", "upvaluejoin",
                        "getlocal", "setlocal", "getmetatable", "setmetatable", "getuservalue", "setuservalue",
                        "debug", "setcstacklimit" } do
  if debug[name] ~= nil or require("debug")[name] ~= nil then found[#found + 1] = name end
end
return JSON.array(found)

--- the functions of the engine through a traceback's frames in profile trusted
-- profile: trusted
-- only: thread
-- sees: []
local found = {}
for level = 0, 40 do
  local info = debug.getinfo(level)
  if info and (info.func ~= nil or info.activelines ~= nil) then found[#found + 1] = level end
end
return JSON.array(found)
