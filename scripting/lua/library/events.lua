-- Event.on: functions stay in the script, and are called on its thread: while it is in a function of Event, and at its
-- end. The host only keeps the queues.
local K = ...
local type, error, ipairs, rawget = type, error, ipairs, rawget
local pcall, remove = K.pcall, table.remove

function K.objects.Event(Event, env)
  local publish, subscribe, unsubscribe = Event.publish, Event.subscribe, Event.unsubscribe
  local receive, take, failed = Event.receive, Event.take, Event.failed
  local print = env.print
  Event.take, Event.failed = nil, nil
  local handlers, numbers = {}, {}
  local at_work = false

  local function number_of(subscription)
    if type(subscription) == "table" then return rawget(subscription, "id") end
    return subscription
  end

  local function handle(number, event)
    local handler = handlers[number]
    if not handler then return end
    at_work = true
    local ok, problem = pcall(handler.fn, event)
    at_work = false
    if ok then return end
    local code, message = K.describe(problem)
    print("the function for events " .. handler.pattern .. " failed: " .. message)
    failed(number, event.id, code or "ScriptError", message)
  end

  -- Calls the functions for what is there, or comes within the time, until there is nothing more; how often.
  local function dispatch(timeout, most)
    local count = 0
    if at_work then return count end
    while #numbers > 0 and (not most or count < most) do
      local taken = take(numbers, timeout or 0)
      if not taken then break end
      handle(taken.subscription, taken.event)
      timeout = taken.left
      count = count + 1
    end
    return count
  end

  function Event.on(pattern, fn)
    if type(fn) ~= "function" then
      error(K.new_error("ValidationError", "Event.on takes a pattern and a function"), 0)
    end
    local subscription = subscribe(pattern)
    handlers[subscription.id] = { fn = fn, pattern = subscription.pattern }
    numbers[#numbers + 1] = subscription.id
    return subscription
  end

  function Event.unsubscribe(subscription)
    local number = number_of(subscription)
    for at, each in ipairs(numbers) do
      if each == number then
        remove(numbers, at)
        handlers[number] = nil
        break
      end
    end
    return unsubscribe(subscription)
  end

  function Event.publish(...)
    local event = publish(...)
    dispatch(0)
    return event
  end
  Event.emit = Event.publish

  function Event.dispatch(timeout)
    if timeout ~= nil and type(timeout) ~= "number" then
      error(K.new_error("ValidationError", "timeout_ms: a number of milliseconds is needed"), 0)
    end
    return dispatch(timeout)
  end

  function Event.receive(subscription, timeout)
    local wanted = number_of(subscription)
    if handlers[wanted] then
      error(K.new_error("InvalidOperation", "the events of this subscription go to its function"), 0)
    end
    if at_work or #numbers == 0 then return receive(subscription, timeout) end
    local all = { wanted }
    for at = 1, #numbers do all[at + 1] = numbers[at] end
    while true do
      local taken = take(all, timeout)
      if not taken then return nil end
      if taken.subscription == wanted then return taken.event end
      handle(taken.subscription, taken.event)
      timeout = taken.left
    end
  end

  -- At the end of the script: what is there, but not for ever what its functions cause.
  K.at_end = function()
    if #numbers > 0 then dispatch(0, 10000) end
  end
end
