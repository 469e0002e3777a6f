"""Scripts that try to outlive their limits: (name, source, how they may end)."""

from __future__ import annotations

TIME, MEMORY, EITHER, FINE = "time", "memory", "either", "fine"

ATTACKS: list[tuple[str, str, str]] = [
    ("loop", "while true do end", TIME),
    ("loop-in-pcall", "while true do pcall(function() while true do end end) end", TIME),
    ("failing-pcall-loop", "while true do pcall(error, 'x') end", TIME),
    ("nested-pcall", "local function f() while true do pcall(f) end end f()", TIME),
    ("pcall-of-pcall", "while true do pcall(pcall, pcall, error) end", TIME),
    (
        "xpcall-handler-loop",
        "xpcall(function() while true do end end, function() while true do end end) while true do end",
        TIME,
    ),
    ("xpcall-handler-loops-on-plain-error", "xpcall(error, function() while true do end end, 'x')", TIME),
    ("xpcall-handler-fails", "while true do xpcall(error, function() error('again') end) end", TIME),
    (
        "xpcall-stack-overflow-handler",
        "local function f() return 1 + f() end while true do xpcall(f, function() while true do end end) end",
        EITHER,
    ),
    ("coroutine-loop", "coroutine.wrap(function() while true do end end)()", TIME),
    (
        "coroutine-resume-loop",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        TIME,
    ),
    (
        "coroutine-in-pcall",
        "while true do pcall(function() coroutine.wrap(function() while true do end end)() end) end",
        TIME,
    ),
    (
        "pcall-in-coroutine",
        "local co = coroutine.wrap(function() while true do pcall(function() while true do end end) end end)"
        " while true do pcall(co) end",
        TIME,
    ),
    ("short-coroutines", "while true do coroutine.wrap(function() for i = 1, 3000 do end end)() end", TIME),
    (
        "nested-short-coroutines",
        """local function nest(depth)
          if depth == 0 then return end
          for i = 1, 900 do coroutine.wrap(nest)(depth - 1) end
        end
        nest(8)""",
        TIME,
    ),
    (
        "yield-loop",
        "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
        TIME,
    ),
    (
        "coroutine-close-loop",
        """while true do
          local co = coroutine.create(function()
            local x <close> = setmetatable({}, { __close = function() while true do end end })
            coroutine.yield()
          end)
          coroutine.resume(co)
          coroutine.close(co)
        end""",
        TIME,
    ),
    (
        "close-after-kill-in-coroutine",
        """local mt = { __close = function() while true do end end }
        local co = coroutine.create(function()
          local x <close> = setmetatable({}, mt)
          while true do end
        end)
        coroutine.resume(co)
        coroutine.close(co)
        while true do end""",
        TIME,
    ),
    (
        "close-tree",
        """local mt = {}
        mt.__close = function()
          local a <close> = setmetatable({}, mt)
          local b <close> = setmetatable({}, mt)
          local c <close> = setmetatable({}, mt)
          while true do end
        end
        do local x <close> = setmetatable({}, mt) while true do end end""",
        TIME,
    ),
    (
        "hooks-blocked-by-full-c-stack",
        """local function deep(n, f)
          if n == 0 then return f() end
          local s = string.gsub("x", "x", function() deep(n - 1, f) end)
        end
        local function spin() while true do end end
        for depth = 150, 200 do
          pcall(deep, depth, function() while true do pcall(spin) end end)
        end
        while true do for depth = 180, 200 do pcall(deep, depth, spin) end end""",
        TIME,
    ),
    (
        "close-with-full-c-stack-in-coroutine",
        """local function deep(n, f)
          if n == 0 then return f() end
          string.gsub("x", "x", function() deep(n - 1, f) end)
        end
        for depth = 150, 200 do
          local co = coroutine.create(function()
            local x <close> = setmetatable({}, { __close = function() while true do end end })
            deep(depth, function() while true do end end)
          end)
          coroutine.resume(co)
          coroutine.close(co)
        end
        while true do end""",
        TIME,
    ),
    (
        "metamethod-index-loop",
        "local t = setmetatable({}, { __index = function() while true do end end }) return t.x",
        TIME,
    ),
    (
        "metamethod-add-loop",
        "local t = setmetatable({}, { __add = function() while true do end end }) return t + 1",
        TIME,
    ),
    ("metamethod-len-loop", "local t = setmetatable({}, { __len = function() while true do end end }) return #t", TIME),
    (
        "metamethod-lt-sort",
        "local mt = { __lt = function() while true do end end } local t = {} for i = 1, 5 do t[i]"
        " = setmetatable({}, mt) end table.sort(t)",
        TIME,
    ),
    ("tostring-loop", "print(setmetatable({}, { __tostring = function() while true do end end }))", TIME),
    (
        "error-object-loops-when-leaving",
        "error(setmetatable({}, { __tostring = function() while true do end end }))",
        TIME,
    ),
    (
        "error-object-loops-in-pcall-when-leaving",
        "error(setmetatable({}, { __tostring = function() while true do pcall(error) end end }))",
        TIME,
    ),
    ("error-object-index-loop", "error(setmetatable({}, { __index = function() while true do end end }))", FINE),
    ("rep-huge", "return #string.rep('x', 1 << 40)", MEMORY),
    ("rep-nothing", "return #(''):rep(1 << 60)", FINE),
    ("rep-separator", "return #(''):rep(1 << 60, 'x')", MEMORY),
    ("rep-in-pcall", "while true do pcall(string.rep, 'x', 1 << 40) end", MEMORY),
    ("rep-loop", "while true do local s = ('x'):rep(20000000) end", TIME),
    ("concat-loop", "local s = ('x'):rep(8000000) while true do local t = s .. 'y' end", TIME),
    ("doubling", "local s = 'x' while true do s = s .. s end", MEMORY),
    ("doubling-in-pcall", "local s = 'x' while true do pcall(function() s = s .. s end) end", MEMORY),
    ("table-bomb", "local t = {} for i = 1, 1 << 40 do t[i] = i end", EITHER),
    (
        "table-bomb-in-pcall",
        "local t = {} while true do pcall(function() while true do t[#t + 1] = {} end end) end",
        EITHER,
    ),
    (
        "table-bomb-in-coroutine",
        "local t = {} while true do coroutine.resume(coroutine.create(function() while true do"
        " t[#t + 1] = {} end end)) end",
        EITHER,
    ),
    ("coroutine-bomb", "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end", EITHER),
    ("closure-bomb", "local f = function() end while true do local g = f f = function() return g end end", EITHER),
    (
        "compare-long-strings",
        "local a = ('x'):rep(8000000) .. 'a' local b = ('x'):rep(8000000) .. 'b' while true do local c = a < b end",
        TIME,
    ),
    ("pattern-stars", "return (('a'):rep(40)):find(('a*'):rep(40) .. 'b')", TIME),
    ("pattern-lazy", "return (('a'):rep(3000)):match('.-.-.-.-.-b')", TIME),
    ("pattern-optional", "return (('a'):rep(30)):match(('a?'):rep(30) .. ('a'):rep(30) .. 'b')", EITHER),
    ("pattern-quadratic", "return (('a'):rep(4000000)):find('a+b')", TIME),
    ("pattern-quadratic-gsub", "return (('a'):rep(4000000)):gsub('a-b', '')", TIME),
    ("pattern-quadratic-gmatch", "for _ in (('a'):rep(4000000)):gmatch('a*b') do end", TIME),
    ("pattern-balance", "return (('('):rep(1000000)):find('%b()')", TIME),
    ("pattern-backref", "return (('a'):rep(20000)):find('(a*)%1b')", TIME),
    ("pattern-in-loop", "local s = ('a'):rep(200) while true do s:find('a+a+b') end", TIME),
    ("pattern-in-pcall", "while true do pcall(string.find, ('a'):rep(40), ('a*'):rep(40) .. 'b') end", TIME),
    ("plain-find", "return (('a'):rep(16000000)):find(('a'):rep(8000000) .. 'b', 1, true)", TIME),
    ("gsub-recursion", "local function f(s) return (s:gsub('.', f)) end return f('x')", FINE),
    ("gsub-callback-loop", "return ('x'):gsub('.', function() while true do end end)", TIME),
    ("gsub-grows", "local s = 'x' while true do s = s:gsub('.', '%0%0') end", EITHER),
    ("format-huge", "local s = ('x'):rep(20000000) return #string.format('%s%s%s%s', s, s, s, s)", EITHER),
    ("format-loop", "local s = ('x'):rep(10000000) while true do local t = string.format('%s!', s) end", TIME),
    (
        "concat-lying-len",
        "return table.concat(setmetatable({}, { __len = function() return 1 << 60 end, __index ="
        " function() return '' end }))",
        EITHER,
    ),
    ("insert-lying-len", "table.insert(setmetatable({}, { __len = function() return 1 << 60 end }), 1, 1)", TIME),
    ("remove-lying-len", "table.remove(setmetatable({}, { __len = function() return 1 << 60 end }), 1)", TIME),
    (
        "crafted-border",
        "local t = {} for i = 0, 61 do t[1 << i] = 1 end while true do table.insert(t, 1, 1) table.remove(t, 1) end",
        TIME,
    ),
    ("unpack-huge", "return table.unpack({}, 1, 1 << 60)", FINE),
    ("unpack-loop", "while true do table.unpack({}, 1, 200000) end", TIME),
    ("move-huge", "table.move({}, 1, 1 << 60, 2)", TIME),
    (
        "sort-huge-strings",
        "local s = ('x'):rep(1000000) local t = {} for i = 1, 3000 do t[i] = s end while true do table.sort(t) end",
        TIME,
    ),
    (
        "sort-lying-order",
        "local t = {} for i = 1, 100000 do t[i] = i end table.sort(t, function() return true end) while true do end",
        EITHER,
    ),
    (
        "sort-lying-len",
        "table.sort(setmetatable({}, { __len = function() return 1 << 30 end, __index = function()"
        " return 1 end, __newindex = function() end }))",
        TIME,
    ),
    ("utf8-len", "local s = ('x'):rep(20000000) while true do utf8.len(s) end", TIME),
    ("utf8-offset", "local s = ('x'):rep(20000000) while true do utf8.offset(s, 20000000) end", TIME),
    ("upper-loop", "local s = ('x'):rep(10000000) while true do s:upper() end", TIME),
    ("pack-padding", "return #string.pack('c2000000000', '')", MEMORY),
    ("byte-loop", "local s = ('x'):rep(200000) while true do s:byte(1, 200000) end", TIME),
    (
        "char-spread",
        "local t = {} for i = 1, 200000 do t[i] = 65 end while true do string.char(table.unpack(t)) end",
        TIME,
    ),
    ("load-endless-reader", "return load(function() return ' ' end)", EITHER),
    ("load-endless-reader-newlines", "while true do load(function() return 'x=1 ' end) end", TIME),
    ("load-loop", "while true do load(('x = 1 '):rep(10000)) end", TIME),
    ("load-deep", "return load(('('):rep(100000))", FINE),
    ("load-elseif-chain", "return load('if a then ' .. ('elseif a then '):rep(70000) .. 'end')", EITHER),
    ("recursion", "local function f() return 1 + f() end return f()", FINE),
    ("recursion-in-pcall", "local function f() pcall(f) return f() end f()", EITHER),
    ("tail-recursion", "local function f() return f() end f()", TIME),
    ("coroutine-recursion", "local function f() return coroutine.wrap(f)() end return f()", FINE),
    ("error-huge", "error(('x'):rep(30000000))", FINE),
    ("error-table-deep", "local t = {} for i = 1, 100000 do t = { t } end error(t)", FINE),
    ("print-flood", "while true do print(('x'):rep(1000)) end", TIME),
    ("print-huge", "print(('x'):rep(30000000)) return 1", FINE),
    ("return-huge", "local t = {} for i = 1, 600000 do t[i] = {} end return t", EITHER),
    ("return-shared", "local t = {} for i = 1, 60 do t = { t, t } end return t", EITHER),
    ("return-cycle", "local t = {} t.t = t return t", FINE),
    ("json-cycle", "local t = {} t.t = t return JSON.stringify(t)", FINE),
    ("json-shared", "local t = {} for i = 1, 60 do t = { t, t } end return JSON.stringify(t)", EITHER),
    ("json-deep", "return JSON.parse(('['):rep(1000000))", FINE),
    ("json-huge", "local s = '[' .. ('[],'):rep(3000000) .. '[]]' return #JSON.parse(s)", EITHER),
    ("json-parse-loop", "local s = '[' .. ('1,'):rep(1000) .. '1]' while true do JSON.parse(s) end", TIME),
    ("goto-loop", "::top:: goto top", TIME),
    ("repeat-collect", "while true do collectgarbage() end", TIME),
    ("collect-hides-hook", "while true do for i = 1, 20 do end collectgarbage('step') end", TIME),
    ("garbage-hides-hook", "while true do local t = {} t[1] = ('x'):rep(3000) end", TIME),
    (
        "index-chain",
        "local t = {} for i = 1, 1900 do t = setmetatable({}, { __index = t }) end while true do local x = t.y end",
        TIME,
    ),
    (
        "next-on-emptied-table",
        "local t = {} for i = 1, 400000 do t[i .. ''] = 1 end for k in pairs(t) do t[k] = nil end"
        " while true do next(t) end",
        EITHER,
    ),
    ("state-flood", "while true do pcall(State.get, 'k') end", TIME),
    (
        "state-fill-memory-then-call",
        "local t = {} while true do t[#t + 1] = ('x'):rep(100) if #t % 50 == 0 then pcall(State.get, 'k') end end",
        EITHER,
    ),
    ("session-list-flood", "while true do pcall(Session.list, {}) end", TIME),
    ("date-huge", "while true do pcall(os.date, ('x'):rep(10000000)) end", EITHER),
    ("tonumber-spaces", "local s = (' '):rep(8000000) .. '1' while true do tonumber(s) end", TIME),
    (
        "arithmetic-spaces",
        "local s = (' '):rep(8000000) .. '1' while true do pcall(function() return s + 1 end) end",
        TIME,
    ),
    (
        "varargs",
        "local function f(...) while true do local n = select('#', ...) local t = { ... } end end"
        " f(table.unpack({}, 1, 200000))",
        TIME,
    ),
]
