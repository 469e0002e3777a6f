-- Artifacts: what a session reads and makes. Text, JSON, binary content, versions, queries, large content.
--
--   $ greenroom run lua/artifacts.lua

local report = Session.create { name = "Weekly report" }

-- An artifact has a type, a name and content. What the metadata of `store` calls description, tags, label or mime_type are
-- fields; whatever else stands there is yours, under `custom`.
local id = Artifact.store(report, "agent_output", "summary.md", "# Week 12\n\nSales went up.\n", {
  description = "the summary for the team",
  tags = { "report", "week-12" },
  author = "writer-bot",
})
print(id.sequence, #id.content_hash, tostring(id) == id.content_hash .. ":" .. report .. ":1")
--> 1	64	true

-- `get` returns the content with the artifact's fields; `getInfo` the fields alone.
local summary = Artifact.get(report, id)
print(summary.content:match("Week %d+"), summary.metadata.mime_type, summary.metadata.custom.author)
--> Week 12	text/markdown	writer-bot

-- JSON is text that you write and read with `JSON`. It keeps lists, null and whole numbers as they are.
local figures = { sales = { 12, 15, 19 }, forecast = JSON.null, currency = "EUR" }
Artifact.store(report, "tool_result", "figures.json", JSON.stringify(figures))
local read = JSON.parse(Artifact.getContent(report, "figures.json"))
print(read.sales[3], read.forecast == JSON.null, math.type(read.sales[1]))
--> 19	true	integer

-- Content may be any bytes. Here the first bytes of a picture.
local pixels = "\x89PNG\r\n\x1a\n" .. string.rep("\0\xff", 8)
Artifact.store(report, "user_input", "chart.png", pixels)
local chart = Artifact.get(report, "chart.png")
print(chart.content == pixels, chart.metadata.mime_type, chart.metadata.size)
--> true	image/png	24

-- The same name again is the next version. Old versions stay, and can be compared.
Artifact.store(report, "agent_output", "summary.md", "# Week 12\n\nSales went up by 12 %.\n", { label = "final" })
for _, version in ipairs(Artifact.versions(report, "summary.md")) do
  print(version.version, version.label, version.size)
end
--> 1	nil	26
--> 2	final	34
local difference = Artifact.diff(report, "summary.md", 1, "final")
for line in difference:gmatch("[^\n]+") do
  if line:find("^[+-][^+-]") then print(line) end
end
--> -Sales went up.
--> +Sales went up by 12 %.

-- Many at once, in one write: all of them or none.
local parts = {}
for number = 1, 5 do
  parts[number] = { type = "tool_result", name = "part-" .. number .. ".txt", content = "Part " .. number, metadata = { tags = { "part" } } }
end
print(#Artifact.storeMany(report, parts))
--> 5

-- Queries go by type, name, tags, size, time, your own fields, or a text.
print(Artifact.count(report), #Artifact.findByTag(report, "part"), #Artifact.findByType(report, "user_input"))
--> 9	5	1
local found = Artifact.query(report, { name_pattern = "*.txt", order_by = "name_desc", limit = 2 })
print(found.total, found[1].name, found[2].name)
--> 5	part-5.txt	part-4.txt
print(Artifact.search(report, "team")[1].name)
--> summary.md

-- Large content is stored in pieces; equal content is stored once, whoever stores it and under whatever name.
local lines = {}
for number = 1, 60000 do lines[number] = "row " .. number .. "\twith some measured value\n" end
local large = table.concat(lines)
local first = Artifact.store(report, "tool_result", "measured.tsv", large)
local other = Session.create { name = "Another session" }
local second = Artifact.store(other, "tool_result", "copy.tsv", large)
print(#large > 2000000, first.content_hash == second.content_hash, Artifact.verify(other, second))
--> true	true	true

-- What is too large for the script's memory is written and read piece by piece. Nothing is stored before `close`.
local writer = Artifact.create(report, "tool_result", "log.txt", { tags = { "log" } })
for number = 1, 1000 do writer:write("line ", number, "\n") end
local log = writer:close()
local reader = Artifact.open(report, log)
print(reader:read("l"), reader:read(6))
--> line 1	line 2
reader:seek("end", -10)
print((reader:read("a"):gsub("\n", ".")))
--> line 1000.
reader:seek("set", 0)
local count = 0
for _ in reader:lines() do count = count + 1 end
reader:close()
print(count)
--> 1000

-- Deleting removes a version, or, by id, exactly that one.
Artifact.deleteMany(report, { "part-1.txt", "part-2.txt" })
print(Artifact.count(report, { tags = { "part" } }))
--> 3
