"""AsyncRuntime: how much of the synchronous API's rate many tasks have, and for how long they stall the event loop."""

from __future__ import annotations

import asyncio
import gc
import statistics
import threading
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any, NamedTuple

from harness import Bench, Measured, at_least, at_most, row

from greenroom.runtime import AsyncRuntime, AsyncSession, Runtime

GETS = 40_000
"""So many that the time in which asyncio starts and ends a thousand tasks does not count."""
SETS = 4000
SYNCED = 100
"""The calls of which each waits for the disk."""
TASKS = (1, 100, 1000)


class Seen(NamedTuple):
    """The rate of calls, and the longest time in which nothing else of the loop ran."""

    rate: float
    stall: float


def _loops() -> dict[str, Callable[[Coroutine[Any, Any, Any]], Any]]:
    loops: dict[str, Callable[[Coroutine[Any, Any, Any]], Any]] = {"asyncio": asyncio.run}
    try:
        import uvloop
    except ImportError:
        return loops
    return {**loops, "uvloop": uvloop.run}


async def _watched(rt: Runtime, tasks: int, calls: int, call: Callable[[AsyncSession], Any]) -> Seen:
    async with AsyncRuntime.over(rt) as face:
        sessions = [await face.create_session() for _ in range(min(tasks, 50))]
        for session in sessions:
            await session.set("k", 1)
        gaps: list[float] = []
        gc.collect()
        gc.freeze()  # as services do once they have begun: what the bench itself has loaded is not searched again

        async def watch() -> None:
            last = perf_counter()
            while True:
                await asyncio.sleep(0)
                now = perf_counter()
                gaps.append(now - last)
                last = now

        async def work(number: int) -> None:
            for _ in range(calls // tasks):
                await call(sessions[number % len(sessions)])

        working = [asyncio.create_task(work(number)) for number in range(tasks)]
        watching = asyncio.create_task(watch())
        begun = perf_counter()
        await asyncio.gather(*working)
        took = perf_counter() - begun
        watching.cancel()
        gc.unfreeze()
        return Seen(calls // tasks * tasks / took, max(gaps))


def _measured(bench: Bench, durability: str, kind: str) -> tuple[Measured, Measured]:
    """Return the worst rate of all numbers of tasks and loops beside the synchronous one, and the longest stall."""
    rt = bench.runtime(durability=durability)
    plain = rt.create_session()
    plain.set("k", 1)
    set_or_get: Callable[[AsyncSession], Any] = (lambda s: s.get("k")) if kind == "get" else (lambda s: s.set("k", 1))
    calls = GETS if kind == "get" else SETS if durability == "wal" else SYNCED
    seen: dict[str, list[Seen]] = {}
    sync: list[float] = []
    for _ in range(bench.rounds):
        begun = perf_counter()
        for _ in range(calls):
            if kind == "get":
                plain.get("k")
            else:
                plain.set("k", 1)
        sync.append(calls / (perf_counter() - begun))
        for loop, run in _loops().items():
            for tasks in TASKS:
                made = _watched(rt, tasks, max(calls, tasks), set_or_get)
                seen.setdefault(f"{tasks} {loop}", []).append(run(made))
    rates = {name: statistics.median(each.rate for each in every) for name, every in seen.items()}
    stalls = {name: statistics.median(each.stall for each in every) for name, every in seen.items()}
    base = statistics.median(sync)
    note = "; ".join(f"{name}: {rates[name]:.0f}/s, {1000 * stalls[name]:.1f} ms" for name in seen)
    slowest = min((name for name in rates if not name.startswith("1 ")), key=lambda name: rates[name])
    return (
        Measured(rates[slowest], "1/s", base, "synchronous", rates[slowest] / base, note=note),
        Measured(max(stalls.values()), "s", note=note),
    )


def _rows(durability: str, kind: str) -> None:
    @row(f"async {kind} at {durability}, 100 and 1000 tasks: rate beside the synchronous one", at_least(0.5, "ratio"))
    def rate(bench: Bench) -> Measured:
        return _measured(bench, durability, kind)[0]

    @row(f"async {kind} at {durability}, 1 to 1000 tasks: longest stall of the loop", at_most(0.01))
    def stall(bench: Bench) -> Measured:
        return _measured(bench, durability, kind)[1]


for _durability in ("wal", "fsync"):
    for _kind in ("get", "set"):
        _rows(_durability, _kind)


@row("async set on a session whose turn is held 20 ms: longest stall of the loop", at_most(0.002))
def busy(bench: Bench) -> Measured:
    rt = bench.runtime()

    async def main() -> float:
        async with AsyncRuntime.over(rt) as face:
            session = await face.create_session()
            await session.set("k", 1)
            actor = rt.core.supervisor.table.actors[session.id]
            held, go = threading.Event(), threading.Event()

            def hold() -> None:
                held.set()
                go.wait(0.02)

            holding = threading.Thread(target=lambda: actor.in_turn(hold, 5))
            holding.start()
            await asyncio.to_thread(held.wait)
            setting = asyncio.create_task(session.set("k", 2))
            worst, last = 0.0, perf_counter()
            while not setting.done():
                await asyncio.sleep(0.0005)
                now = perf_counter()
                worst, last = max(worst, now - last - 0.0005), now
            await setting
            await asyncio.to_thread(holding.join)
            return worst

    return Measured(statistics.median(asyncio.run(main()) for _ in range(5 * bench.rounds)), "s")
