-- Hierarchies and templates: work that is split among sessions, and presets for new ones.
--
--   $ greenroom templates save research --prefix "Research: " --tag research --config '{"max_artifacts": 50}'
--   $ greenroom run lua/hierarchies.lua

-- A template is a preset that the store keeps: the beginning of names, tags, metadata, settings. What `create` is given
-- itself comes first.
local project = Session.create { template = "research", name = "tides", metadata = { budget = 40 } }
print(project.name, project:hasTag("research"), project.config.max_artifacts)
--> Research: tides	true	50

-- Children are sessions of their own: each has its own variables, messages and journal.
for _, question in ipairs { "moon", "coast", "wind" } do
  local child = Session.create { name = question, parent = project, tags = { "question" } }
  child:setVariable("pages", #question)
end
for _, child in ipairs(project:children()) do
  print(child.name, child:parent() == project, child:getVariable("pages"))
end
--> moon	true	4
--> coast	true	5
--> wind	true	4

-- One goes deeper. `tree` returns the whole family as rows within rows.
local coast = Session.list { parent = project, search = "coast" }[1]
Session.create { name = "harbours", parent = coast.id }

local function show(row, depth)
  print(string.rep("  ", depth) .. row.name)
  for _, child in ipairs(row.children) do show(child, depth + 1) end
end
show(Session.tree(project), 0)
--> Research: tides
-->   moon
-->   coast
-->     harbours
-->   wind

-- The parent gathers what the children found, and ends them.
local pages = 0
for _, child in ipairs(project:children()) do
  pages = pages + child:getVariable("pages")
  child:complete()
end
project:setVariable("pages", pages)
print(pages, Session.count { parent = project, status = "completed" }, project.status)
--> 13	3	active

-- A fork is a child that has its parent's history up to some moment: the place to try something else.
local before = project.sequence
project:setVariable("plan", "by boat")
local other = Session.fork(project, before)
other:setVariable("plan", "on foot")
print(project:getVariable("plan"), other:getVariable("plan"), other:getVariable("pages"))
--> by boat	on foot	13
