--- io and os in the sandbox
-- sees: ["nil", "nil", "nil", "nil", "nil", "nil", "nil"]
return { type(io), type(os.execute), type(os.exit), type(os.remove), type(os.rename), type(os.tmpname), type(os.getenv) }

--- functions on files in the sandbox
-- sees: ["AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", false]
Artifact.store("", "log", "n", "c")
return {
  try(Artifact.storeFile, "", it.secret), try(Artifact.saveToFile, "", "n", it.dir .. "/x"),
  try(Session.export, it.mine, it.dir .. "/x"), try(Session["import"], it.bundle),
  Tool.invoke("file_operations", { operation = "read", path = it.secret }).success,
}

--- the file tool of the host through an agent, a workflow and a hook
-- sees: ["ValidationError", false, true]
Hook.register("BeforeStateWrite", function()
  return { type = "fork", operations = { { message = "CallTool", name = "file_operations",
           input = { operation = "write", path = it.outside .. "/x", input = "x" } } } }
end)
pcall(State.set, "k", 1)
return {
  try(Agent.create, { model = "echo", tools = { "file_operations" } }),
  Workflow.sequential { { name = "a", tool = "file_operations", input = { operation = "read", path = it.secret } } }
    :execute().success,
  not Tool.exists("file_operations"),
}

--- a path out of the directory, in every function
-- profile: files
-- sees: ["AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", false]
local path = it.dir .. "/../outside/secret.txt"
Artifact.store("", "log", "n", "c")
return {
  try(function() assert(io.open(path)) end):match("AccessDenied"),
  try(function() assert(os.remove(path)) end):match("AccessDenied"),
  try(Artifact.storeFile, "", path), try(Artifact.saveToFile, "", "n", path), try(Session.export, it.mine, path),
  Tool.invoke("file_operations", { operation = "read", path = path }).success,
}

--- spellings of a path out of the directory
-- profile: files
-- sees: []
local open = {}
for _, path in ipairs {
  it.dir .. "/./.././outside/secret.txt", it.dir .. "//../outside//secret.txt", it.dir .. "/sub/../../outside/secret.txt",
  it.dir .. "/nothing/../../outside/secret.txt", it.dir .. "/own.txt/../../outside/secret.txt", it.dir .. "x/../outside/secret.txt",
  "../outside/secret.txt", "~/secret.txt", "file://" .. it.secret, it.secret .. "/", it.secret .. "/.", "/proc/self/cwd/x",
  "/proc/self/root" .. it.secret, "/dev/fd/0", it.dir .. "/\xe2\x80\xa5/outside/secret.txt", it.dir .. "/..\\outside\\secret.txt",
} do
  local f = io.open(path)
  if f then open[#open + 1] = path end
end
return JSON.array(open)

--- a path with a NUL, an empty one, one of megabytes, a table
-- profile: files
-- sees: ["ValidationError", "ValidationError", true, "ValidationError", "ValidationError"]
local function why(path) return (select(2, io.open(path)) or "open"):match("^%w+") end
local long = why(it.dir .. "/" .. ("x"):rep(1 << 20))
return { why(it.dir .. "/own.txt\0.lua"), why(""), long == "StorageError" or long == "AccessDenied", why({}), why(nil) }

--- symbolic links out of the directory
-- profile: files
-- sees: ["AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied"]
local function why(path, mode) return (select(2, io.open(path, mode)) or "open"):match("^%w+") end
Artifact.store("", "log", "n", "c")
return {
  why(it.dir .. "/link"), why(it.dir .. "/link", "w"), why(it.dir .. "/folder/secret.txt"),
  why(it.dir .. "/dangling", "w"), try(Artifact.saveToFile, "", "n", it.dir .. "/dangling"),
}

--- a hard link to a file outside
-- profile: files
-- sees: ["AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied"]
local function why(path, mode) return (select(2, io.open(path, mode)) or "open"):match("^%w+") end
Artifact.store("", "log", "n", "c")
return {
  why(it.dir .. "/hard"), why(it.dir .. "/hard", "w"), why(it.dir .. "/hard", "a"), why(it.dir .. "/hard", "r+"),
  try(Artifact.storeFile, "", it.dir .. "/hard"), try(Artifact.saveToFile, "", "n", it.dir .. "/hard"),
  Tool.invoke("file_operations", { operation = "append", path = it.dir .. "/hard", input = "x" }).error_code,
}

--- links that lead to each other
-- profile: files
-- sees: [null, true]
local f, message = io.open(it.dir .. "/circle")
return { JSON.null, f == nil and message:match("^%w+") ~= nil }

--- a file that is swapped for a link between two calls
-- profile: files
-- sees: ["AccessDenied", "own"]
local f = io.open(it.dir .. "/own.txt")
local first = f:read("a")
Tool.invoke("swap", {})
local second = select(2, io.open(it.dir .. "/own.txt")) or "open"
return { second:match("^%w+"), first }

--- a FIFO, a socket, a directory and a device
-- profile: files
-- sees: ["StorageError", "StorageError", "StorageError", "AccessDenied"]
local function why(path) return (select(2, io.open(path)) or "open"):match("^%w+") end
return { why(it.dir .. "/pipe"), why(it.dir .. "/socket"), why(it.dir), why("/dev/zero") }

--- a FIFO and a directory in the functions that take files
-- profile: files
-- sees: ["StorageError", "StorageError", "StorageError", "StorageError", false]
Artifact.store("", "log", "n", "c")
return {
  try(Artifact.storeFile, "", it.dir .. "/pipe"), try(Artifact.storeFile, "", it.dir),
  try(Artifact.saveToFile, "", "n", it.dir), try(Session.export, it.mine, it.dir),
  Tool.invoke("file_operations", { operation = "read", path = it.dir .. "/pipe" }).success,
}

--- files of the process under /proc
-- profile: files
-- sees: ["AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied"]
local found = {}
for i, path in ipairs { "/proc/self/mem", "/proc/self/environ", "/proc/self/maps", "/proc/self/fd/0" } do
  found[i] = (select(2, io.open(path)) or "open"):match("^%w+")
end
return found

--- files of the process through a link to /proc
-- profile: files
-- sees: []
local open = {}
for _, path in ipairs { "/proc/mem", "/proc/environ", "/proc/root/etc/passwd" } do
  local f = io.open(it.dir .. path)
  if f then open[#open + 1] = path end
end
return JSON.array(open)

--- a sparse file of a gibibyte read at once
-- profile: files
-- sees: ["StorageError", "StorageError"]
local f = io.open(it.dir .. "/zeros")
local message = try(f.read, f, "a")
f:close()
local answer = Tool.invoke("file_operations", { operation = "read", path = it.dir .. "/zeros" })
return { message, answer.error_code or "read" }

--- a gibibyte of zeros line by line
-- profile: files
-- ends: ScriptMemoryExceeded
local keep = {}
for line in io.lines(it.dir .. "/zeros") do keep[#keep + 1] = line end

--- a thousand open files
-- profile: files
-- ends: ScriptError: at most 64 files open
local keep = {}
for i = 1, 1000 do keep[i] = assert(io.open(it.dir .. "/own.txt")) end

--- a closed file, a made-up file, and another script's number
-- profile: files
-- sees: ["ValidationError", "ValidationError", "ValidationError"]
local f = io.open(it.dir .. "/own.txt")
local read = f.read
f:close()
return { try(read, f, "a"), try(read, { number = 1 }, "a"), try(read, { number = {} }, "a") }

--- a bundle that is no bundle, and a bundle that names another session
-- profile: files
-- sees: ["AccessDenied", "AccessDenied"]
return { try(Session["import"], it.dir .. "/own.txt"), try(Session["import"], it.bundle) }

--- a process by every name
-- profile: files
-- sees: []
local found = {}
for _, place in ipairs { _G, os, io, string, coroutine } do
  for _, name in ipairs { "execute", "popen", "fork", "exec", "system", "spawn", "kill", "exit", "setlocale" } do
    if place[name] ~= nil then found[#found + 1] = name end
  end
end
return JSON.array(found)
