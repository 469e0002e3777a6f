-- Writes a summary of one session and stores it as an artifact of that session.
-- Run: greenroom run examples/summarize.lua --session ID
local session = Session.getCurrent()
if not session then
  error("bind me to a session: greenroom run examples/summarize.lua --session ID")
end

local lines = { "# " .. (session.name or session.id), "" }
local words = 0
for _, message in ipairs(Session.messages(session.id)) do
  local content = message.content
  if type(content) == "string" and content ~= "" then
    words = words + select(2, content:gsub("%S+", ""))
    local first = content:match("[^\n]+") or ""
    lines[#lines + 1] = string.format("- **%s**: %s", message.role, first:sub(1, 80))
  end
end
lines[#lines + 1] = ""
lines[#lines + 1] = words .. " words in all."

State.set("words", words)
local id = Artifact.store(session.id, "system_generated", "summary.md", table.concat(lines, "\n"), {
  description = "the first line of every turn",
  mime_type = "text/markdown",
})
print("stored summary.md as artifact " .. id.sequence)
