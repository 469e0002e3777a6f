"""Google ADK: GreenroomSessionService beside SqliteSessionService, at both synchronous levels, DatabaseSessionService
(SQLAlchemy and aiosqlite, which have to be installed too), and the one in memory.

`get 20` and `get 1000` read a session with so many events. Growth is the size on disk after 1000 events.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from google.adk.events.event import Event
from google.adk.sessions.database_session_service import DatabaseSessionService
from google.adk.sessions.in_memory_session_service import InMemorySessionService
from google.genai import types
from measure import Row, size_of
from peers.adk import NAMES, Full, Normal
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.adk import GreenroomSessionService

TEXT = "the quick brown fox jumps over the lazy dog. " * 4


def said(number: int) -> Event:
    content = types.Content(role="model", parts=[types.Part(text=f"turn {number}: {TEXT}")])
    return Event(author="agent", content=content, invocation_id=f"i{number}")


def database_service(path: Path) -> DatabaseSessionService:
    """Return ADK's service for databases on a file of SQLite with a log (WAL) and `synchronous=NORMAL`."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return DatabaseSessionService(db_engine=engine)


def rows(folder: Path) -> Iterator[Row]:
    rt = Runtime.open(folder / "greenroom")
    loop = asyncio.new_event_loop()
    run = loop.run_until_complete
    (folder / "normal").mkdir()
    (folder / "full").mkdir()
    services: dict[str, Any] = {
        "greenroom": GreenroomSessionService(rt),
        "SQLite NORMAL": Normal(str(folder / "normal" / "adk.db")),
        "SQLite FULL": Full(str(folder / "full" / "adk.db")),
        "SQLAlchemy NORMAL": database_service(folder / "database.db"),
        "memory": InMemorySessionService(),
    }

    def sides(make: Callable[[Any], Callable[[], Any]]) -> dict[str, Callable[[], Any]]:
        made = {name: make(service) for name, service in services.items()}
        return {name: lambda call=call: run(call()) for name, call in made.items()}  # type: ignore[misc]

    yield Row("create a session", sides(lambda service: lambda: service.create_session(**NAMES, state={"a": 1})))

    def appending(service: Any) -> Callable[[], Any]:
        session = run(service.create_session(**NAMES))
        numbers = itertools.count()

        async def append() -> None:
            del session.events[:]  # as long sessions are measured by `get`
            await service.append_event(session, said(next(numbers)))

        return append

    yield Row("append an event", sides(appending))

    def reading(count: int) -> Callable[[Any], Callable[[], Any]]:
        def make(service: Any) -> Callable[[], Any]:
            session = run(service.create_session(**NAMES, session_id=f"read{count}"))
            for number in range(count):
                run(service.append_event(session, said(number)))
            return lambda: service.get_session(**NAMES, session_id=f"read{count}")

        return make

    yield Row("get 20", sides(reading(20)))
    yield Row("get 1000", sides(reading(1000)))

    def listing(service: Any) -> Callable[[], Any]:
        for number in range(20):
            run(service.create_session(app_name="few", user_id="u", session_id=str(number)))
        return lambda: service.list_sessions(app_name="few", user_id="u")

    yield Row("list 20 sessions", sides(listing))
    rt.close()
    run(services["SQLAlchemy NORMAL"].close())

    sizes = {}
    for name in ("greenroom", "SQLite"):
        where = folder / f"growth-{name}"
        where.mkdir()
        own = Runtime.open(where / "store") if name == "greenroom" else None
        service = GreenroomSessionService(own) if own is not None else Normal(str(where / "adk.db"))
        session = run(service.create_session(**NAMES))
        for number in range(1000):
            run(service.append_event(session, said(number)))
        if own is not None:
            own.close()
        sizes[name] = size_of(where)
    yield Row("on disk after 1000 events", sizes=sizes)
