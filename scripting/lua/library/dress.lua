-- What functions of globals return, dressed by the shapes of the layout: rows that answer methods, pages that know their
-- total, builders. Everything here is told by data; no global is named.
local K = ...
local type, rawequal, rawget, rawset, setmetatable = type, rawequal, rawget, rawset, setmetatable
local next, error, select, tostring, concat, pack, unpack = next, error, select, tostring, table.concat, table.pack, table.unpack

-- The fields that rows keep for the host and do not show. `encode` adds them.
local hidden = setmetatable({}, { __mode = "k" })
K.hidden = hidden

-- The methods that a row has been asked for, each made once.
local bound = setmetatable({}, { __mode = "k" })

local function field(row, name)
  local kept = hidden[row]
  if kept and kept[name] ~= nil then return kept[name] end
  return rawget(row, name)
end

local rawmetatable, written = debug.getmetatable, {} -- the metatables of rows that have a text
local makers = {}

-- Returns what dresses values by the shape with this number. `functions` has those of the globals, by number.
local function dresser(shapes, made, number, functions)
  local found = made[number]
  if found then return found end
  local own
  made[number] = function(value, ...)
    return own(value, ...)
  end -- for shapes within themselves
  local shape = shapes[number]
  own = makers[shape.kind](shape, function(part) return dresser(shapes, made, part, functions) end, functions)
  made[number] = own
  return own
end

function makers.object(shape, dressed, functions)
  local methods, aliases, getters = K.spelt(shape.methods, "methods"), shape.aliases or {}, shape.getters or {}
  local key, itself, text, within = shape.key, shape.itself, shape.text, shape.within
  local parts, keep = {}, shape.hidden
  for name, number in next, shape.parts do parts[name] = dressed(number) end
  local metatable = { __name = shape.name, __metatable = shape.name, methods = methods }
  local function method(row, call)
    if key == nil then
      return function(first, ...)
        if rawequal(first, row) then return call(...) end
        return call(first, ...)
      end
    end
    local id = field(row, key)
    return function(first, ...)
      if rawequal(first, row) then return call(id, ...) end
      return call(id, first, ...)
    end
  end
  function metatable.__index(row, name)
    local number = methods[name]
    if number then
      local own = bound[row]
      if not own then
        own = {}
        bound[row] = own
      end
      if not own[name] then own[name] = method(row, functions[number]) end
      return own[name]
    end
    if getters[name] then
      local value = field(row, getters[name])
      return function() return value end
    end
    if aliases[name] then return rawget(row, aliases[name]) end
    if name == itself then return row end
    local inner = within and rawget(row, within)
    if type(inner) == "table" then return rawget(inner, name) end
  end
  if text then
    function metatable.__tostring(row)
      local pieces = {}
      for i = 1, #text do pieces[i] = tostring(field(row, text[i])) end
      return concat(pieces, ":")
    end
    written[metatable] = true
    function metatable.__concat(a, b)
      if written[rawmetatable(a) or false] then a = tostring(a) end
      if written[rawmetatable(b) or false] then b = tostring(b) end
      return a .. b
    end
  end
  return function(row)
    if type(row) ~= "table" or rawequal(row, K.null) then return row end
    for name, dress in next, parts do
      local part = rawget(row, name)
      if part ~= nil then rawset(row, name, dress(part)) end
    end
    if shape.shows then
      for name, fields in next, shape.shows do
        local part = rawget(row, name)
        if type(part) == "table" then
          local shown = {}
          for i = 1, #fields do shown[fields[i]] = rawget(row, fields[i]) end
          setmetatable(part, { __index = shown, __name = name, __metatable = name })
        end
      end
    end
    if keep then
      local kept = {}
      for i = 1, #keep do
        kept[keep[i]] = rawget(row, keep[i])
        rawset(row, keep[i], nil)
      end
      hidden[row] = kept
    end
    return setmetatable(row, metatable)
  end
end

function makers.rows(shape, dressed)
  local dress = shape.of and dressed(shape.of)
  return function(rows)
    if dress and type(rows) == "table" then
      for i = 1, #rows do rows[i] = dress(rows[i]) end
    end
    return rows
  end
end

-- A total that is not counted yet is counted when it is read, by the arguments that the page was asked with.
function makers.page(shape, dressed, functions)
  local dress = shape.of and dressed(shape.of)
  return function(page, ...)
    if type(page) ~= "table" or rawequal(page, K.null) then return page end
    local rows, fields, lazy = page, nil, {}
    if K.list_length(page) then
      fields = { total = #page, has_more = false }
    else
      rows = page.rows
      fields = { total = page.total, has_more = page.has_more, next_cursor = page.next_cursor }
      if page.total == nil and shape.total then
        local asked = pack(...)
        for i = 1, asked.n do
          if type(asked[i]) == "table" then
            local copy = {}
            for name, value in next, asked[i] do copy[name] = value end
            asked[i] = copy
          end
        end
        function lazy.total() return functions[shape.total](unpack(asked, 1, asked.n)) end
      end
    end
    if dress then
      for i = 1, #rows do rows[i] = dress(rows[i]) end
    end
    return K.listing(rows, fields, lazy)
  end
end

-- builder():name("x"):model("m"):build(): any method sets the option of its name.
function makers.fluent(shape, _, functions)
  local ends = {}
  for i = 1, #shape.ends do ends[shape.ends[i]] = true end
  return function()
    local options, builder = {}, {}
    local function build() return functions[shape["function"]](options) end
    return setmetatable(builder, {
      __name = shape.name, __metatable = shape.name,
      __index = function(_, name)
        if ends[name] then return build end
        return function(self, value)
          if not rawequal(self, builder) then error("call builder methods with a colon", 2) end
          local list = shape.lists[name]
          if list then
            options[list] = options[list] or {}
            options[list][#options[list] + 1] = value
          else
            options[name] = value
          end
          return builder
        end
      end,
    })
  end
end

-- for value in object:values() do … end: each value is asked for when the loop comes to it.
function makers.iterator(shape, _, functions)
  return function(key)
    return function() return functions[shape["function"]](key) end
  end
end

-- Returns a table of what dresses, by the numbers of shapes. Each is made when it is needed.
function K.dressers(shapes, functions)
  local made = {}
  return setmetatable({}, { __index = function(dress, number)
    local found = dresser(shapes, made, number, functions)
    rawset(dress, number, found)
    return found
  end })
end
