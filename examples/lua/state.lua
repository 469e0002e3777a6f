-- State: values under a key, in a scope that says whose they are.
--
--   $ greenroom run lua/state.lua --plugin my_tools:register

-- Without a scope: the variables of the current session, or, while none is current, the store's global values.
State.set("greeting", "hello")
print(State.get("greeting"), State.get("missing", "a default"), State.get("missing"))
--> hello	a default	nil

local session = Session.create { name = "Stateful" }
Session.setCurrent(session)
State.set("step", 1)
print(State.get("step"), session:getVariable("step"), State.get("greeting"))
--> 1	1	nil

-- Any scope can be named: of a session, a user, an agent, a tool, a workflow, or a custom one.
State.set("user:ada", "theme", "dark")
State.set("user:bob", "theme", "light")
State.set("global", "motd", "Closed on Monday")
print(State.get("user:ada", "theme"), State.get("user:bob", "theme"), State.get("global", "motd"))
--> dark	light	Closed on Monday

-- Values are what JSON has, and binary strings. Whole numbers and floats stay what they are.
State.set("custom:settings", "limits", { retries = 3, factor = 1.5, hosts = { "a", "b" }, note = JSON.null })
local limits = State.get("custom:settings", "limits")
print(limits.retries, limits.factor, #limits.hosts, limits.note == JSON.null)
--> 3	1.5	2	true

-- Lists of values, by the beginning of their keys.
for number = 1, 3 do State.set("session:current", "page/" .. number, number * 10) end
local sum = 0
for key, value in pairs(State.list("session:current", "page/")) do sum = sum + value end
print(sum)
--> 60

-- Two scripts at once: who sets only what is still as it was read loses nothing of the other's work.
State.set("global", "stock", 5)
print(State.compareAndSet("global", "stock", 5, 4), State.compareAndSet("global", "stock", 5, 3), State.get("global", "stock"))
--> true	false	4

-- Schemas check values wherever they are set, and keep their version. The plugin has registered one for "profile" of all
-- users, in version 2; that of user:old was stored before there was any.
print(pcall(State.set, "user:ada", "profile", { language = 7 }))
--> false	ValidationError: …
State.set("user:ada", "profile", { language = "en" })
print(State.migration_status("user:old").pending, State.get("user:old", "profile").lang)
--> 1	fr
print(State.migrate("user:old").count, State.get("user:old", "profile").language)
--> 1	fr

-- A backup keeps scopes as they are; restoring makes them so again.
local backup = State.create_backup({ "user:ada" }, { description = "before the change" })
State.set("user:ada", "theme", "neon")
print(State.validate_backup(backup.id).is_valid, #State.list_backups())
--> true	1
State.restore_backup(backup.id)
print(State.get("user:ada", "theme"), State.get("user:ada", "profile").language)
--> dark	en

-- nil deletes, and so does `delete`, which says whether there was a value.
State.set("step", nil)
print(State.get("step"), State.delete("step"), State.delete("user:bob", "theme"))
--> nil	false	true

-- State of a session ends with the session; that of other scopes stays.
Session.setCurrent(nil)
Session.delete(session)
print(pcall(State.get, "session:" .. session, "page/1"))
--> false	SessionNotFound: …
print(State.clear("custom:settings"), State.get("user:ada", "theme"))
--> 1	dark
