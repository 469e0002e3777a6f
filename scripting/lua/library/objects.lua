-- Rows of the host that answer more than their fields: sessions, artifacts, tools and agents. A method of a tool or an
-- agent may be called with a dot or a colon.
local K = ...
local type, rawequal, rawget, setmetatable, ipairs = type, rawequal, rawget, setmetatable, ipairs
local next, error = next, error

local function named(row) return rawget(row, "name") end

-- A row with one method that calls `call(key, argument)`.
local function object(metatable, row, method, key, call)
  row[method] = function(first, second)
    if rawequal(first, row) then first = second end
    return call(key, first)
  end
  return setmetatable(row, metatable)
end

local function every(rows, shape)
  for i = 1, #rows do rows[i] = shape(rows[i]) end
  return rows
end

-- Replaces functions of a global by ones that give what they return to `shape`.
local function returning(shape, global, names)
  for _, name in ipairs(names) do
    local call = global[name]
    if call then
      global[name] = function(...) return shape(call(...)) end
    end
  end
end

K.objects = {}

-- Ids of artifacts: tables whose text is that of the id.
local identity = { __name = "artifact id", __metatable = "artifact id" }
function identity.__tostring(id) return id.content_hash .. ":" .. id.session_id .. ":" .. id.sequence end

local function an_id(id) return setmetatable(id, identity) end

-- Rows of artifacts: `metadata` is the row once more, `original_size` the size, and `custom.tags` the tags.
local artifact = { __name = "artifact", __metatable = "artifact" }
function artifact.__index(row, key)
  if key == "metadata" then return row end
  if key == "original_size" then return rawget(row, "size") end
end

local function an_artifact(row)
  an_id(row.id)
  local custom = rawget(row, "custom")
  if type(custom) == "table" then setmetatable(custom, { __index = { tags = row.tags }, __metatable = "custom" }) end
  return setmetatable(row, artifact)
end

local function with_content(found)
  an_id(found.id)
  an_artifact(found.metadata)
  return found
end

local function ids(rows) return every(rows, an_id) end
local function artifacts(rows) return every(rows, an_artifact) end

-- `methods` will have the functions of Session that take a session first: rows answer them too.
function K.objects.Session(global, _, methods)
  local session = { __name = "session", __metatable = "session", __index = methods }
  local function a_session(row)
    for _, child in ipairs(row.children or {}) do a_session(child) end
    return setmetatable(row, session)
  end
  returning(a_session, global, { "get", "tree" })
  returning(function(rows) return every(rows, a_session) end, global, { "children" })
  returning(an_id, global, { "saveArtifact" })
  returning(with_content, global, { "loadArtifact" })
  returning(artifacts, global, { "listArtifacts" })
  local list, count = global.list, global.count
  function global.list(query)
    local asked = {}
    if type(query) == "table" then
      for key, value in next, query do asked[key] = value end
    end
    local page = list(query)
    local fields = { has_more = page.has_more, next_cursor = page.next_cursor }
    return K.listing(every(page.rows, a_session), fields, { total = function() return count(asked) end })
  end
  local replayable = global.listReplayable
  function global.listReplayable(query)
    local page = replayable(query)
    return K.listing(every(page.rows, a_session), { total = page.total, has_more = page.has_more }, {})
  end
end

function K.objects.Artifact(global)
  for _, name in ipairs { "list", "query", "findByType", "findByTag", "search" } do
    local find = global[name]
    global[name] = function(...)
      local page = find(...)
      return K.listing(artifacts(page.rows), { total = page.total, has_more = page.has_more }, {})
    end
  end
  returning(an_id, global, { "store", "storeVersion", "update", "storeFile" })
  returning(ids, global, { "storeMany" })
  returning(an_artifact, global, { "getInfo" })
  returning(artifacts, global, { "versions", "sharedWithMe" })
  returning(with_content, global, { "get" })
  returning(function(found)
    every(found.found, with_content)
    return found
  end, global, { "getMany" })
  returning(function(report)
    ids(report.deleted)
    return report
  end, global, { "deleteMany" })
end

function K.objects.Tool(global)
  local metatable = { __name = "tool", __metatable = "tool", __tostring = named }
  local list, get, discover, call = global.list, global.get, global.discover, global.invoke
  -- An input that cannot travel to the host is a failed call like any other.
  local function invoke(...)
    local ok, result = K.pcall(call, ...)
    if ok then return result end
    local code, message = K.describe(result)
    return { success = false, error = message, error_code = code, duration = 0.0 }
  end
  global.invoke = invoke
  local function tool(row)
    if row == nil then return nil end
    return object(metatable, row, "execute", row.name, invoke)
  end
  function global.list() return every(list(), tool) end
  function global.discover(...) return every(discover(...), tool) end
  function global.get(name) return tool(get(name)) end
end

function K.objects.Hook(global)
  local metatable = { __name = "hook", __metatable = "hook" }
  local register, unregister, release = global.register, global.unregister, K.release
  function metatable.__tostring(handle) return handle:id() end
  function global.register(...)
    local row = register(...)
    local handle = {}
    function handle.id() return row.id end
    function handle.hook_point() return row.hook_point end
    function handle.unregister()
      release(row.number)
      return unregister(row.id)
    end
    return setmetatable(handle, metatable)
  end
  function global.unregister(handle)
    if type(handle) == "table" and type(rawget(handle, "unregister")) == "function" then return handle.unregister() end
    return unregister(handle)
  end
end

function K.objects.Agent(global)
  local metatable = { __name = "agent", __metatable = "agent", __tostring = named }
  local list, get, create, invoke = global.list, global.get, global.create, global.invoke
  local function agent(row)
    if row == nil then return nil end
    local handle = row.handle
    row.handle = nil
    return object(metatable, row, "invoke", handle, invoke)
  end
  function global.list() return every(list(), agent) end
  function global.get(name) return agent(get(name)) end

  -- Tools are given by their names or as objects, which cannot travel to the host.
  function global.create(options)
    if type(options) ~= "table" then return agent(create(options)) end
    local given = {}
    for key, value in next, options do given[key] = value end
    if type(given.tools) == "table" then
      local names = {}
      for i, each in ipairs(given.tools) do names[i] = type(each) == "table" and rawget(each, "name") or each end
      given.tools = names
    end
    return agent(create(given))
  end

  -- builder():name("x"):model("m"):temperature(0.2):build(): any method sets the option of its name.
  function global.builder()
    local options = {}
    local builder = {}
    local function build() return global.create(options) end
    builder.build, builder.create = build, build
    function builder.tool(_, tool)
      options.tools = options.tools or {}
      options.tools[#options.tools + 1] = tool
      return builder
    end
    return setmetatable(builder, {
      __name = "agent builder", __metatable = "agent builder",
      __index = function(_, key)
        return function(self, value)
          if not rawequal(self, builder) then error("call builder methods with a colon", 2) end
          options[key] = value
          return builder
        end
      end,
    })
  end
end
