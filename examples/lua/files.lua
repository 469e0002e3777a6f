-- Files: read and written by a script, and moved into artifacts and out of them.
--
--   $ greenroom run lua/files.lua --profile files --allow-dir /tmp -- /tmp
--
-- A script reaches no file unless the one who runs it says so: the profile `files` opens the directories that --allow-dir
-- names, and nothing besides. What follows -- are arguments of the script.
local directory = (...)
local path = directory .. "/greenroom-example-lua.csv"
print(arg[0], directory)
--> files.lua	/tmp

-- `io.open` is that of Lua.
local file = assert(io.open(path, "w"))
file:write("name,count\n", "apples,3\n", "pears,5\n")
file:close()

local total = 0
for line in io.lines(path) do
  total = total + (tonumber(line:match(",(%d+)$")) or 0)
end
print(total)
--> 8

-- A file becomes an artifact without passing through the script's memory, whatever its size. So it goes back, too.
local session = Session.create { name = "Fruit" }
local id = Artifact.storeFile(session, path, "user_input", { tags = { "csv" } })
print(Artifact.getInfo(session, id).name, Artifact.getInfo(session, id).mime_type)
--> greenroom-example-lua.csv	text/csv
print(Artifact.saveToFile(session, id, path .. ".copy"))
--> 28

-- Whatever lies elsewhere stays closed, also by way of links and "..".
local handle, problem = io.open(directory .. "/../etc/hostname")
print(handle, (problem:gsub("'.*'", "…")))
--> nil	AccessDenied: … is outside the directories granted to this script

-- A whole session, with its journal and artifacts, fits into one file, and comes back under a new id or the old one.
local bundle = directory .. "/greenroom-example-lua.bundle"
os.remove(bundle)
Session.export(session, bundle)
local copy = Session.import(bundle, { keep_ids = false })
print(copy ~= session, copy.name, #Artifact.list(copy))
--> true	Fruit	1

for _, each in ipairs { path, path .. ".copy", bundle } do os.remove(each) end
