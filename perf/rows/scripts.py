"""Lua: what a sandbox costs, and a call from a script into the runtime. Tools: what a call costs that is journaled."""

from __future__ import annotations

from harness import MICRO, MILLI, Bench, Measured, at_most, row, summarize
from peers import SqliteRecords

LOOP = "local get, n = State.get, ... for i = 1, n do get('k') end"
EMPTY_LOOP = "local get, n = State.get, ... for i = 1, n do local x = get end"
CALLS = 5000


@row("a Lua call to State.get", at_most(6 * MICRO))
def state_get(bench: Bench) -> Measured:
    rt = bench.runtime()
    session = rt.create_session()
    session.set("k", 1)

    def seconds(source: str) -> float:
        return rt.run_script(source, session=session, args=[CALLS]).duration

    seconds(LOOP)
    per_call = [(seconds(LOOP) - seconds(EMPTY_LOOP)) / CALLS for _ in range(bench.rounds)]
    return summarize(per_call, [], "", note="less an empty loop")


@row("a fresh Lua sandbox", at_most(0.7 * MILLI))
def sandbox(bench: Bench) -> Measured:
    rt = bench.runtime()
    session = rt.create_session()
    return bench.time(
        lambda: rt.run_script("return 1", session=session), batch=20, note="run_script of `return 1`, all in all"
    )


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
