-- Replay and recovery: a pipeline fails; its journal says where and why; a copy of it goes on from the step before.
--
--   $ greenroom run lua/replay.lua

-- A pipeline of three steps. Each keeps what it made in a variable, so that the journal has every step.
local pipeline = Session.create { name = "Nightly figures" }
Session.setCurrent(pipeline)

local function step(session, name, work)
  local fine, result = pcall(work)
  if not fine then
    session:fail(name .. ": " .. result)
    return false
  end
  session:setVariable(name, result)
  return true
end

local function average(session)
  local rows = session:getVariable("rows")
  local sum = Tool.invoke("calculator", { expression = table.concat(rows, " + ") })
  if not sum.success then error(sum.error, 0) end
  return sum.result / #rows
end

local function publish(session) return "average: " .. session:getVariable("average") end

-- One of the rows is no number, so the second step fails.
local went = step(pipeline, "rows", function() return { "12", "17", "n/a" } end)
  and step(pipeline, "average", function() return average(pipeline) end)
  and step(pipeline, "report", function() return publish(pipeline) end)
print(went, pipeline.status, pipeline.failure_reason)
--> false	failed	average: …

-- What happened, in order. The call of the tool is there with its input.
for _, event in ipairs(pipeline:events()) do
  print(event.sequence, event.type, event.data.key or event.data.name or event.data.reason)
end
--> 1	session.created	…
--> 2	variable.set	rows
--> 3	tool.called	calculator
--> 4	tool.returned	calculator
--> 5	session.failed	average: …

-- A replay decides every step again, with the answers of tools from the journal: nothing is called, and the result is the
-- same to the byte. So the recording can be trusted.
print(pipeline:canReplay(), pipeline:replay { mode = "exact" }.identical)
--> true	true

-- What would another value have changed? A replay with a modification says at which event the two ways part.
local what_if = pipeline:replay {
  mode = Replay.modes.modified,
  modifications = { Replay.create_modification("variables.rows", { "12", "17", "19" }) },
}
print(what_if.identical, what_if.divergence.sequence, what_if.divergence.type)
--> false	2	variable.set

-- Recovery: a fork up to the last good step is a new session with that history. The mended row goes in, and the steps that
-- are left run again. The failed session stays as it is, for whoever asks later.
local mended = Session.fork(pipeline, 2)
Session.setCurrent(mended)
mended:setVariable("rows", { "12", "17", "19" })
went = step(mended, "average", function() return average(mended) end)
  and step(mended, "report", function() return publish(mended) end)
mended:complete()
print(went, mended.status, mended:getVariable("report"))
--> true	completed	average: 16.0

-- Where the two runs stopped being the same run.
local compared = Session.compare(pipeline, mended)
print(compared.common, compared.a.types["session.failed"], compared.b.types["session.completed"])
--> 2	1	1

-- Replays can also be planned: every night, a check that the recording still gives the same result.
local schedule = mended:replay { schedule = Replay.schedules.cron("0 3 * * *", { timezone = "Europe/Berlin" }) }
print(schedule.active, #Session.getReplayStatus(mended).schedules)
--> true	1
print(Session.stopReplay(mended))
--> true
