-- Matching patterns in Lua, interruptibly, and telling when the native functions may be used instead.
--
-- Native matching backtracks without executing Lua instructions, so no hook can stop it. A bound on its work, from the
-- length of the subject and the shape of the pattern, decides.
local K = ...
local charge = K.charge
local type, error, tostring, pairs, ipairs = type, error, tostring, pairs, ipairs
local find, byte, sub, char = string.find, string.byte, string.sub, string.char
local concat, pcall, unpack = table.concat, pcall, table.unpack

local WORK = 2e7 -- steps a native match may take at worst: about 0.1 s
local FREE = 2e4 -- below this nothing is charged

local SINGLE, OPEN, POSITION, CLOSE, BALANCE, FRONTIER, BACKREF, FINISH = 1, 2, 3, 4, 5, 6, 7, 8

local function class_end(p, at)
  local c = byte(p, at)
  at = at + 1
  if c == 37 then -- %
    if at > #p then error("malformed pattern (ends with '%')", 0) end
    return at + 1
  elseif c == 91 then -- [
    if byte(p, at) == 94 then at = at + 1 end
    repeat
      if at > #p then error("malformed pattern (missing ']')", 0) end
      local inner = byte(p, at)
      at = at + 1
      if inner == 37 then at = at + 1 end
    until byte(p, at) == 93
    return at + 1
  end
  return at
end

-- The pattern from `at` on as a list of items.
local function parse(p, at)
  local items, n = {}, 0
  local size = #p
  while at <= size do
    local c = byte(p, at)
    local item
    if c == 40 then -- (
      if byte(p, at + 1) == 41 then item, at = { kind = POSITION }, at + 2
      else item, at = { kind = OPEN }, at + 1 end
    elseif c == 41 then
      item, at = { kind = CLOSE }, at + 1
    elseif c == 36 and at == size then
      item, at = { kind = FINISH }, at + 1
    else
      local escaped = c == 37 and byte(p, at + 1)
      if escaped == 98 then -- %b
        if at + 3 > size then error("malformed pattern (missing arguments to '%b')", 0) end
        item = { kind = BALANCE, first = byte(p, at + 2), last = byte(p, at + 3) }
        at = at + 4
      elseif escaped == 102 then -- %f
        if byte(p, at + 2) ~= 91 then error("missing '[' after '%f' in pattern", 0) end
        local stop = class_end(p, at + 2)
        item = { kind = FRONTIER, src = sub(p, at + 2, stop - 1) }
        at = stop
      elseif escaped and escaped >= 48 and escaped <= 57 then
        item, at = { kind = BACKREF, index = escaped - 48 }, at + 2
      else
        local stop = class_end(p, at)
        item = { kind = SINGLE, src = sub(p, at, stop - 1) }
        at = stop
        local q = byte(p, at)
        if q == 42 or q == 43 or q == 45 or q == 63 then
          item.rep = q
          at = at + 1
        end
      end
    end
    n = n + 1
    items[n] = item
  end
  return items
end

-- The greatest subject lengths for which at most FREE and WORK steps are taken: `choices` quantified items can
-- split n characters in C(n + choices, choices) ways, and an unanchored pattern starts at each of them.
local function longest(choices, factor, budget)
  local low, high = 0, 1 << 27
  while low < high do
    local n = (low + high + 1) // 2
    local work = factor
    for i = 1, choices do
      work = work * (n + i) / i
      if work > budget then break end
    end
    if work <= budget then low = n else high = n - 1 end
  end
  return low
end

-- How much the items may have to be taken back, as far as that can be told without looking at their sets.
local function measure(shape)
  local choices, decided, doubles, widest, run, longest_run = 0, 0, 0, 1, 0, 1
  for _, item in ipairs(shape.items or {}) do
    if item.src and #item.src > widest then widest = #item.src end
    if item.certain then
      run = 0
    elseif item.decided then
      decided, run = decided + 1, 0 -- each is passed by, taking nothing, wherever one before it is taken back
    elseif item.rep == 63 then
      doubles = doubles + 1
    elseif item.rep or item.kind == BALANCE or item.kind == BACKREF then
      choices, run = choices + 1, 0
    else
      run = run + 1
      if run > longest_run then longest_run = run end
    end
  end
  local factor = widest * (longest_run + decided) * 2.0 ^ doubles
  local spread = choices + (decided > 0 and 1 or 0) + (shape.anchored and 0 or 1)
  shape.free, shape.max = longest(spread, factor, FREE), longest(spread, factor, WORK)
end

local function shape_of(p, anchors)
  local anchored = anchors and byte(p, 1) == 94
  if not anchors and byte(p, 1) == 94 then p = "%" .. p end -- gmatch takes ^ for itself
  local ok, items = pcall(parse, p, anchored and 2 or 1)
  local shape = { anchored = anchored, items = ok and items, message = not ok and items }
  measure(shape)
  return shape
end

local shapes, gmatch_shapes, cached = {}, {}, 0
local function shape_for(p, anchors)
  local cache = anchors and shapes or gmatch_shapes
  local shape = cache[p]
  if not shape then
    charge(#p)
    shape = shape_of(p, anchors)
    if #p <= 256 then
      cached = cached + 1
      if cached > 256 then
        shapes, gmatch_shapes, cached = {}, {}, 0
        cache = anchors and shapes or gmatch_shapes
      end
      cache[p] = shape
    end
  end
  return shape
end

local sets, set_count = {}, 0
local function set_of(src)
  local set = sets[src]
  if set then return set end
  set = {}
  if #src == 1 and src ~= "." then
    set[byte(src)] = true
  else
    charge(#src * 4)
    for b = 0, 255 do
      if find(char(b), "^" .. src) then set[b] = true end
    end
  end
  set_count = set_count + 1
  if set_count > 128 then sets, set_count = {}, 1 end
  sets[src] = set
  return set
end

local function meet(a, b)
  for key in pairs(a) do
    if b[key] then return true end
  end
  return false
end

-- Looks at what may follow each item. A repetition whose set shares nothing with that is decided: it ends where its
-- set ends, or nowhere. One after which nothing can fail is certain. `follow` has -1 for the end of the subject.
local function refine(shape)
  if shape.refined or not shape.items then return end
  shape.refined = true
  local follow, certain = nil, true
  for index = #shape.items, 1, -1 do
    local item = shape.items[index]
    local kind = item.kind
    if item.src then item.set = set_of(item.src) end
    item.follow = follow
    if kind == SINGLE then
      if item.rep then
        item.certain = certain
        item.decided = follow ~= nil and not meet(item.set, follow)
      end
      if item.rep == nil or item.rep == 43 then
        follow, certain = item.set, false
      elseif follow then
        local union = {}
        for key in pairs(follow) do union[key] = true end
        for key in pairs(item.set) do union[key] = true end
        follow = union
      end
    elseif kind == FINISH then
      follow, certain = { [-1] = true }, false
    elseif kind ~= OPEN and kind ~= CLOSE and kind ~= POSITION then
      follow, certain = nil, false
    end
  end
  shape.lead = follow
  -- When a pattern begins with a decided `x+` and fails, it fails from everywhere within that run of x.
  for _, item in ipairs(shape.items) do
    if item.kind == SINGLE and item.rep == 43 and item.decided then shape.leap = item.set end
    if item.kind ~= OPEN then break end
  end
  for _, item in ipairs(shape.items) do
    if item.kind == BACKREF then shape.leap = nil end
  end
  charge(#shape.items * 100)
  measure(shape)
end

-- A matcher over subject `s`: try(at) returns the position after the match (or nil), captures() what it took.
local UNFINISHED, PLACE = -1, -2
local function matcher(s, shape)
  if not shape.items then error(shape.message, 0) end
  local items, size = shape.items, #s
  refine(shape)
  local level, from, length = 0, {}, {}
  local run

  local function open(at, index, kind)
    if level >= 32 then error("too many captures", 0) end
    level = level + 1
    from[level], length[level] = at, kind
    local stop = run(at, index + 1)
    if not stop then level = level - 1 end
    return stop
  end

  local function close(at, index)
    for l = level, 1, -1 do
      if length[l] == UNFINISHED then
        length[l] = at - from[l]
        local stop = run(at, index + 1)
        if not stop then length[l] = UNFINISHED end
        return stop
      end
    end
    error("invalid pattern capture", 0)
  end

  local function balance(at, item)
    if byte(s, at) ~= item.first then return nil end
    local depth, last, first = 1, item.last, item.first
    for i = at + 1, size do
      local c = byte(s, i)
      if c == last then
        depth = depth - 1
        if depth == 0 then return i + 1 end
      elseif c == first then
        depth = depth + 1
      end
    end
  end

  function run(at, index)
    while true do
      local item = items[index]
      if item == nil then return at end
      local kind = item.kind
      if kind == SINGLE then
        local set, q = item.set, item.rep
        if q == nil then
          if at > size or not set[byte(s, at)] then return nil end
          at = at + 1
        elseif q == 63 then
          if at <= size and set[byte(s, at)] then
            local stop = run(at + 1, index + 1)
            if stop then return stop end
          end
        elseif q == 45 then
          local follow = item.follow
          while true do
            if not follow or follow[byte(s, at) or -1] then
              local stop = run(at, index + 1)
              if stop then return stop end
            end
            if at > size or not set[byte(s, at)] then return nil end
            at = at + 1
          end
        else
          local i = at
          while i <= size and set[byte(s, i)] do i = i + 1 end
          local least = q == 43 and at + 1 or at
          if items[index + 1] == nil then return i >= least and i or nil end
          local follow = item.follow
          while i >= least do
            if not follow or follow[byte(s, i) or -1] then
              local stop = run(i, index + 1)
              if stop then return stop end
            end
            if item.decided then return nil end
            i = i - 1
          end
          return nil
        end
      elseif kind == FINISH then
        return at == size + 1 and at or nil
      elseif kind == OPEN then
        return open(at, index, UNFINISHED)
      elseif kind == POSITION then
        return open(at, index, PLACE)
      elseif kind == CLOSE then
        return close(at, index)
      elseif kind == FRONTIER then
        local before = at == 1 and 0 or byte(s, at - 1)
        local after = at <= size and byte(s, at) or 0
        if item.set[before] or not item.set[after] then return nil end
      elseif kind == BALANCE then
        at = balance(at, item)
        if not at then return nil end
      else
        local l = item.index
        if l < 1 or l > level or length[l] == UNFINISHED then
          error("invalid capture index %" .. l, 0)
        end
        local n = length[l]
        if n == PLACE then return nil end
        if size - at + 1 < n or sub(s, from[l], from[l] + n - 1) ~= sub(s, at, at + n - 1) then return nil end
        charge(n >> 5)
        at = at + n
      end
      index = index + 1
    end
  end

  local function capture(l, start, stop)
    if l > level then
      if l == 1 then return sub(s, start, stop - 1) end
      error("invalid capture index %" .. l, 0)
    end
    if length[l] == PLACE then return from[l] end
    if length[l] == UNFINISHED then error("unfinished capture", 0) end
    return sub(s, from[l], from[l] + length[l] - 1)
  end

  local lead, leap = shape.lead, shape.leap

  local M = {}
  function M.try(at)
    level = 0
    return run(at, 1)
  end
  -- The next position where a match may begin.
  function M.skip(at)
    if lead then
      while at <= size and not lead[byte(s, at)] do at = at + 1 end
    end
    return at
  end
  -- The next position worth trying after one that failed.
  function M.after(at)
    at = at + 1
    if leap then
      while at <= size and leap[byte(s, at)] do at = at + 1 end
    end
    return at
  end
  M.capture = capture
  -- The captures; with none, the whole match when `whole` is set.
  function M.captures(start, stop, whole)
    local n = level
    if n == 0 then
      if whole then return sub(s, start, stop - 1) end
      return
    end
    if n == 1 then return capture(1, start, stop) end
    local values = {}
    for l = 1, n do values[l] = capture(l, start, stop) end
    return unpack(values, 1, n)
  end
  return M
end

local function first_match(s, shape, init)
  local m = matcher(s, shape)
  local at = init
  repeat
    if not shape.anchored then at = m.skip(at) end
    local stop = m.try(at)
    if stop then return m, at, stop end
    at = m.after(at)
  until shape.anchored or at > #s + 1
end

local function slow_gmatch(s, shape, at)
  local size, last = #s, nil
  local m = matcher(s, shape)
  return function()
    while at <= size + 1 do
      at = m.skip(at)
      local stop = m.try(at)
      if stop and stop ~= last then
        local start = at
        at, last = stop, stop
        return m.captures(start, stop, true)
      end
      at = stop and at + 1 or m.after(at)
    end
  end
end

-- The replacement string as a function of a match.
local function template(r)
  if not find(r, "%", 1, true) then return function() return r end end
  return function(m, start, stop, s)
    local out, n, at = {}, 0, 1
    while true do
      local mark = find(r, "%", at, true)
      n = n + 1
      out[n] = sub(r, at, (mark or 0) - 1)
      if not mark then break end
      local c = byte(r, mark + 1)
      n = n + 1
      if c == 37 then out[n] = "%"
      elseif c == 48 then out[n] = sub(s, start, stop - 1)
      elseif c and c >= 49 and c <= 57 then out[n] = m.capture(c - 48, start, stop)
      else error("invalid use of '%' in replacement string", 0) end
      at = mark + 2
    end
    return concat(out)
  end
end

local function slow_gsub(s, shape, r, limit)
  local kind, size = type(r), #s
  local m = matcher(s, shape)
  local make
  if kind == "string" then
    make = template(r)
  elseif kind == "table" then
    make = function(_, start, stop) return r[m.capture(1, start, stop)] end
  else
    make = function(_, start, stop) return r(m.captures(start, stop, true)) end
  end
  local out, n, count, at, copied, last = {}, 0, 0, 1, 1, nil
  while count < limit do
    if not shape.anchored then at = m.skip(at) end
    local stop = m.try(at)
    if stop and stop ~= last then
      count = count + 1
      local value = make(m, at, stop, s)
      if value == nil or value == false then
        value = sub(s, at, stop - 1)
      elseif type(value) ~= "string" and type(value) ~= "number" then
        error("invalid replacement value (a " .. type(value) .. ")", 0)
      end
      n = n + 2
      out[n - 1], out[n] = sub(s, copied, at - 1), value
      at, last, copied = stop, stop, stop
    elseif at <= size then
      at = stop and at + 1 or m.after(at)
    else
      break
    end
    if shape.anchored then break end
  end
  out[n + 1] = sub(s, copied)
  return concat(out), count
end

K.patterns = { shape_for = shape_for, refine = refine, first_match = first_match, gmatch = slow_gmatch, gsub = slow_gsub }
