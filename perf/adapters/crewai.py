"""CrewAI: GreenroomFlowPersistence beside SQLiteFlowPersistence, which leaves its synchronous level at FULL. CrewAI
has none in memory; at NORMAL, it is the same class with that level set on each of its connections."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

os.environ.update(CREWAI_DISABLE_TELEMETRY="true", CREWAI_TRACING_ENABLED="false")

from crewai.flow.async_feedback.types import PendingFeedbackContext
from crewai.flow.persistence import SQLiteFlowPersistence, sqlite
from measure import Row, size_of

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.crewai import GreenroomFlowPersistence

WORDS = Path(__file__).read_text("utf-8").split()


def message(n: int) -> dict[str, str]:
    return {"role": "user", "content": " ".join(WORDS[(n * 7 + k * k * 13 + k) % len(WORDS)] for k in range(30))}


def state(messages: int) -> dict[str, Any]:
    return {"id": "f", "topic": "a topic", "step": 0, "messages": [message(n) for n in range(messages)]}


def _connected(connect: Callable[..., sqlite3.Connection], normal: str) -> Callable[..., sqlite3.Connection]:
    def connected(path: str, **options: Any) -> sqlite3.Connection:
        connection = connect(path, **options)
        if path == normal:
            connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    return connected


def rows(folder: Path) -> Iterator[Row]:
    normal = str(folder / "normal.db")
    connect = sqlite3.connect
    sqlite.sqlite3.connect = _connected(connect, normal)  # type: ignore[attr-defined,assignment]
    rt = Runtime.open(folder / "greenroom")
    stores: dict[str, Any] = {
        "greenroom": GreenroomFlowPersistence(rt),
        "SQLite NORMAL": SQLiteFlowPersistence(normal),
        "SQLite FULL": SQLiteFlowPersistence(str(folder / "full.db")),
    }
    asked = PendingFeedbackContext("f", "app.Review", "write", method_output="a draft", message="Good?")
    states = {length: state(length) for length in (5, 20, 1000)}
    for store in stores.values():
        for length, each in states.items():
            store.save_state(f"read {length}", "m", each)
        store.save_pending_feedback("asked", asked, states[5])

    def sides(call: Callable[[Any], Callable[[], Any]]) -> dict[str, Callable[[], Any]]:
        return {side: call(store) for side, store in stores.items()}

    def saving(length: int) -> Callable[[Any], Callable[[], Any]]:
        changing = state(length)

        def saver(store: Any) -> Callable[[], Any]:
            numbers = count()

            def save() -> None:
                changing["step"] = next(numbers)
                store.save_state(f"write {length}", "step", changing)

            return save

        return saver

    def asking(store: Any) -> Callable[[], Any]:
        def ask() -> None:
            store.save_pending_feedback("waiting", asked, states[5])
            store.clear_pending_feedback("waiting")

        return ask

    for length in (5, 20):
        yield Row(f"save_state, {length} messages", sides(saving(length)))
    for length in states:
        yield Row(
            f"load_state, {length} messages",
            sides(lambda store, length=length: lambda: store.load_state(f"read {length}")),  # type: ignore[misc]
        )
    yield Row("save and clear pending feedback", sides(asking))
    yield Row("load pending feedback", sides(lambda store: lambda: store.load_pending_feedback("asked")))
    rt.close()

    sizes = {}
    for side in ("greenroom", "SQLite"):
        place = folder / f"growth {side}"
        place.mkdir()
        store: Any = (
            GreenroomFlowPersistence(place / "store")
            if side == "greenroom"
            else SQLiteFlowPersistence(str(place / "flows.db"))
        )
        growing = state(0)
        for n in range(1000):
            growing["messages"].append(message(n))
            store.save_state("f", "step", growing)
        if side == "greenroom":
            store.close()
        sizes[side] = size_of(place)
    yield Row("on disk after 1000 saves of a state that grows by a message", sizes=sizes)
    sqlite.sqlite3.connect = connect  # type: ignore[attr-defined]
