-- Replays: the names of the modes, schedules, which are tables that Session.replay takes, and comparators.
local K = ...
local type, rawequal, next, error, ipairs = type, rawequal, next, error, ipairs

function K.objects.Replay(global)
  global.modes = {}
  for _, mode in ipairs { "exact", "modified", "simulate", "debug" } do global.modes[mode] = mode end

  local function maker(kind)
    return function(value, options)
      if value == nil then
        error(K.new_error("ValidationError", "Replay.schedules." .. kind .. " takes when to replay"), 0)
      end
      local schedule = { [kind] = value }
      if type(options) == "table" then
        for key, each in next, options do schedule[key] = each end
      end
      return schedule
    end
  end
  global.schedules = {}
  for _, kind in ipairs { "once", "interval", "cron" } do global.schedules[kind] = maker(kind) end

  local compare = global.compare_json
  function global.create_comparator()
    local comparator = {}
    function comparator.compare_json(first, ...)
      if rawequal(first, comparator) then return compare(...) end
      return compare(first, ...)
    end
    return comparator
  end
end
