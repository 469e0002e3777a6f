-- Returns what is wrong with a value that should have a shape.
local problems = {}
local function wrong(where, what) problems[#problems + 1] = where .. ": " .. what end

local is = {
  ["text"] = function(v) return type(v) == "string" end,
  ["content"] = function(v) return type(v) == "string" end,
  ["session id"] = function(v) return type(v) == "string" and v.id == v and type(v.status) == "string" end,
  ["whole number"] = function(v) return math.type(v) == "integer" end,
  ["number"] = function(v) return type(v) == "number" end,
  ["boolean"] = function(v) return type(v) == "boolean" end,
  ["true"] = function(v) return v == true end,
  ["table"] = function(v) return type(v) == "table" end,
  ["list"] = function(v) return type(v) == "table" and #v >= 0 end,
  ["nothing"] = function(v) return v == nil end,
  ["any value"] = function(v) return v ~= nil end,
}

local function check(value, shape, where, depth)
  if depth == 0 then return end
  if value == nil and shape.optional then return end
  if shape.kind == "value" then
    if not is[shape.is](value) then wrong(where, "is a " .. type(value) .. ", not " .. shape.is) end
    return
  end
  if shape.kind == "iterator" then
    if type(value) ~= "function" then wrong(where, "is no iterator") end
    return
  end
  if type(value) ~= "table" then return wrong(where, "is a " .. type(value) .. ", not " .. shape.kind) end
  if shape.kind == "rows" or shape.kind == "page" then
    if shape.kind == "page" then
      if type(value.total) ~= "number" then wrong(where, "has no total") end
      if type(value.has_more) ~= "boolean" then wrong(where, "has no has_more") end
    end
    for i = 1, #value do check(value[i], shape.of, where .. "[" .. i .. "]", depth - 1) end
    return
  end
  for _, name in ipairs(shape.methods) do
    if value[name] == nil then wrong(where, "has no method " .. name) end
  end
  for name, field in pairs(shape.aliases) do
    if value[name] ~= value[field] then wrong(where, name .. " is not " .. field) end
  end
  if shape.itself and value[shape.itself] == nil then wrong(where, "does not show itself as " .. shape.itself) end
  for name, fields in pairs(shape.shows) do
    for _, field in ipairs(fields) do
      if value[name] ~= nil and value[field] ~= nil and value[name][field] == nil then
        wrong(where, name .. " does not show " .. field)
      end
    end
  end
  if shape.text and tostring(value):find("^" .. shape.name .. ": ") then wrong(where, "has no text") end
  for name, part in pairs(shape.parts) do
    if rawget(value, name) ~= nil then check(rawget(value, name), part, where .. "." .. name, depth - 1) end
  end
end

local function shape_problems(value, shape)
  check(value, shape, "the answer", 4)
  return JSON.array(problems)
end
