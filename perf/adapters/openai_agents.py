"""OpenAI Agents: GreenroomSession beside SQLiteSession in a file, at both synchronous levels, and in memory.

SQLiteSession knows no in-memory form but SQLite's own `:memory:`. `add` is one exchange: a question and an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agents import SQLiteSession
from measure import Row, size_of
from peers.openai_agents import Normal, Synchronous, exchange

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.openai_agents import GreenroomSession

FULL, NORMAL, MEMORY = "SQLite FULL", "SQLite NORMAL", "memory"


def said(n: int) -> list[Any]:
    text = f"turn {n}: " + "the quick brown fox jumps over the lazy dog. " * 4
    return exchange(text, text)


def rows(folder: Path) -> Iterator[Row]:
    rt = Runtime.open(folder / "greenroom")
    loop = asyncio.new_event_loop()
    makers: dict[str, Callable[[str], Any]] = {
        "greenroom": lambda name: GreenroomSession(name, rt),
        NORMAL: lambda name: Normal(name, folder / "normal.db"),
        FULL: lambda name: Synchronous(name, folder / "full.db"),
        MEMORY: SQLiteSession,
    }

    def sides(call: Callable[[Any], Callable[[], Any]], name: str, filled: int = 0) -> dict[str, Callable[[], Any]]:
        made = {}
        for side, make in makers.items():
            session = make(name)
            for n in range(filled // 2):
                loop.run_until_complete(session.add_items(said(n)))
            made[side] = call(session)
        return made

    def run(method: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        return lambda: loop.run_until_complete(method(*args))

    pair, one = said(0), said(0)[:1]
    yield Row("put: add_items of 2", sides(lambda session: run(session.add_items, pair), "put"))

    def append_and_pop(session: Any) -> Callable[[], Any]:
        async def both() -> None:
            await session.add_items(one)
            await session.pop_item()

        return run(both)

    yield Row("append to 1000 and pop", sides(append_and_pop, "append", 1000))
    yield Row("get: the newest item of 1000", sides(lambda session: run(session.get_items, 1), "get", 1000))
    yield Row("read 20 of 1000", sides(lambda session: run(session.get_items, 20), "r20", 1000))
    yield Row("read 1000", sides(lambda session: run(session.get_items), "r1000", 1000))

    def concurrently(session: Any) -> Callable[[], Any]:
        async def main() -> None:
            await asyncio.gather(*(session.add_items(pair) for _ in range(16)))

        return run(main)

    yield Row("16 writers at once", sides(concurrently, "busy"))
    rt.close()

    sizes = {}
    with Runtime.open(folder / "growth") as growing:
        for side, session in (
            ("greenroom", GreenroomSession("g", growing)),
            (NORMAL, Normal("g", folder / "sqlite" / "growth.db") if not (folder / "sqlite").mkdir() else None),
        ):
            for n in range(500):
                loop.run_until_complete(session.add_items(said(n)))
            if side == NORMAL:
                session.close()
                sizes[side] = size_of(folder / "sqlite")
    sizes = {"greenroom": size_of(folder / "growth"), **sizes}
    yield Row("on disk after 1000 items", sizes=sizes)
    loop.close()
