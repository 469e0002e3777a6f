"""Whatever crosses into a script's state has room there, so nothing freezes the host or aborts it."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    ConfigurationError,
    Runtime,
    ScriptError,
    ScriptMemoryExceeded,
    ScriptTimeout,
    ValidationError,
)

from .children import run_child

MIB = 1 << 20

FILL = r"""
import itertools
from greenroom.runtime import GreenroomError, Runtime

# Fills the memory to the allocator's limit, but for LEFT KiB, by what fails when it does not fit.
FILL = '''
local left, turns = ...
local keep, reserve = {}, nil
for i = 1, 3000 do keep[i] = false end
for i = 1, 3000 do keep[i] = nil end
local function fill()
  reserve = ("r"):rep(left * 1024)
  local size = 512 * 1024
  while size >= 1024 do
    if not pcall(function() keep[#keep + 1] = ("x"):rep(size - 32 - #keep % 7) end) then size = size // 2 end
  end
  reserve = nil
  for i = 1, turns do end
end
local s = Session.create { name = "x" }
Session.setCurrent(s)
Session.setVariable(s, "big", ("v"):rep(60000))
Session.setVariable(s, "huge", ("v"):rep(900000))
local list = {} for i = 1, 2000 do list[i] = "row " .. i end
Session.setVariable(s, "list", list)
local sub = Event.subscribe("**")
Event.publish("custom.x", { d = ("e"):rep(60000) })
'''
ENDS = {
    "reply": "fill() return #State.get('big')",
    "large reply": "fill() return #State.get('huge')",
    "packed reply": "fill() return #State.get('list')",
    "event": "fill() return Event.receive(sub, 0)",
    "field": "fill() return s.name",
    "print": "fill() print(1)",
    "error": "fill() State.set(('k'):rep(5000), 1)",
    "hook's argument": "Hook.register('AfterStateRead', function(c) return nil end) fill() return #State.get('big')",
    "hook fills": "Hook.register('BeforeStateRead', function() fill() end) return #State.get('big')",
    "hook answers": "Hook.register('BeforeStateRead', function() fill() return 'continue' end) return State.get('big')",
    "hook fails": "Hook.register('BeforeStateRead', function() fill() error('x') end) return #State.get('big')",
    "hook's error": "Hook.register('BeforeStateRead', function() error(setmetatable({}, "
    "{ __tostring = function() fill() return 'x' end })) end) return #State.get('big')",
    "hook's error in a coroutine": "Hook.register('BeforeStateRead', function() error(setmetatable({}, "
    "{ __tostring = function() fill() return 'x' end })) end) "
    "return coroutine.wrap(function() return #State.get('big') end)()",
    "handler": "Event.on('custom.*', function() fill() end) Event.publish('custom.y', {d = ('e'):rep(50000)})",
    "the script's error": "error(setmetatable({}, { __tostring = function() fill() return 'x' end }))",
    "error in a pcall": "pcall(function() fill() State.get({}) end) return State.get('big')",
    "result": "fill() return keep",
    "close": "local x <close> = setmetatable({}, { __close = function() fill() State.get('big') end })",
}
runtime = Runtime.open(config={"script_memory_bytes": 8 << 20})
for (name, end), left, turns in itertools.product(ENDS.items(), LEFTS, TURNS):
    try:
        runtime.run_script(FILL + end, args=[left, turns], timeout=20)
    except GreenroomError as error:
        assert error.code in ("ScriptMemoryExceeded", "ScriptError", "ScriptTimeout"), (name, left, error)
    print(name, left, turns, flush=True)
assert runtime.run_script("return 1").value == 1
print("alive")
runtime.close()
"""


@pytest.mark.parametrize("lefts", [(0, 1, 4, 16, 60), (100, 127, 129, 300, 900)])
def test_a_script_that_has_filled_its_memory_freezes_nothing_at_any_crossing(lefts: tuple[int, ...]) -> None:
    out = run_child(f"LEFTS, TURNS = {lefts!r}, (0, 37)\n" + FILL, seconds=100)
    assert out.endswith("alive\n")


def test_arguments_larger_than_the_memory_of_the_script_end_the_script_alone() -> None:
    out = run_child("""
        from greenroom.runtime import GreenroomError, Runtime, ScriptMemoryExceeded
        runtime = Runtime.open()
        small = Runtime.open(config={"script_memory_bytes": 1 << 20})
        for who, value in (
            (runtime, "x" * 70_000_000), (runtime, b"x" * 200_000_000), (runtime, [[["x" * 1000] * 1000] * 80]),
            (small, "x" * 3_500_000), (small, "x" * ((1 << 20) - 40)), (small, ["x" * 500_000] * 2),
            (small, "x" * ((1 << 20) - 200_000)),
        ):
            try:
                print(who.run_script("return #...", args=[value]).value)
            except ScriptMemoryExceeded as error:
                print(error.code)
            assert who.run_script("return 1").value == 1
        print("alive")
    """)
    assert out.endswith("alive\n")
    assert out.count("ScriptMemoryExceeded") == 4


def test_functions_of_a_script_nest_only_so_deep_whatever_the_stack_of_the_host() -> None:
    # each of the nested functions has used up most of what Lua lets calls of C nest, in a coroutine of its own
    out = run_child("""
        threading.stack_size(512 << 10)
        from greenroom.runtime import Runtime
        runtime = Runtime.open()
        session = runtime.create_session()
        source = '''
            local depth, deepest, refused = 0, 0, false
            local function deep(k, f)
              if k == 0 then return f() end
              string.gsub("x", "x", function() deep(k - 1, f) end)
            end
            for i = 1, 100 do
              Hook.register("BeforeStateRead", function()
                if refused then return end
                depth = depth + 1
                deepest = math.max(deepest, depth)
                coroutine.wrap(function() deep(150, function() State.get("k") end) end)()
                depth = depth - 1
                if depth == 0 or deepest >= 8 then refused = true end
              end)
            end
            State.get("k")
            return deepest
        '''
        print(runtime.run_script(source, session=session, timeout=60).value)
        print({event.data["error"] for event in session.events() if event.type == "hook.executed"})
        assert runtime.run_script("return 1").value == 1
        print(threading.stack_size())
    """)
    assert out.splitlines() == ["8", "{'ResourceLimitExceeded'}", str(512 << 10)]


STUCK = """
for i = 1, 64 do Event.subscribe('**') end
for i = 1, 100 do Hook.register('BeforeStateWrite', function() end) end
-- keys that all fall into one bucket once the table grows: one instruction of many seconds
local t = {} for i = 1, 66000 do t[i * ((1 << 17) - 1)] = i end
"""


def test_a_script_that_is_abandoned_holds_nothing_of_the_runtime(runtime: Runtime) -> None:
    session = runtime.create_session()
    with pytest.raises(ScriptTimeout):
        runtime.run_script(STUCK, session=session, timeout=0.3)
    assert runtime.hooks.list() == []
    assert not runtime.events.subscriptions
    session.set("k", 1)


def test_a_script_cannot_take_more_hooks_once_it_is_abandoned(runtime: Runtime) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def wait(input: Any) -> None:
        entered.set()
        go_on.wait(30)

    runtime.tools.register("wait", wait, timeout=60)
    ended: list[str] = []

    def run() -> None:
        try:
            source = "Tool.invoke('wait') Hook.register('BeforeStateWrite', function() end) Event.subscribe('**')"
            runtime.run_script(source, timeout=0.2)
        except ScriptTimeout as error:
            ended.append(error.code)

    thread = threading.Thread(target=run)
    thread.start()
    assert entered.wait(30)
    thread.join(30)
    go_on.set()
    assert ended == ["ScriptTimeout"]
    assert runtime.hooks.list() == []
    assert not runtime.events.subscriptions


class Raising:
    def __iter__(self) -> Any:
        raise RuntimeError("no")


ODD: list[dict[str, Any]] = [
    {"name": Path("x.lua")},
    {"name": 5},
    {"name": "n" * 256},
    {"profile": object()},
    {"profile": "root"},
    {"language": ["lua"]},
    {"language": "cobol"},
    {"timeout": float("nan")},
    {"timeout": -1},
    {"timeout": 1e12},
    {"timeout": 10**400},
    {"timeout": "x"},
    {"timeout": True},
    {"args": 5},
    {"args": "abc"},
    {"args": {"a": 1}},
    {"args": [object()]},
    {"args": [print]},
    {"args": [1j]},
    {"args": [{1, 2}]},
    {"args": Raising()},
    {"directories": "/tmp"},
    {"directories": [5]},
    {"directories": 5},
    {"echo": 5},
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: next(iter(odd)))
def test_an_odd_argument_is_its_callers_error_and_nothing_is_run(runtime: Runtime, odd: dict[str, Any]) -> None:
    session = runtime.create_session()
    before = session.info().sequence
    for _ in range(5):
        with pytest.raises((ValidationError, ConfigurationError)):
            runtime.run_script("return 1", session=session, **odd)
    assert session.info().status == "active"
    assert session.info().sequence == before


@pytest.mark.parametrize(
    "source", [["x"], 5, None, b"return 1", object(), Raising()], ids=lambda each: type(each).__name__
)
def test_a_source_is_text_or_a_path(runtime: Runtime, source: Any) -> None:
    with pytest.raises(ValidationError, match="source"):
        runtime.run_script(source)


def test_source_text_that_reads_like_a_file_name_is_hinted_at(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"Path\('step\.lua'\)") as caught:
        runtime.run_script("step.lua")
    assert caught.value.cause == "SyntaxError"
    file = tmp_path / "script"
    file.write_text("return 7")
    with pytest.raises(ScriptError, match="give it as a Path"):
        runtime.run_script(str(file))
    assert runtime.run_script(file).value == 7
    with pytest.raises(ScriptError) as caught:
        runtime.run_script("return return")
    assert "Path" not in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_a_script(runtime: Runtime, tmp_path: Path) -> None:
    file = tmp_path / "bom.lua"
    file.write_bytes(b"\xef\xbb\xbf#!/usr/bin/env greenroom\nreturn 1")
    assert runtime.run_script(file).value == 1
    assert runtime.run_script("\ufeffreturn 2").value == 2
    module = tmp_path / "module.lua"
    module.write_bytes(b"\xef\xbb\xbfreturn 3")
    assert runtime.run_script("return dofile(...)", args=[str(module)], profile="trusted").value == 3


def test_limits_of_memory_hold_for_what_hooks_are_given() -> None:
    with Runtime.open(config={"script_memory_bytes": MIB}) as runtime:
        session = runtime.create_session()
        session.set("big", "v" * 900_000)
        source = "Hook.register('AfterStateRead', function(c) return nil end) return #State.get('big')"
        with contextlib.suppress(ScriptMemoryExceeded):
            assert runtime.run_script(source, session=session).value == 900_000
        assert runtime.run_script("return 1", session=session).value == 1
