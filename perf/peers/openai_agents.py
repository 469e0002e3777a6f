"""OpenAI Agents: SQLiteSession in a file. A session begins with its first item, so creating one is no work."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from pathlib import Path
from typing import Any, Final

from agents import SQLiteSession

from peers import side as s

REQUIRES: Final = "openai-agents"


class Synchronous(SQLiteSession):
    """A SQLiteSession at a given synchronous level."""

    level = "FULL"

    @classmethod
    def _configure_connection(cls, conn: sqlite3.Connection) -> None:
        SQLiteSession._configure_connection(conn)
        conn.execute(f"PRAGMA synchronous={cls.level}")


class Normal(Synchronous):
    level = "NORMAL"


def exchange(question: str, answer: str) -> list[Any]:
    """Return a question and its answer, as items of the SDK."""
    part = {"annotations": [], "text": answer, "type": "output_text", "logprobs": []}
    return [
        {"role": "user", "content": question},
        {"id": "msg", "content": [part], "role": "assistant", "status": "completed", "type": "message"},
    ]


def sides(folder: Path, level: s.Level) -> s.Side:
    folder.mkdir()
    loop = asyncio.new_event_loop()
    kind = Normal if level == "process" else Synchronous
    session, full = kind("growing", folder / "agents.db"), kind("full", folder / "agents.db")
    numbers = itertools.count()

    async def fill() -> None:
        for number in range(s.TURNS // 2):
            await full.add_items(exchange(*s.turn(number)))

    loop.run_until_complete(fill())
    work = {
        s.APPEND: lambda: session.add_items(exchange(*s.turn(next(numbers)))),
        s.READ_20: lambda: full.get_items(20),
        s.READ_1000: lambda: full.get_items(1000),
    }

    def close() -> None:
        session.close()
        full.close()
        loop.close()

    return s.Side(
        "OpenAI Agents",
        {what: s.awaited(loop, call) for what, call in work.items()},
        lambda: s.grown(folder / "growth", _write),
        close,
    )


def _write(folder: Path) -> None:
    async def all_turns() -> None:
        session = Normal("grown", folder / "agents.db")
        for number in range(s.TURNS):
            await session.add_items(exchange(*s.turn(number)))
        session.close()

    asyncio.run(all_turns())
