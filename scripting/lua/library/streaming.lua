-- Streaming: functions that run in coroutines and give their values one at a time, to the script or to its host.
local K = ...
local type, setmetatable, error, select = type, setmetatable, error, select
local coroutine = K.coroutine

local states = setmetatable({}, { __mode = "k" })
local hand_over, is_consumed

local function fail(code, message) error(K.new_error(code, message), 0) end

local function state_of(stream)
  local state = states[stream]
  if not state then fail("ValidationError", "a stream is needed: call its methods with a colon") end
  return state
end

-- Ends a stream. Returns whether it was open.
local function close(stream)
  local state = state_of(stream)
  if state.done then return false end
  if state.busy then fail("InvalidOperation", "the stream is at work: its own function cannot close it") end
  state.done = true
  local thread = state.thread
  state.thread = nil
  if thread then
    local ok, problem = coroutine.close(thread)
    if not ok then error(problem, 0) end
  end
  return true
end

local function take(stream)
  local state = state_of(stream)
  if state.done then return nil end
  if state.busy then fail("InvalidOperation", "the stream is at work: its own function cannot read it") end
  state.busy = true
  local ok, value = coroutine.resume(state.thread)
  state.busy = false
  if not ok then
    state.done, state.thread = true, nil
    error(value, 0)
  end
  if coroutine.status(state.thread) == "dead" then
    state.done, state.thread = true, nil
    return nil
  end
  return value
end

local methods = { next = take, close = close }
function methods.isDone(stream) return state_of(stream).done end
function methods.collect(stream, most)
  local all = {}
  while most == nil or #all < most do
    local value = take(stream)
    if value == nil then break end
    all[#all + 1] = value
  end
  return setmetatable(all, K.array_metatable)
end
function methods.forEach(stream, call)
  local count = 0
  while true do
    local value = take(stream)
    if value == nil then return count end
    count = count + 1
    if call(value) == false then
      close(stream)
      return count
    end
  end
end
function methods.iter(stream)
  return function() return take(stream) end
end
methods.is_done, methods.for_each, methods.each = methods.isDone, methods.forEach, methods.forEach

local metatable = { __name = "stream", __metatable = "stream", __index = methods, __call = take, __close = close }
function metatable.__tostring() return "<Stream>" end

local function create(given)
  if states[given] then return given end
  local run = given
  if type(given) == "table" then
    run = function()
      for i = 1, #given do coroutine.yield(given[i]) end
    end
  elseif type(given) ~= "function" then
    fail("ValidationError", "Streaming.create: a function or a list is needed, not " .. type(given))
  end
  local stream = setmetatable({}, metatable)
  states[stream] = { thread = coroutine.create(run), done = false, busy = false }
  return stream
end

local function yield(...)
  if select("#", ...) == 0 or (...) == nil then fail("ValidationError", "Streaming.yield: nil is the end of a stream") end
  if coroutine.isyieldable() then return coroutine.yield((...)) end
  return hand_over(...)
end

-- The functions of the host become those of the language: `yield` within a stream concerns the script alone.
function K.install_streaming(global)
  hand_over, is_consumed = global.yield, global.consumed
  global.create, global.yield = create, yield
end

-- What a script returns: a stream goes to the host piece by piece, or as a list where nobody takes pieces.
function K.drained(stream)
  if not hand_over or not states[stream] then return stream end
  if not is_consumed() then return methods.collect(stream) end
  methods.forEach(stream, hand_over)
end
