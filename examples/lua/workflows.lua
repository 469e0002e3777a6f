-- Workflows: steps of tools, agents and functions, one after the other, at once, by a condition, or again and again.
--
--   $ greenroom run lua/workflows.lua --agent echo

-- The session journals each stage. A run that a crash interrupts goes on from its journal, without doing a finished step
-- again.
local session = Session.create { name = "Orders" }
Session.setCurrent(session)

-- A step is a tool, an agent or a function of the script. {{step:NAME:output}} stands for what an earlier step returned,
-- {{input}} for what the whole workflow was given.
local invoice = Workflow.sequential {
  name = "invoice",
  steps = {
    { name = "total", tool = "calculator", input = { expression = "{{input.amount}} * {{input.price}}" } },
    { name = "rounded", type = "function", ["function"] = function(input)
      return string.format("%.2f", input)
    end, input = "{{step:total:output}}" },
    { name = "text", tool = "template_engine", input = {
      template = "{{who}} owes {{sum}} EUR",
      variables = { who = "{{input.who}}", sum = "{{step:rounded:output}}" },
    } },
  },
}
local result = invoice:execute { who = "Ada", amount = 3, price = 2.5 }
print(result.success, result.data.final_output)
--> true	Ada owes 7.50 EUR
print(result.data.steps.total.output)
--> 7.5

-- At once: the output is that of all steps, by name.
local both = Workflow.parallel {
  name = "look at it",
  steps = {
    { name = "words", tool = "text_stats", input = { text = "{{input}}" } },
    { name = "hash", tool = "hash_calculator", input = { input = "{{input}}", algorithm = "sha256" } },
  },
}
local seen = both:execute("three little words").data.final_output
print(seen.words.words, seen.hash:sub(1, 6))
--> 3	9c3d53

-- By a condition: the first branch whose condition holds, else the default branch.
local router = Workflow.conditional {
  name = "router",
  branches = {
    { name = "large", condition = "{{input.amount}} > 100", steps = {
      { name = "ask", tool = "template_engine", input = { template = "a person looks at it", variables = {} } },
    } },
    { name = "small", condition = { value = "{{input.amount}}", above = 0 }, steps = {
      { name = "pay", tool = "template_engine", input = { template = "paid at once", variables = {} } },
    } },
  },
  default_branch = { steps = {
    { name = "refuse", tool = "template_engine", input = { template = "refused", variables = {} } },
  } },
}
for _, amount in ipairs { 500, 20, 0 } do print(amount, router:execute({ amount = amount }).data.final_output) end
--> 500	a person looks at it
--> 20	paid at once
--> 0	refused

-- Again and again: over a range, a collection, or while a condition holds. The output is the list of the rounds'.
local squares = Workflow.loop {
  name = "squares",
  iterator = { collection = { 2, 3, 4 } },
  body = { { name = "square", tool = "calculator", input = { expression = "{{loop:current_value}} ^ 2" } } },
}
print(JSON.stringify(squares:execute().data.final_output))
--> [4,9,16]

-- An agent as a step, and a step that is tried again: the first two attempts fail.
local attempts = 0
local patient = Workflow.sequential {
  name = "patient",
  steps = {
    { name = "flaky", type = "function", retry_count = 3, ["function"] = function()
      attempts = attempts + 1
      if attempts < 3 then error("not yet") end
      return "at last"
    end },
    { name = "say", agent = "echo", input = "It worked, {{step:flaky:output}}" },
  },
}
print(patient:execute().data.final_output, attempts)
--> It worked, at last	3

-- A failure is an outcome, not an error. `error_strategy = "continue"` would go on with the next step.
local broken = Workflow.sequential { name = "broken", steps = {
  { name = "divide", tool = "calculator", input = { expression = "1 / 0" } },
} }
broken:onError(function(problem) print("failed in " .. problem.step) end)
local outcome = broken:execute()
--> failed in divide
print(outcome.success, outcome.error ~= nil)
--> false	true

-- Everything that ran is in the journal, stage by stage.
local stages = Event.query { session_id = session, type = "workflow.stage" }
print(#stages > 10, #Event.query { session_id = session, type = "workflow.finished" })
--> true	8
