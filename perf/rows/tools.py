"""Tools: what a call costs that is journaled with its input and its result."""

from __future__ import annotations

from harness import MICRO, Bench, Measured, at_most, row
from peers import SqliteRecords


def add(a: int, b: int) -> int:
    return a + b


@row("call a tool on its own thread", at_most(110 * MICRO))
def own_thread(bench: Bench) -> Measured:
    rt, peer = bench.runtime(), bench.keep(SqliteRecords(bench.directory()))
    rt.tools.register("add", add)
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
