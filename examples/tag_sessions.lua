-- Tags every active session by its conversation: "used-tools", "long", "unanswered".
-- Run: greenroom run examples/tag_sessions.lua [longest short conversation, default 10]
local longest_short = tonumber((...) or 10)

local function tags_for(messages)
  local tags = {}
  if #messages > longest_short then tags[#tags + 1] = "long" end
  local last = messages[#messages]
  if last and last.role == "user" then tags[#tags + 1] = "unanswered" end
  for _, message in ipairs(messages) do
    if message.tool_calls and #message.tool_calls > 0 then
      tags[#tags + 1] = "used-tools"
      break
    end
  end
  return tags
end

local counts = {}
for _, info in ipairs(Session.list { status = "active", limit = 1000 }) do
  for _, tag in ipairs(tags_for(Session.messages(info.id))) do
    Session.addTag(info.id, tag)
    counts[tag] = (counts[tag] or 0) + 1
  end
end

for tag, count in pairs(counts) do
  print(tag, count)
end
