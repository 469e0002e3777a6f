"""Native operations whose work grows faster than what they are given: each ends soon after its script, and so does its
thread. The time is bounded by the test's own timeout alone, far less than most of them took without a bound."""

from __future__ import annotations

import contextlib
import time

import pytest

from greenroom.runtime import Runtime, ScriptError, ScriptMemoryExceeded, ScriptTimeout
from greenroom.scripting.running import engine

_BLANKS = "local s = (' '):rep(20000000) .. '65' local t = {} for i = 1, 100000 do t[i] = s end "
_NULS = "local a, b = ('\\0'):rep(%d) .. 'a', ('\\0'):rep(%d) .. 'b' "
_COMPARE = "local x = " + " x = ".join(["a < b"] * 40) + " "

FAMILIES = {
    "load-or": "return load('return ' .. ('a or '):rep(200000) .. 'a')",
    "load-and": "return load('return ' .. ('a and '):rep(170000) .. 'a')",
    "load-mixed": "return load('return ' .. ('a and b or '):rep(90000) .. 'a')",
    "load-comparisons": "return load('return ' .. ('a<b or '):rep(140000) .. 'a')",
    "load-elseif": "return load('if a then ' .. ('elseif a then '):rep(70000) .. 'end')",
    "load-in-if": "return load('if ' .. ('a or '):rep(200000) .. 'a then end')",
    "load-through-a-reader": """
        local n = 0
        return load(function()
          n = n + 1
          if n == 1 then return 'return ' end
          return n < 200000 and 'a or ' or n == 200000 and 'a' or nil
        end)""",
    "source": "return function() return " + "a or " * 200000 + "a end",
    "numbers-max": _BLANKS + "return math.max(table.unpack(t))",
    "numbers-min": _BLANKS + "return math.min(table.unpack(t))",
    "numbers-char": _BLANKS + "return #string.char(table.unpack(t))",
    "numbers-utf8-char": _BLANKS + "return #utf8.char(table.unpack(t))",
    "numbers-format": _BLANKS + "return #string.format(('%d'):rep(100000), table.unpack(t))",
    "lengths-format": _BLANKS + "return #string.format(('%.1s'):rep(100000), table.unpack(t))",
    "numbers-pack": _BLANKS + "return #string.pack(('b'):rep(60000), table.unpack(t, 1, 60000))",
    "numbers-one-by-one": _BLANKS + "while true do math.floor(s) end",
    "compare": _NULS % (1_500_000, 1_500_000) + "while true do " + _COMPARE + "end",
    "sort": "local t = {} for i = 1, 99 do t[i] = ('\\0'):rep(600000) .. i end"
    " for i = 100, 160 do t[i] = t[i - 99] end while true do table.sort(t) end",
    "sort-one-string": "local s = ('\\0'):rep(1000) local t = {} for i = 1, 100000 do t[i] = s end"
    " while true do table.sort(t) end",
    "pattern": "local p = {} for i = 1, 190 do p[i] = string.char(i + 34):gsub('%p', '%%%0') .. '*' end"
    " return ('#'):rep(4300):find(table.concat(p) .. '\\1')",
    "pattern-gsub": "local p = {} for i = 1, 190 do p[i] = string.char(i + 34):gsub('%p', '%%%0') .. '-' end"
    " return ('#'):rep(4300):gsub(table.concat(p) .. '\\1', '')",
    "format-of-pack": "local f = (' '):rep(15000000) while true do pcall(string.pack, f) end",
    "format-of-packsize": "local f = (' '):rep(15000000) while true do pcall(string.packsize, f) end",
    "format-of-unpack": "local f = (' '):rep(15000000) while true do pcall(string.unpack, f, '') end",
    "format-of-date": "local f = ('%p'):rep(10000000) while true do pcall(os.date, f) end",
    "an-old-coroutine": "local a, b local co = coroutine.wrap(function() coroutine.yield() while true do "
    + _COMPARE
    + "end end) co() a, b = ('\\0'):rep(1500000) .. 'a', ('\\0'):rep(1500000) .. 'b' co()",
    "an-old-coroutine-that-closes": """
        local a, b
        local co = coroutine.create(function()
          local x <close> = setmetatable({}, { __close = function() while true do """
    + _COMPARE
    + """end end })
          coroutine.yield()
        end)
        coroutine.resume(co)
        a, b = ('\\0'):rep(1500000) .. 'a', ('\\0'):rep(1500000) .. 'b'
        coroutine.close(co)""",
    "after-a-coroutine": "local a, b local co = coroutine.wrap(function() "
    "a, b = ('\\0'):rep(1500000) .. 'a', ('\\0'):rep(1500000) .. 'b' end) co() while true do " + _COMPARE + "end",
    "a-hook-in-a-coroutine": """
        local a, b
        Hook.register('BeforeStateWrite', function()
          a, b = ('\\0'):rep(1500000) .. 'a', ('\\0'):rep(1500000) .. 'b'
        end)
        coroutine.wrap(function() State.set('k', 1) while true do """
    + _COMPARE
    + "end end)()",
    "many-coroutines": _NULS % (50_000, 50_000)
    + "while true do coroutine.wrap(function() for i = 1, 100 do "
    + _COMPARE
    + "end end)() end",
    "many-yields": _NULS % (50_000, 50_000)
    + "local t = {} while true do t[#t + 1] = coroutine.wrap(function() for i = 1, 100 do "
    + _COMPARE
    + "end coroutine.yield() end) t[#t]() end",
}


@pytest.mark.timeout(25)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_native_operation_ends_with_its_script(shared_runtime: Runtime, family: str) -> None:
    with contextlib.suppress(ScriptTimeout, ScriptMemoryExceeded, ScriptError):
        shared_runtime.run_script(FAMILIES[family], timeout=0.2)
    while engine.threads.busy:
        time.sleep(0.005)


def test_ordinary_use_of_the_same_functions_is_as_in_lua(shared_runtime: Runtime) -> None:
    script = """
    assert(math.max(1, 5, 3, 2, 4) == 5 and not pcall(math.max, '7', 2) and math.min(3, 1.5, 2, 9, 8) == 1.5)
    assert(not pcall(math.max) and not pcall(math.max, 1, 2, 3, 4, 'x'))
    assert(string.char() == '' and string.char(72, 105, 33, 33, 33) == 'Hi!!!')
    assert(string.format('%d %s %5.1f %q %x|%s', 1, 'b', 2.5, 'c', 255, {} ~= nil) == '1 b   2.5 "c" ff|true')
    assert(string.pack('>I2I2I2I2I2', 1, 2, 3, 4, 5) == '\\0\\1\\0\\2\\0\\3\\0\\4\\0\\5')
    assert(utf8.char(72, 228, 8364, 128512, 33) == 'Hä€😀!')
    assert(os.date('!%Y-%m-%d', 0) == '1970-01-01')
    local chain = {}
    for i = 1, 3000 do chain[i] = 'x == ' .. i end
    local f = assert(load('local x = ... return ' .. table.concat(chain, ' or ') .. ' or false'))
    assert(f(3000) and not f(3001))
    local long = ('-- a comment of some length\\n'):rep(20000) .. 'return 7'
    assert(load(long)() == 7)
    local bad, message = load(('x = 1\\n'):rep(5000) .. 'x = = 1')
    assert(bad == nil and message:find(':5001:', 1, true))
    local closed = false
    local co = coroutine.create(function()
      local x <close> = setmetatable({}, { __close = function() closed = true end })
      coroutine.yield(1, 2)
    end)
    local ok, one, two = coroutine.resume(co)
    assert(ok and one == 1 and two == 2 and coroutine.close(co) and closed)
    assert(not pcall(coroutine.close, 1))
    return true"""
    assert shared_runtime.run_script(script).value is True
