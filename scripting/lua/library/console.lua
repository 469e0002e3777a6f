-- A console: pieces of a script run one after another in the same environment, each under limits of its own, and their
-- values are shown as text. Loaded only where somebody types.
local K = ...
local type, next, rawget, rawlen, tostring, select = type, next, rawget, rawlen, tostring, select
local native_load, native_xpcall, rawmetatable = load, xpcall, debug.getmetatable
local find, gsub, sub, rep, format, byte, match = string.find, string.gsub, string.sub, string.rep, string.format, string.byte, string.match
local concat, sort, pack = table.concat, table.sort, table.pack
local utf8_len, math_type = utf8.len, math.type
local env = K.env

-- Values as text --------------------------------------------------------------------------------------------------

local WIDTH, DEPTH, ENTRIES, LONGEST, MOST = 100, 5, 50, 2000, 16384
local NAME = "^[%a_][%w_]*$"
local ESCAPES = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }

local function escaped(character) return ESCAPES[character] or format("\\x%02x", byte(character)) end

local function quoted(text, longest)
  local size = #text
  if size > longest then
    text = sub(text, 1, longest)
    while #text > 0 and not utf8_len(text) and #text > longest - 4 do text = sub(text, 1, -2) end
  end
  local pattern = utf8_len(text) and '[%c"\\]' or '[%c"\\\x80-\xff]'
  text = '"' .. gsub(text, pattern, escaped) .. '"'
  return size > longest and text .. "… (" .. size .. " bytes)" or text
end

local order = { number = 1, string = 2, boolean = 3 }
local function before(a, b)
  local first, second = order[type(a)] or 4, order[type(b)] or 4
  if first ~= second then return first < second end
  if first <= 2 then return a < b end
  return tostring(a) < tostring(b)
end

local show

local function show_table(t, depth, indent, room, above)
  if t == K.null then return "null" end
  if above[t] then return "<the table around it>" end
  if depth > DEPTH then return next(t) == nil and "{}" or "{…}" end
  above[t] = true
  local parts, length, left = {}, rawlen(t), 0
  local keys = {}
  for key in next, t do
    if not (math_type(key) == "integer" and key >= 1 and key <= length) then
      if #keys < 10 * ENTRIES then keys[#keys + 1] = key else left = left + 1 end
    end
  end
  sort(keys, before)
  for at = 1, length do
    if #parts >= ENTRIES or room.left <= 0 then
      left = left + length - at + 1
      break
    end
    parts[#parts + 1] = show(rawget(t, at), depth + 1, indent + 2, room, above)
  end
  for at = 1, #keys do
    if #parts >= ENTRIES or room.left <= 0 then
      left = left + #keys - at + 1
      break
    end
    local key = keys[at]
    local name = type(key) == "string" and (find(key, NAME) and key or "[" .. quoted(key, 60) .. "]")
      or "[" .. show(key, DEPTH + 1, indent, room, above) .. "]"
    parts[#parts + 1] = name .. " = " .. show(rawget(t, key), depth + 1, indent + 2, room, above)
  end
  above[t] = nil
  if left > 0 then parts[#parts + 1] = "… " .. left .. " more" end
  if #parts == 0 then return "{}" end
  local line = "{ " .. concat(parts, ", ") .. " }"
  if #line + indent <= WIDTH and not find(line, "\n", 1, true) then return line end
  local pad = "\n" .. rep(" ", indent + 2)
  return "{" .. pad .. concat(parts, "," .. pad) .. "\n" .. rep(" ", indent) .. "}"
end

function show(value, depth, indent, room, above)
  local kind, text = type(value), nil
  if kind == "string" then
    text = quoted(value, depth == 1 and LONGEST or 200)
  elseif kind == "table" then
    return show_table(value, depth, indent, room, above)
  elseif kind == "function" or kind == "thread" or kind == "userdata" then
    text = "<" .. (kind == "thread" and "coroutine" or kind) .. ">"
  else
    text = tostring(value)
  end
  room.left = room.left - #text
  return text
end

-- An error object is shown as what it says, not as a table.
local function show_value(value, room)
  local metatable = rawmetatable(value)
  if type(value) == "table" and type(metatable) == "table" and rawget(metatable, "__name") == "error" then
    return tostring(value)
  end
  return show(value, 1, 0, room, {})
end

local function show_all(results)
  local room, texts = { left = MOST }, {}
  for at = 2, results.n do texts[at - 1] = show_value(results[at], room) end
  return concat(texts, ", ")
end

-- Pieces ------------------------------------------------------------------------------------------------------------

local SOURCE = "=repl"
local MAX_PIECE = 1 << 20

-- A local of a piece would end with it, so what a piece begins with declares for those that follow.
local function kept(text)
  local name = match(text, "^%s*local%s+function%s+[%a_]")
  if name then return (gsub(text, "local%s+", "", 1)) end
  local names = match(text, "^%s*local%s+([%a_][%w_%s,]-)%s*=[^=]")
  if names and not find(names, "[^%w_%s,]") then return (gsub(text, "local%s+", "", 1)) end
  return text
end

local function compiled(text)
  if #text > MAX_PIECE then return nil, "a piece has at most 1 MiB" end
  local chunk = K.compile("return " .. text, SOURCE, env)
  if chunk then return chunk end
  return K.compile(kept(text), SOURCE, env)
end

-- Whether a piece needs further lines. Compiles and runs nothing.
function K.unfinished(text)
  if #text > MAX_PIECE or native_load("return " .. text, SOURCE, "t", env) then return false end
  local chunk, message = native_load(text, SOURCE, "t", env)
  return not chunk and find(message, "near <eof>", 1, true) ~= nil
end

-- Runs a piece. Returns "ok" and its values as text, or what `main` returns of a failure.
function K.enter(text)
  K.place.source, K.place.line, K.place.traceback = SOURCE, nil, nil
  local chunk, message = compiled(text)
  if not chunk then
    K.fail_if_killed(message)
    return "error", "SyntaxError", message, nil, nil
  end
  local results = pack(native_xpcall(chunk, K.handler))
  if results[1] then
    local fine, problem = native_xpcall(K.finish, K.handler)
    if not fine then results = pack(false, problem) end
  end
  if results[1] then
    if results.n > 1 then env._ = results[2] end
    local fine, shown = native_xpcall(show_all, K.handler, results)
    if fine then return "ok", K.encode(shown) end
    results = pack(false, shown)
  end
  local line, trace = K.place.line, K.place.traceback
  K.fail_if_killed(results[2])
  local cause, described = K.describe(results[2])
  return "error", cause, described, line, trace and sub(trace, 1, 16384)
end

-- Names -------------------------------------------------------------------------------------------------------------

local MOST_NAMES = 2000

local function add(names, from)
  if type(from) ~= "table" then return end
  for key in next, from do
    if #names >= MOST_NAMES then return end
    if type(key) == "string" and find(key, NAME) then names[#names + 1] = key end
  end
end

-- The names in the value at a path of names, found without running anything of the script.
function K.names(path)
  local value = env
  for name in path:gmatch("[^.]+") do
    if type(value) ~= "table" then return "" end
    value = rawget(value, name)
  end
  local names = {}
  if type(value) == "string" then
    if K.is_id(value) then
      add(names, K.id_methods)
      add(names, K.id_fields)
    end
    add(names, env.string)
  elseif type(value) == "table" then
    add(names, value)
    local metatable = rawmetatable(value)
    if type(metatable) == "table" then
      add(names, rawget(metatable, "methods"))
      if type(rawget(metatable, "__index")) == "table" then add(names, rawget(metatable, "__index")) end
    end
  end
  return concat(names, "\n")
end
