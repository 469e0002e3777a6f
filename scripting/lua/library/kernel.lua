-- The kernel: limits, and the functions that could let a script outlive them.
--
-- The count hook is the clock. Nothing that catches errors (pcall, xpcall, coroutines, load) may swallow the
-- error it raises, so each is wrapped; once `killed` is set, the hook raises at every instruction.
local host = ...
local K = { host = host }

local error, type, select, tostring = error, type, select, tostring
local native_pcall, native_load, native_setmetatable = pcall, load, setmetatable
local sethook, getinfo, traceback = debug.sethook, debug.getinfo, debug.traceback
local clock, time, collectgarbage = os.clock, os.time, collectgarbage
local co_create, co_resume, co_status, co_close = coroutine.create, coroutine.resume, coroutine.status, coroutine.close
local find, sub = string.find, string.sub

local STOP = "script stopped"
local OUT_OF_MEMORY = "not enough memory"
local MAX_CALLS = 80000 -- Lua's own limit is in slots: a deep recursion would meet the memory limit before
local CLOCK = 0 -- of the host: seconds left

local killed = nil -- why the script must end: "time", "instructions", "memory", "interrupted", "exit"
local armed = false
local used, max_instructions = 0, 0
local soft_limit = 0 -- KiB; the allocator's own limit lies a little above, so host replies always fit
local peak = 0
local next_clock = 0
local credit = 10000

-- Instructions between two beats. One instruction on strings of 30 MiB may take 0.15 s (comparing NULs), so the more
-- memory there is in use, the closer the beats. Each thread has a hook of its own: `steps` knows which.
local hooks = {}
local steps = native_setmetatable({}, { __mode = "k" })
local main = coroutine.running()
local current = main -- the thread that runs
local function step_for(kib)
  if kib < 512 then return 10000 end
  if kib < 2048 then return 2000 end
  if kib < 8192 then return 500 end
  if kib < 32768 then return 100 end
  return 25
end
local level = 10000

local function kill_hook()
  if armed then error(STOP, 0) end
end

local function die()
  sethook(kill_hook, "", 1)
  error(STOP, 0)
end

-- Where the script is. Runs at the point of an error, maybe with hooks off: native calls only.
local place = {}
local function locate()
  place.line = nil
  for depth = 3, 60 do
    local info = getinfo(depth, "Sl")
    if not info then break end
    if info.source == place.source then
      place.line = info.currentline
      break
    end
  end
  place.traceback = traceback("", 3)
end

local function kill(reason)
  if not killed then
    killed = reason
    if reason ~= "memory" then locate() end
  end
  die()
end

-- Ends the script when it is over a limit.
local function check()
  if killed then die() end
  if used >= max_instructions then kill("instructions") end
  local kib = collectgarbage("count")
  if kib > peak then peak = kib end
  if kib > soft_limit then
    collectgarbage()
    if collectgarbage("count") > soft_limit then kill("memory") end
  end
  local now = clock()
  if now >= next_clock then
    local left = host(CLOCK)
    if not (left > 0) then kill("time") end
    next_clock = now + (left > 0.4 and 0.04 or left * 0.1 + 0.0005)
  end
end

-- Accounts for work done by native code, in units of about one instruction.
local function charge(units)
  credit = credit - units
  if credit < 0 then
    used = used + 10000 - credit
    credit = 10000
    check()
  end
end

-- Arms the running thread with the present level.
local function arm()
  sethook(current, hooks[level], "", level)
  steps[current] = level
end

local function beat_every(step)
  local beats = 0
  return function()
    if not armed then return end
    if killed then return die() end
    used = used + step
    local kib = collectgarbage("count")
    if kib > peak then peak = kib end
    level = step_for(kib)
    if level ~= step then arm() end
    beats = beats + 1
    -- reading the clock costs as much as the rest: with small data every second beat will do
    if beats >= 2 or step < 10000 or kib > soft_limit or used >= max_instructions then
      beats = 0
      check()
    end
  end
end
for _, step in ipairs({ 10000, 2000, 500, 100, 25 }) do hooks[step] = beat_every(step) end

-- A collection cycle means memory moved: look at once. Arming the count with 1 (not the step) matters, for
-- setting a hook restarts its count, and a script that forces cycles would push the next beat away forever.
local function beat_now()
  if not armed then return end
  if killed then return die() end
  used = used + 500
  level = step_for(collectgarbage("count"))
  arm()
  if getinfo(MAX_CALLS, "l") then
    local here = getinfo(2, "Sl")
    local where = here and here.currentline > 0 and here.short_src .. ":" .. here.currentline .. ": " or ""
    error(where .. "stack overflow", 0)
  end
  check()
end
local sentinel = {}
sentinel.__gc = function(object)
  if armed then
    native_setmetatable(object, sentinel)
    sethook(beat_now, "", 1)
  end
end

-- What a protected call caught: returns the error, or ends the script when that was the limit speaking. The
-- check is for hooks that could not run because the C stack was full: their own error ends up here.
local function caught(err, ...)
  if killed then die() end
  if err == OUT_OF_MEMORY then kill("memory") end
  if type(err) == "userdata" and not (K.is_file and K.is_file(err)) then kill("interrupted") end
  charge(100)
  check()
  return err, ...
end

local function settle(ok, ...)
  if ok then
    if killed then die() end
    return true, ...
  end
  return false, caught(...)
end

local function safe_pcall(...)
  if select("#", ...) == 0 then error("bad argument #1 to 'pcall' (value expected)", 2) end
  return settle(native_pcall(...))
end

-- The handler runs after the stack is unwound: at the point of the error it could run with hooks off.
local function handle(handler, ok, ...)
  if ok then return true, ... end
  local _, message = safe_pcall(handler, (...))
  return false, message
end

local function safe_xpcall(f, handler, ...)
  if type(handler) ~= "function" then error("bad argument #2 to 'xpcall' (function expected)", 2) end
  return handle(handler, safe_pcall(f, ...))
end

-- The body of a coroutine runs in a pcall of its own: an error out of the hook leaves the hooks of its thread
-- off, and only a pcall turns them on again before `__close` handlers run.
local function co_body(f)
  return function(...) return native_pcall(f, ...) end
end

local function safe_create(f)
  if type(f) ~= "function" then error("bad argument #1 to 'create' (function expected)", 2) end
  charge(250)
  return co_create(co_body(f))
end

-- Work in another thread is counted there, and may have filled the memory: a clock (of seconds, for it is the cheapest)
-- is looked at whenever a thread comes back to another one, and none goes on with the step of a time when there was less.
local second = 0
local function enter(thread)
  local outer = current
  current = thread
  if steps[thread] ~= level then arm() end
  return outer
end
local function leave(outer)
  current = outer
  if killed then die() end
  if steps[outer] ~= level then arm() end
  local now = time()
  if now ~= second then
    second = now
    check()
  end
end

local function resumed(co, outer, alive, ...)
  leave(outer)
  if not alive then return false, caught(...) end
  if co_status(co) == "dead" then return settle(...) end
  return true, ...
end

local function safe_resume(co, ...)
  if type(co) ~= "thread" then error("bad argument #1 to 'resume' (coroutine expected)", 2) end
  return resumed(co, enter(co), co_resume(co, ...))
end

local function unwrap(ok, ...)
  if ok then return ... end
  error((...), 0)
end

local function safe_wrap(f)
  if type(f) ~= "function" then error("bad argument #1 to 'wrap' (function expected)", 2) end
  local co = safe_create(f)
  return function(...) return unwrap(resumed(co, enter(co), co_resume(co, ...))) end
end

local function closed(outer, ...)
  leave(outer)
  return settle(...)
end

local function safe_close(co)
  if type(co) ~= "thread" then error("bad argument #1 to 'close' (coroutine expected)", 2) end
  if killed then die() end
  return closed(enter(co), co_close(co))
end

K.coroutine = {
  create = safe_create, resume = safe_resume, wrap = safe_wrap, close = safe_close,
  yield = coroutine.yield, status = co_status, running = coroutine.running, isyieldable = coroutine.isyieldable,
}
K.pcall, K.xpcall = safe_pcall, safe_xpcall
K.check, K.charge, K.kill = check, charge, kill

-- For the function that the host calls, always on the main thread, while another one may wait.
function K.enter_main() return enter(main) end
K.leave = leave

-- Compiling takes quadratic time for some sources (chains of `and`, names seen through many functions), so a long one is
-- given to the compiler in pieces, with a check before each. What is left to the end of a block is counted: it is one step.
local MAX_SOURCE = 1 << 20
local PIECE = 256
local SHORT_SOURCE = 4096
local MAX_BRANCHES = 4000
local function admit(source)
  if #source > MAX_SOURCE then return "source is larger than 1 MiB" end
  for _, word in ipairs({ "goto", "::", "break" }) do
    local n, at = 0, 1
    while true do
      local from, to = find(source, word, at, true)
      if not from then break end
      n, at = n + 1, to + 1
      if n > MAX_BRANCHES then return "source has more than " .. MAX_BRANCHES .. " '" .. word .. "'" end
    end
  end
end

local function compile(source, name, env)
  local refused = admit(source)
  if refused then return nil, refused end
  charge(#source >> 3)
  if #source <= SHORT_SOURCE then return native_load(source, name, "t", env) end
  local at = 1
  local f, message = native_load(function()
    check()
    at = at + PIECE
    return sub(source, at - PIECE, at - 1)
  end, name, "t", env)
  if f == nil then check() end
  return f, message
end
K.compile = compile

function K.make_load(default_env)
  return function(...)
    local chunk, name, _, env = ...
    if select("#", ...) < 4 then env = default_env end
    if type(chunk) == "function" then
      local pieces, n, size = {}, 0, 0
      while true do
        local piece = chunk()
        if piece == nil or piece == "" then break end
        if type(piece) ~= "string" then return nil, "reader function must return a string" end
        n, size = n + 1, size + #piece
        if size > MAX_SOURCE then return nil, "source is larger than 1 MiB" end
        pieces[n] = piece
      end
      chunk, name = table.concat(pieces), name or "=(load)"
    elseif type(chunk) == "number" then
      chunk = tostring(chunk)
    elseif type(chunk) ~= "string" then
      error("bad argument #1 to 'load' (string or function expected)", 2)
    end
    if name ~= nil and type(name) ~= "string" then error("bad argument #2 to 'load' (string expected)", 2) end
    local f, message = compile(chunk, name or chunk, env)
    if f == nil and message == OUT_OF_MEMORY then kill("memory") end
    if f == nil then check() end
    return f, message
  end
end

function K.safe_collectgarbage(option)
  if option == "count" then return collectgarbage("count") end
  if option == nil or option == "collect" or option == "step" then
    charge(collectgarbage("count") // 1 + 500)
    collectgarbage()
    return 0
  end
  if option == "isrunning" then return true end
  error("bad argument #1 to 'collectgarbage' (only 'collect', 'step', 'count' and 'isrunning')", 2)
end

function K.handler(err)
  if not killed and err ~= OUT_OF_MEMORY then locate() end
  return err
end
K.place = place

function K.start(limit, memory_kib)
  max_instructions = limit
  soft_limit = collectgarbage("count") + memory_kib
  peak = collectgarbage("count")
  armed = true
  native_setmetatable({}, sentinel)
  arm()
  K.base = peak
end

-- For a script that stays: what it may execute, it may execute in each call.
function K.refill()
  used, credit, next_clock = 0, 10000, 0
end

-- Gets ready for the next piece of a console, whatever has ended the one before.
function K.again()
  armed, killed, current, level, next_clock, credit, used = false, nil, main, 10000, 0, 10000, 0
  collectgarbage()
end

function K.fail_if_killed(err)
  if killed then die() end
  if err == OUT_OF_MEMORY then kill("memory") end
end

-- Called by the host before and after every call into Python.
function K.before_host()
  if killed then die() end
  if collectgarbage("count") > soft_limit then check() end
end

function K.report()
  armed = false
  return killed, used + 10000 - credit, (peak - (K.base or peak)) * 1024 // 1 | 0, place.line, place.traceback
end

return K
