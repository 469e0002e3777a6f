-- Hooks and events: code that runs when something happens. A hook can change or refuse it; a subscriber is told of it.
--
--   $ greenroom run lua/hooks_and_events.lua

local session = Session.create { name = "Guarded" }
Session.setCurrent(session)

-- A hook at a point "Before…" sees what is about to happen. It answers with nothing (go on), "cancel", or a table.
local guard = Hook.register("BeforeStateWrite", function(context)
  if context.data.key == "password" then
    return { type = "cancel", reason = "secrets do not belong here" }
  end
  if context.data.key == "city" then
    return { type = "modified", data = { value = context.data.value:upper() } }
  end
end, "high")

print(pcall(State.set, "password", "hunter2"))
--> false	HookCancelled: …secrets do not belong here…
State.set("city", "Lisbon")
print(State.get("city"), State.get("password"))
--> LISBON	nil

-- A hook after the fact only watches. This one counts calls of tools, and how long they took.
local calls = {}
local watch = Hook.register("AfterToolExecution", function(context)
  calls[#calls + 1] = context.data.name
end)
Tool.invoke("calculator", { expression = "2 ^ 10" })
Tool.invoke("text_stats", { text = "three little words" })
print(table.concat(calls, ", "))
--> calculator, text_stats

-- Hooks are listed, and end with the script at the latest.
for _, row in ipairs(Hook.list { point = "BeforeStateWrite" }) do print(row.hook_point, row.priority) end
--> BeforeStateWrite	high
guard:unregister()
watch:unregister()
print(#Hook.list())
--> 0

-- Events. A subscription gathers them until the script asks for them. In a pattern, * stands for one part of a type.
local orders = Event.subscribe("custom.order.*")
Event.publish("custom.order.placed", { id = 7, items = { "bread", "salt" } })
Event.publish("custom.weather", { rain = true })
Event.publish("custom.order.paid", { id = 7 })
while true do
  local event = Event.receive(orders, 100)
  if not event then break end
  print(event.type, event.data.id, event.session_id == session)
end
--> custom.order.placed	7	true
--> custom.order.paid	7	true
Event.unsubscribe(orders)

-- `on` calls a function for each event instead. greenroom's own events are heard the same way.
Event.on("variable.set", function(event) print("changed: " .. event.data.key) end)
State.set("step", 1)
State.set("step", 2)
Event.dispatch(100)
--> changed: step
--> changed: step

-- Events are kept in the journal of their session, and found again by type, tag, time or correlation.
local found = Event.query { session_id = session, type = "custom.order.*" }
print(#found, found[1].data.items[2])
--> 2	salt

-- What caused what: a timeline puts effects below their causes.
local placed = found[1]
Event.publish("custom.order.packed", { id = 7 }, { correlation_id = placed.correlation_id })
print(#Event.timeline(placed.correlation_id) >= 2)
--> true
