"""Chainlit: GreenroomDataLayer beside SQLAlchemyDataLayer over SQLite, in WAL mode at both synchronous levels. Chainlit
has no data layer in memory."""

from __future__ import annotations

import asyncio
import os
import runpy
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import Mock

from measure import Row, size_of

from greenroom.runtime import Runtime

WORDS = Path(__file__).read_text("utf-8").split()
OWN_LAYER = Path(__file__).parents[2] / "tests" / "integrations" / "chainlit" / "own_layer.py"


def step(thread_id: str, n: int, output: str | None = None) -> Any:
    said = " ".join(WORDS[(n * 7 + k * k * 13 + k) % len(WORDS)] for k in range(30)) if output is None else output
    kind = "assistant_message" if n % 2 else "user_message"
    made = {"id": f"{thread_id}-{n}", "threadId": thread_id, "name": "ada", "type": kind, "output": said}
    return {
        **made,
        "streaming": False,
        "metadata": {},
        "createdAt": f"2026-01-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z",
    }


def sql_layer(path: Path, level: str) -> Any:
    from sqlalchemy import event

    layer = runpy.run_path(str(OWN_LAYER))["sql_layer"](path)

    def connected(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={level}")

    event.listen(layer.engine.sync_engine, "connect", connected)
    return layer


def rows(folder: Path) -> Iterator[Row]:
    os.environ["CHAINLIT_APP_ROOT"] = str(folder)  # where Chainlit writes its files, once it is imported
    from chainlit.context import ChainlitContext, context_var
    from chainlit.session import HTTPSession
    from chainlit.types import Pagination, ThreadFilter
    from chainlit.user import User

    from greenroom.runtime.integrations.chainlit import GreenroomDataLayer

    async def outside_of_a_session() -> None:
        context_var.set(ChainlitContext(Mock(spec=HTTPSession), emitter=Mock()))

    with asyncio.Runner() as runner, Runtime.open(folder / "greenroom") as rt:
        runner.run(outside_of_a_session())
        layers: dict[str, Any] = {"greenroom": GreenroomDataLayer(rt)}
        for level in ("NORMAL", "FULL"):
            layers[f"SQLite {level}"] = sql_layer(folder / f"{level}.db", level)
        users = {}
        for side, layer in layers.items():
            ada = runner.run(layer.create_user(User(identifier="ada")))
            users[side] = ada.id
            for number in range(200):
                runner.run(layer.update_thread(f"t{number}", user_id=ada.id, name=f"thread {number}"))
                runner.run(layer.create_step(step(f"t{number}", 0)))
            for length in (20, 1000):
                for n in range(length):
                    runner.run(layer.create_step(step(f"long{length}", n)))

        def row(name: str, work: Callable[[str, Any], Callable[[], Any]]) -> Row:
            def side(name: str, layer: Any) -> Callable[[], Any]:
                made = work(name, layer)
                return lambda: runner.run(made())

            return Row(name, {name: side(name, layer) for name, layer in layers.items()})

        def creating(_: str, layer: Any) -> Callable[[], Any]:
            numbers = count()
            return lambda: layer.create_step(step("new", next(numbers)))

        def updating(_: str, layer: Any) -> Callable[[], Any]:
            numbers = count()
            return lambda: layer.update_step(step("long20", 7, f"changed {next(numbers)}"))

        def listing(name: str, layer: Any) -> Callable[[], Any]:
            return lambda: layer.list_threads(Pagination(first=20), ThreadFilter(userId=users[name]))

        yield row("create_step", creating)
        yield row("update_step", updating)
        yield row("get_thread of 20 steps", lambda _, layer: lambda: layer.get_thread("long20"))
        yield row("get_thread of 1000 steps", lambda _, layer: lambda: layer.get_thread("long1000"))
        yield row("get_thread_author", lambda _, layer: lambda: layer.get_thread_author("t7"))
        yield row("list_threads: 20 of 200", listing)
        for layer in layers.values():
            runner.run(layer.close())

        sizes = {}
        for side in ("greenroom", "SQLite"):
            place = folder / f"growth {side}"
            place.mkdir()
            growing: Any = (
                GreenroomDataLayer(place / "store")
                if side == "greenroom"
                else sql_layer(place / "threads.db", "NORMAL")
            )
            for n in range(1000):  # a message, and an answer that is created before it is complete
                runner.run(growing.create_step(step("g", 2 * n)))
                runner.run(growing.create_step(step("g", 2 * n + 1, "")))
                runner.run(growing.update_step(step("g", 2 * n + 1)))
            runner.run(growing.close())
            sizes[side] = size_of(place)
    yield Row("on disk after 1000 turns", sizes=sizes)
