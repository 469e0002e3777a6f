-- Reads the sessions of the demo: counts messages by role and tool calls, tags the sessions that
-- used tools, and stores a summary as an artifact of a new session.
local roles, tools, tagged, sessions = {}, {}, 0, 0

for _, info in ipairs(Session.list { tags = { "ingested" }, limit = 100 }) do
  sessions = sessions + 1
  local used_tools = false
  for _, message in ipairs(Session.messages(info.id)) do
    roles[message.role] = (roles[message.role] or 0) + 1
    for _, call in ipairs(message.tool_calls or {}) do
      used_tools = true
      local name = call["function"] and call["function"].name or "?"
      tools[name] = (tools[name] or 0) + 1
    end
  end
  if used_tools then
    Session.addTag(info.id, "used-tools")
    tagged = tagged + 1
  end
end

local summary = Session.create { name = "demo summary", tags = { "summary" } }
local text = JSON.stringify { sessions = sessions, roles = roles, tools = tools }
local id = Artifact.store(summary.id, "system_generated", "summary.json", text)

return { sessions = sessions, roles = roles, tools = tools, tagged = tagged,
         summary_session = summary.id, summary_hash = id.content_hash }
