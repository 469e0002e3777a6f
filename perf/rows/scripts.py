"""Lua: what a sandbox costs, and what a call from a script into the runtime costs."""

from __future__ import annotations

from harness import MICRO, MILLI, Bench, Measured, at_most, row, summarize

LOOP = "local get, n = State.get, ... for i = 1, n do get('k') end"
EMPTY_LOOP = "local get, n = State.get, ... for i = 1, n do local x = get end"
CALLS = 5000


@row("a Lua call to State.get", at_most(10 * MICRO))
def state_get(bench: Bench) -> Measured:
    rt = bench.runtime()
    session = rt.create_session()
    session.set("k", 1)

    def seconds(source: str) -> float:
        return rt.run_script(source, session=session, args=[CALLS]).duration

    seconds(LOOP)
    per_call = [(seconds(LOOP) - seconds(EMPTY_LOOP)) / CALLS for _ in range(bench.rounds)]
    return summarize(per_call, [], "", note="less an empty loop")


@row("a fresh Lua sandbox", at_most(1 * MILLI))
def sandbox(bench: Bench) -> Measured:
    rt = bench.runtime()
    session = rt.create_session()
    return bench.time(
        lambda: rt.run_script("return 1", session=session), batch=20, note="run_script of `return 1`, all in all"
    )
