-- A knowledge base: notes as artifacts, found by tag, field and text; answers that name their sources.
--
--   $ greenroom run lua/knowledge_base.lua

local base = Session.getOrCreate("knowledge/bread", { name = "All about bread", tags = { "knowledge" } })

-- Notes go in together. A note that is stored again under its name becomes a new version, so that importing twice is
-- harmless: equal content costs nothing, and the newest version is the one that counts.
local notes = {
  { "sourdough.md", "Sourdough rises with wild yeast. It needs eight hours at 24 °C.", { "dough" }, 1 },
  { "rye.md", "Rye flour holds more water than wheat. Rye bread keeps for a week.", { "dough", "flour" }, 2 },
  { "oven.md", "Bake bread in a hot oven: 250 °C at first, then 210 °C. Steam makes the crust shine.", { "oven" }, 1 },
  { "crust.md", "A crust stays crisp if the bread cools on a rack.", { "oven" }, 3 },
  { "storage.md", "Keep bread in paper, not in plastic. Freeze what is left after three days.", { "keeping" }, 2 },
}
local function import()
  local items = {}
  for number, note in ipairs(notes) do
    items[number] = {
      type = "note", name = note[1], content = note[2],
      metadata = { tags = note[3], description = note[2]:match("^[^.:]+"), level = note[4] },
    }
  end
  return #Artifact.storeMany(base, items)
end
print(import(), import(), Artifact.count(base, { latest_only = true }))
--> 5	5	5

-- By tag, by a field of one's own, and by a text in name, description, tags and fields.
local function names(rows)
  local found = {}
  for number, row in ipairs(rows) do found[number] = row.name end
  return table.concat(found, " ")
end
local newest = { latest_only = true, order_by = "name" }
local function query(filter)
  for key, value in pairs(newest) do filter[key] = value end
  return names(Artifact.query(base, filter))
end
print(query { tags = { "dough" } })
--> rye.md sourdough.md
print(query { custom = { level = 1 } })
--> oven.md sourdough.md
print(query { text = "crust" })
--> crust.md
print(query { text = "suordough", fuzzy = true })
--> sourdough.md

-- A small search of one's own: notes are ranked by how many words of the question they have.
local function words(text)
  local found = {}
  for word in text:lower():gmatch("%a%a%a%a+") do found[word] = true end
  return found
end
local function search(question, most)
  local ranked = {}
  for _, row in ipairs(Artifact.query(base, { latest_only = true })) do
    local score, content = 0, Artifact.getContent(base, row.id)
    local there = words(content)
    for word in pairs(words(question)) do
      if there[word] then score = score + 1 end
    end
    if score > 0 then ranked[#ranked + 1] = { name = row.name, score = score, content = content, id = row.id } end
  end
  table.sort(ranked, function(a, b)
    if a.score ~= b.score then return a.score > b.score end
    return a.name < b.name
  end)
  return { table.unpack(ranked, 1, most) }
end
for _, hit in ipairs(search("How hot is the oven for bread with a crust?", 2)) do print(hit.score, hit.name) end
--> 3	oven.md
--> 2	crust.md

-- An answer is a message that keeps what it was made from, so that it can be checked later.
local function answer(chat, question)
  local hits, sources = search(question, 2), {}
  for number, hit in ipairs(hits) do sources[number] = hit.name end
  chat:addMessage("user", question)
  local text = #hits > 0 and hits[1].content or "I do not know."
  chat:addMessage("assistant", text, { metadata = { sources = sources } })
  return text
end
local chat = Session.create { name = "Questions", parent = base }
print(answer(chat, "Where do I keep bread?"))
--> Keep bread in paper, not in plastic. Freeze what is left after three days.
print(answer(chat, "Who won the match?"))
--> I do not know.
print(chat:messages()[2].metadata.sources[1])
--> storage.md
