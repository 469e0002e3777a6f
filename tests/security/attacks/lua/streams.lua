--- a reader of an artifact of another session
-- sees: ["AccessDenied", "AccessDenied", "ArtifactNotFound"]
return {
  try(Artifact.open, it.other, "n"), try(Artifact.open, "", it.artifact), try(Artifact.open, "", "n"),
}

--- a writer for another session
-- sees: ["AccessDenied", "AccessDenied"]
local function write(session, metadata)
  return try(function()
    local writer = Artifact.create(session, "log", "stolen", metadata)
    writer:write("x")
    writer:close()
  end)
end
return { write(it.other), write("", { parent_artifact = it.artifact }) }

--- readers and writers by made-up and changed numbers
-- sees: ["ValidationError", "ValidationError", "ValidationError", 1]
local writer = Artifact.create("", "log", "a")
writer:write("x")
local id = writer:close()
local reader = Artifact.open("", id)
local read, write = reader.read, writer.write
reader:close()
return { try(read, reader), try(write, writer, "y"), try(read, { number = 1 }), #Artifact.list() }

--- readers that are never closed
-- ends: ResourceLimitExceeded: 32 readers and writers
Artifact.store("", "log", "a", "x")
while true do Artifact.open("", "a") end

--- writers that are never closed
-- ends: ResourceLimitExceeded: 32 readers and writers
while true do Artifact.create("", "log", "a"):write("x") end

--- more bytes than the session may store
-- ends: ResourceLimitExceeded: longer than the 16777216 bytes that its session may store
local writer, s = Artifact.create("", "log", "a"), ("x"):rep(1 << 20)
for i = 1, 20 do writer:write(s) end
writer:close()

--- a writer that writes for ever
-- ends: ResourceLimitExceeded: longer than the 16777216 bytes
local writer, s = Artifact.create("", "log", "a"), ("x"):rep(1 << 20)
while true do writer:write(s) end

--- a reader that keeps all it reads
-- ends: ScriptMemoryExceeded
local writer, s = Artifact.create("", "log", "a"), ("x"):rep(1 << 20)
for i = 1, 15 do writer:write(s, "\n") end
writer:close()
local keep = {}
for line in Artifact.open("", "a"):lines() do keep[#keep + 1] = line end

--- places and sizes without sense
-- sees: ["ValidationError", "ValidationError", "ValidationError", "ValidationError"]
Artifact.store("", "log", "a", "x")
local reader = Artifact.open("", "a")
return {
  try(reader.seek, reader, "set", -1), try(reader.seek, reader, "set", math.maxinteger),
  try(reader.read, reader, 1 << 40), try(reader.read, reader, -1),
}

--- backups of the state of others
-- sees: ["AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied"]
return {
  try(State.create_backup), try(State.list_backups), try(State.cleanup_backups), try(State.get_storage_usage),
  try(State.create_backup, { "session:" .. it.other }),
}

--- scopes of others by the other spellings
-- sees: ["AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied", "AccessDenied"]
return {
  try(State.save, "global", "k", 1), try(State.load, "session:" .. it.other, "k"), try(State.list_keys, "global"),
  try(State.compareAndSet, "user:7", "k", nil, 1), try(State.save, "anything", "k", 1),
}

--- comparing and setting for ever
-- ends: ScriptTimeout
State.set("session:" .. it.mine, "k", 0)
while true do State.compareAndSet("session:" .. it.mine, "k", 0, 0) end
