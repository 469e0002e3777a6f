-- A complete agent: several turns, tools, memory, a summary at the end. It goes on where it stopped when it is run again.
--
--   $ greenroom run lua/chat_agent.lua --plugin my_tools:register
--
-- The model is `rules` of my_tools.py, which reads the conversation and asks for a tool or answers, as a language model does.
-- To talk to a real one, register it there instead; nothing here changes.

-- One session per user, found by a key of ours. Whoever comes back finds the conversation as it was.
local chat = Session.getOrCreate("chat/ada", { name = "Chat with Ada", tags = { "chat" } })
Session.setCurrent(chat)
if chat.status == "suspended" then chat:resume() end

local agent = Agent.create {
  name = "helper",
  model = "rules",
  system_prompt = "How can I help?",
  tools = { "weather", "calculator" },
}
local MOST_STEPS = 5 -- of one turn; a model that asks for tools without end is stopped

-- What the model gets: the turns so far, as the session keeps them.
local function conversation()
  local messages = {}
  for number, message in ipairs(chat:messages { limit = 20 }) do
    messages[number] = { role = message.role, content = message.content }
  end
  return messages
end

-- One turn: the model is asked until it answers in words. What its tools return goes into the conversation, too.
local function turn(text)
  chat:addMessage("user", text)
  for _ = 1, MOST_STEPS do
    local reply = agent:invoke { messages = conversation() }
    local call = reply.data.tool_call
    if not call or call == JSON.null then
      chat:addMessage("assistant", reply.text, { metadata = { tokens = reply.usage.total_tokens } })
      State.set("tokens", State.get("tokens", 0) + reply.usage.total_tokens)
      return reply.text
    end
    local outcome = Tool.invoke(call.name, call.input)
    local content = outcome.success and JSON.stringify(outcome.result) or "failed: " .. outcome.error
    chat:addMessage("tool", content, { name = call.name })
  end
  return "I could not find out."
end

local questions = {
  "Hello, my name is Ada.",
  "How is the weather in Bergen?",
  "And the weather in Atlantis?",
  "What is 19 * 3 + 4?",
  "Thank you!",
}
for _, question in ipairs(questions) do
  print("> " .. question)
  print("  " .. turn(question))
end
--> > Hello, my name is Ada.
-->   Nice to meet you, Ada.
--> > How is the weather in Bergen?
-->   The tool says: {"city":"Bergen","sky":"rain"}
--> > And the weather in Atlantis?
-->   The tool says: failed: …no weather is known for Atlantis…
--> > What is 19 * 3 + 4?
-->   The tool says: 61
--> > Thank you!
-->   How can I help? You have said 5 things so far.

-- The session has everything: the turns, the calls, the cost. A summary of it becomes an artifact.
local roles = {}
for _, message in ipairs(chat:messages { limit = 100 }) do roles[message.role] = (roles[message.role] or 0) + 1 end
print(roles.user, roles.tool, roles.assistant, State.get("tokens") > 0)
--> 5	3	5	true
local failed = 0
for _, event in ipairs(Event.query { session_id = chat, type = "tool.returned" }) do
  if event.data.error then failed = failed + 1 end
end
print(failed)
--> 1
local lines = { "# " .. chat.name, "" }
for _, message in ipairs(chat:messages { limit = 100 }) do
  if message.role == "user" then lines[#lines + 1] = "- " .. message.content end
end
local id = Artifact.store(chat, "agent_output", "summary.md", table.concat(lines, "\n"), { tags = { "summary" } })
print(Artifact.getInfo(chat, id).name, Artifact.getInfo(chat, id).version)
--> summary.md	1

-- Tags say what kind of conversation it was, so that a query finds it among thousands.
if roles.tool then chat:addTag("used-tools") end
if failed > 0 then chat:addTag("had-failures") end
print(Session.list({ tags = { "used-tools", "had-failures" } })[1].name)
--> Chat with Ada

-- Suspended, it costs nothing until the user comes back.
chat:suspend()
print(chat.status)
--> suspended
