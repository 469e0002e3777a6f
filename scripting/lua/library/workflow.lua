-- Workflows are tables of the script until they are executed: the host gets their definition whole.
local K = ...
local type, rawequal, rawget, setmetatable, next, error = type, rawequal, rawget, setmetatable, next, error

function K.objects.Workflow(global)
  local metatable = { __name = "workflow", __metatable = "workflow" }
  local definitions = setmetatable({}, { __mode = "k" })
  local run = global.run
  global.run = nil

  local function plain_step(step)
    if type(step) ~= "table" then return step end
    local given = {}
    for key, value in next, step do given[key] = value end
    if type(given.tool) == "table" then given.tool = rawget(given.tool, "name") end
    if type(given.agent) == "table" then given.agent = rawget(given.agent, "name") end
    if given.workflow ~= nil then
      local definition = definitions[given.workflow]
      if not definition then error(K.new_error("ValidationError", "workflow: a workflow is needed"), 0) end
      given.workflow = definition
    end
    if given.undo ~= nil then given.undo = plain_step(given.undo) end
    return given
  end

  local function plain_steps(steps)
    if type(steps) ~= "table" then return steps end
    local given = {}
    for i = 1, #steps do given[i] = plain_step(steps[i]) end
    return given
  end

  local function maker(kind)
    return function(options)
      if type(options) ~= "table" then
        error(K.new_error("ValidationError", "Workflow." .. kind .. " takes a table of steps"), 0)
      end
      local definition = { kind = kind }
      if options.steps == nil and options[1] ~= nil then
        definition.steps = plain_steps(options)
      else
        definition.steps = plain_steps(options.steps)
      end
      for key, value in next, options do
        if type(key) == "string" and key ~= "steps" then
          definition[key] = key == "otherwise" and plain_steps(value) or value
        end
      end
      local workflow = { kind = kind, name = definition.name or kind }
      function workflow.execute(first, input)
        if not rawequal(first, workflow) then input = first end
        return run(definition, input)
      end
      definitions[workflow] = definition
      return setmetatable(workflow, metatable)
    end
  end
  for _, kind in next, { "sequential", "parallel", "conditional", "loop" } do global[kind] = maker(kind) end
end
