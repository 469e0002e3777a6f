"""Scripts: what a sandbox costs, and a call into the runtime, in every language, on a thread and in a process. Tools:
what a call costs that is journaled."""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import lupa.lua54
from harness import MICRO, MILLI, Bench, Measured, at_most, row, summarize, timed_batch
from peers.by_hand import SqliteRecords

from greenroom.runtime import Runtime, Session
from greenroom.scripting.definition.binding import CLOCK
from greenroom.scripting.definition.layout import Layout
from greenroom.scripting.definition.packing import pack
from greenroom.scripting.globals import layout_for
from greenroom.scripting.js.engine import JavaScriptEngine
from greenroom.scripting.js.quickjs import machine
from greenroom.scripting.js.sandbox import JavaScriptSandbox
from greenroom.scripting.lua.engine import LuaEngine
from greenroom.scripting.lua.sandbox import LuaSandbox
from greenroom.scripting.process.engine import IsolatingEngine
from greenroom.scripting.running.host import Host
from greenroom.scripting.running.sandbox import Job

ROUNDS: Final = {"lua": "local n = ... for i = 1, n do %s end", "js": "for (let i = 0; i < arguments[0]; i++) { %s }"}
NAMES: Final = {"lua": "a Lua call", "js": "a JavaScript call"}
BODIES: Final = {
    ("State.get", "lua"): "State.get('k')",
    ("State.get", "js"): "State.get('k')",
    ("Session.get", "lua"): "Session.get(arg[2])",
    ("Session.get", "js"): "Session.get(arguments[1])",
    ("Artifact.store", "lua"): "Artifact.store(nil, 'tool_result', 'a', ('x'):rep(1012) .. arg[3] .. i)",
    ("Artifact.store", "js"): "Artifact.store(undefined, 'tool_result', 'a', 'x'.repeat(1012) + arguments[2] + i)",
}
EMPTY: Final = {"lua": "local x = i", "js": "let x = i"}
CALLS: Final = {"State.get": 2000, "Session.get": 500, "Artifact.store": 200}
PAUSE: Final = 0.03
"""Seconds within which the pools make sandboxes ready."""
AT_ONCE: Final = 2
"""Scripts for which sandboxes are ready, in every pool."""


def measuring(bench: Bench, function: str, language: str, isolation: str = "thread") -> Callable[[], float]:
    """Return what measures the seconds of one call, less an empty loop."""
    rt = bench.runtime(script_instructions=1 << 40)
    session, count, numbers = roomy_session(rt), CALLS[function], itertools.count()

    def seconds(body: str) -> float:
        arguments = [count, session.id, next(numbers)]
        source = ROUNDS[language] % body
        result = rt.run_script(source, language, session=session, args=arguments, timeout=60, isolation=isolation)
        return result.duration

    def measure() -> float:
        return (seconds(BODIES[function, language]) - seconds(EMPTY[language])) / count

    measure()
    return measure


def roomy_session(rt: Runtime) -> Session:
    session = rt.create_session(
        name="measured", tags=["a", "b"], config={"max_artifacts": 1_000_000, "max_storage_bytes": 1 << 40}
    )
    session.set("k", 1)
    return session


def from_python(bench: Bench, function: str) -> Callable[[], float]:
    """Return what measures the seconds of the same call from Python."""
    rt = bench.runtime()
    session, numbers = roomy_session(rt), itertools.count()
    calls: dict[str, Callable[[], object]] = {
        "State.get": lambda: session.get("k"),
        "Session.get": lambda: rt.session(session.id).info(),
        "Artifact.store": lambda: session.store_artifact("tool_result", "a", "x" * 1012 + str(next(numbers))),
    }
    return lambda: timed_batch(calls[function], CALLS[function], None) / CALLS[function]


def in_turns(bench: Bench, ours: Callable[[], float], baseline: Callable[[], float], name: str, note: str) -> Measured:
    pairs = [(ours(), baseline()) for _ in range(bench.rounds)]
    return summarize([each for each, _ in pairs], [each for _, each in pairs], name, note=note)


def call_from_script(function: str, language: str, bench: Bench) -> Measured:
    ours, baseline = measuring(bench, function, language), from_python(bench, function)
    return in_turns(bench, ours, baseline, "from Python", "less an empty loop")


for (_function, _language), _target in {
    ("State.get", "lua"): at_most(6 * MICRO),
    ("Session.get", "lua"): None,
    ("Artifact.store", "lua"): None,
    ("State.get", "js"): None,
    ("Session.get", "js"): None,
    ("Artifact.store", "js"): None,
}.items():
    row(f"{NAMES[_language]} to {_function}", _target, group="scripts")(partial(call_from_script, _function, _language))


def call_from_process(language: str, bench: Bench) -> Measured:
    ours = measuring(bench, "State.get", language, "process")
    return in_turns(bench, ours, measuring(bench, "State.get", language), "on a thread", "less an empty loop")


row("a Lua call to State.get from a process", None, group="scripts")(partial(call_from_process, "lua"))
row("a JavaScript call to State.get from a process", None, group="scripts")(partial(call_from_process, "js"))


# -- sandboxes


def layout_of(bench: Bench) -> Layout:
    return layout_for("sandboxed", bench.runtime())


@row("a fresh Lua sandbox", at_most(0.7 * MILLI))
def fresh_lua(bench: Bench) -> Measured:
    layout = layout_of(bench)
    return bench.compare(
        lambda: LuaSandbox(layout).close(), lupa.lua54.LuaRuntime, "an empty Lua state of lupa", batch=20
    )


@row("a fresh JavaScript sandbox", at_most(15 * MILLI))
def fresh_js(bench: Bench) -> Measured:
    layout = layout_of(bench)
    return bench.compare(
        lambda: JavaScriptSandbox(layout).close(),
        lambda: machine().context(16 << 20).close(),
        "an empty heap of QuickJS",
        batch=10,
        note="the machine code is there",
    )


class NoHost(Host):
    def call(self, number: int, values: list[Any]) -> Any:
        return 60.0 if number == CLOCK else None


def from_pool(engine: IsolatingEngine, arguments: bytes, bench: Bench) -> Measured:
    """The time of getting a sandbox and running nothing in it, on the calling thread."""
    rt = bench.runtime()
    layout = layout_for("sandboxed", rt)
    job = Job("return 1", "x", arguments, "sandboxed", 64 << 20, 1 << 30, 60.0, 1)

    def take_and_run(_: int) -> None:
        sandbox = engine.pool.take(rt, layout)
        sandbox.run(job, NoHost())
        engine.pool.give_back(sandbox)

    def when_ready(count: int) -> range:
        time.sleep(PAUSE)
        return range(count)

    return bench.time(take_and_run, prepare=when_ready, batch=AT_ONCE, note="`return 1` on the calling thread")


row("a Lua sandbox from the pool", at_most(0.2 * MILLI), group="scripts")(partial(from_pool, LuaEngine(), pack([])))
row("a JavaScript sandbox from the pool", at_most(5 * MILLI), group="scripts")(
    partial(from_pool, JavaScriptEngine(), pack([]))
)


def start(language: str, isolation: str, bench: Bench) -> Measured:
    """The time of a script that does nothing, when a sandbox is ready, without what is journaled around it."""
    rt = bench.runtime()

    def seconds(isolation: str) -> float:
        time.sleep(PAUSE)  # the pools make the next ones ready
        runs = [rt.run_script("return 1", language, isolation=isolation).duration for _ in range(AT_ONCE)]
        return statistics.median(runs)

    seconds(isolation)
    if isolation == "thread":
        return summarize([seconds("thread") for _ in range(bench.rounds)], [], "", note="`return 1`")
    return in_turns(bench, lambda: seconds("process"), lambda: seconds("thread"), "on a thread", "`return 1`")


row("a Lua script, a sandbox is ready", at_most(1 * MILLI), group="scripts")(partial(start, "lua", "thread"))
row("a JavaScript script, a sandbox is ready", at_most(5 * MILLI), group="scripts")(partial(start, "js", "thread"))
row("a Lua script, a process is ready", None, group="scripts")(partial(start, "lua", "process"))
row("a JavaScript script, a process is ready", None, group="scripts")(partial(start, "js", "process"))


@row("scripts in processes, one after the other: each", None)
def processes(bench: Bench) -> Measured:
    rt = bench.runtime()
    program = [sys.executable, "-I", "-S", "-c", "pass"]
    return bench.compare(
        lambda: rt.run_script("return 1", isolation="process"),
        lambda: subprocess.run(program, check=True),
        "a Python process that does nothing",
        batch=5,
        note="no longer than a process takes to be made ready",
    )


@row("the first script in a process, with its fork server", None)
def first_process(bench: Bench) -> Measured:
    def fresh(count: int) -> list[Runtime]:
        return [bench.runtime() for _ in range(count)]

    return bench.compare(
        lambda rt: rt.run_script("return 1", isolation="process"), None, "", prepare=fresh, batch=1, rounds=7
    )


# -- tools


def add(a: int, b: int) -> int:
    return a + b


@row("call a tool on its own thread", at_most(110 * MICRO))
def own_thread(bench: Bench) -> Measured:
    return _tool_called(bench, quick=False)


@row("call a quick tool on its caller's thread", at_most(45 * MICRO))
def callers_thread(bench: Bench) -> Measured:
    return _tool_called(bench, quick=True)


def _tool_called(bench: Bench, *, quick: bool) -> Measured:
    rt, peer = bench.runtime(), bench.keep(SqliteRecords(bench.directory()))
    rt.tools.register("add", add, quick=quick)
    session, held = rt.create_session(), list[tuple[str, object]]()

    def by_hand() -> int:
        peer.put(b"called", b"add [1, 2]")
        result = add(1, 2)
        peer.put(b"returned", b"3")
        return result

    def in_memory() -> int:
        held.append(("called", (1, 2)))
        held.append(("returned", add(1, 2)))
        return 3

    return bench.compare(
        lambda: session.call_tool("add", {"a": 1, "b": 2}),
        by_hand,
        "SQLite WAL/NORMAL, two writes",
        memory=in_memory,
        batch=100,
    )
