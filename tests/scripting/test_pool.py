"""Sandboxes that are made ahead: each serves one script, there are few of them, and they end with their users."""

from __future__ import annotations

import contextlib
import time

import pytest

from greenroom.runtime import GreenroomError, Runtime
from greenroom.runtime.scripts.scripts import engine_for
from greenroom.scripting.lua import LuaEngine
from greenroom.scripting.running.pool import Pool

from .lua.children import run_child

LEFT = """
left = 1
string.upper, table.insert, math.floor, os.time = nil, nil, nil, nil
Session.create, State, Tool.mine, JSON.parse = nil, nil, 1, nil
getmetatable(left and {} or nil)
Replay.modes.exact = "other"
Hook.register("BeforeStateWrite", function() return "cancel" end)
Event.on("**", function() end)
coroutine.resume(coroutine.create(function() error("x") end))
"""
SEES = """
return { left == nil, type(string.upper), type(table.insert), type(math.floor), type(os.time), type(Session.create),
         type(State), Tool.mine == nil, type(JSON.parse), Replay.modes.exact, #Hook.list(), State.set("k", 1) }
"""


def filled(pool: Pool) -> Pool:
    """Wait until there are sandboxes; the test's timeout bounds it."""
    while not pool.ready:
        time.sleep(0.005)
    return pool


def test_no_script_sees_what_an_earlier_one_left(runtime: Runtime) -> None:
    pool = LuaEngine().pool
    for _ in range(8):
        runtime.run_script(LEFT)
        assert runtime.run_script(SEES).value == [
            *(True, "function", "function", "function", "function", "function", "table", True, "function", "exact"),
            *(0, True),
        ]
    assert pool.ready == 0  # an engine has a pool of its own


@pytest.mark.parametrize("source", ["return 1", "error('x')", "while true do end", "return ('x'):rep(30000000)"])
def test_a_script_leaves_a_full_pool_however_it_ends(runtime: Runtime, source: str) -> None:
    engine = engine_for("lua", None)
    assert isinstance(engine, LuaEngine)
    with contextlib.suppress(GreenroomError):
        runtime.run_script(source, timeout=0.2)
    assert 0 < filled(engine.pool).ready <= 8 * engine.ready


def test_sandboxes_end_with_the_last_runtime() -> None:
    out = run_child("""
        import time
        from greenroom.runtime import Runtime
        from greenroom.runtime.scripts.scripts import engine_for
        pool = engine_for("lua", None).pool
        with Runtime.open() as one, Runtime.open() as other:
            one.run_script("return 1")
            other.run_script("return 1")
            while pool.ready < 4:
                time.sleep(0.005)
            one.close()
            print(pool.ready > 0)
        while pool._working:
            time.sleep(0.005)
        print(pool.ready)
        with Runtime.open() as third:
            print(third.run_script("return 2").value)
    """)
    assert out.split() == ["True", "0", "2"]


def test_a_forked_child_leaves_the_sandboxes_of_its_parent_alone() -> None:
    out = run_child("""
        import os, sys, time, gc
        from greenroom.runtime import Runtime
        from greenroom.runtime.scripts.scripts import engine_for
        with Runtime.open() as runtime:
            pool = engine_for("lua", None).pool
            runtime.run_script("return 1")
            while not pool.ready:
                time.sleep(0.005)
            child = os.fork()
            if not child:
                gc.collect()
                sys.exit(7 if pool.ready == 0 and not pool._lock.locked() else 8)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), runtime.run_script("return 3").value)
    """)
    assert out.split() == ["7", "3"]
