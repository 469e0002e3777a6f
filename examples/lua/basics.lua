-- Sessions: made, found, changed, ended.
--
--   $ greenroom run lua/basics.lua
--
-- Run the examples in the folder `examples`. Each one works on the store in ./greenroom-data, or wherever --data says. What a
-- line prints stands behind an arrow, with … for what is different each time.

-- A session is one piece of work: a chat, a run of an agent, a pipeline. `create` returns its id. The id is a string, and
-- it also answers the fields and methods of its session.
local chat = Session.create {
  name = "Bakery questions",
  tags = { "chat", "demo" },
  metadata = { team = "support", priority = 2 },
}
print(#chat, chat.name, chat.status)
--> 36	Bakery questions	active

-- Variables hold what the work needs to remember: any JSON value.
chat:setVariable("customer", { name = "Ada", orders = { 3, 5 } })
print(chat:getVariable("customer").name, chat:getVariable("language", "en"))
--> Ada	en

-- Messages are the turns of a conversation.
chat:addMessage("user", "When do you open on Sunday?")
chat:addMessage("assistant", "At eight.")
for _, message in ipairs(chat:messages()) do
  print(message.role .. ": " .. message.content)
end
--> user: When do you open on Sunday?
--> assistant: At eight.

-- Functions of `Session` and methods of an id are the same: choose what reads better.
Session.addTag(chat, "opening-hours")
chat:removeTag("demo")
chat:updateMetadata { priority = 1 }
print(table.concat(chat:getTags(), ", "), chat:getMetadata().priority, chat:getMetadata().team)
--> chat, opening-hours	1	support

-- Queries. Without a status they find active and suspended sessions.
for number = 1, 3 do
  Session.create { name = "Order " .. number, tags = { "order" }, metadata = { paid = number ~= 2 } }
end
local orders = Session.list { tags = { "order" }, sort_by = "name", limit = 2 }
print(#orders, orders.total, orders.has_more, orders[1].name, orders[2].name)
--> 2	3	true	Order 1	Order 2
print(Session.count { metadata = { paid = false } }, Session.list { search = "BAKERY" }[1].name)
--> 1	Bakery questions

-- The current session is the one that functions use when none is given.
Session.setCurrent(chat)
print(Session.getCurrent() == chat, #Session.messages())
--> true	2
Session.setCurrent(nil)

-- The life of a session. A suspended one can be read, and is not written to.
chat:suspend()
local fine, problem = pcall(Session.addMessage, chat, "user", "Hello?")
print(fine, problem.code)
--> false	InvalidSessionState
chat:resume()
chat:complete()
print(chat.status, chat.ended_at ~= nil)
--> completed	true

-- Completing is final, and errors say what was asked and why it cannot be.
fine, problem = pcall(Session.resume, chat)
print(problem.code)
--> InvalidStateTransition

-- Everything that happened is in the journal of the session, and stays there.
local types = {}
for _, event in ipairs(chat:events { limit = 5 }) do types[#types + 1] = event.type end
print(table.concat(types, " "))
--> session.created variable.set message.added message.added tags.changed
