"""Google ADK: SqliteSessionService with a log (WAL), which connects for each call, and artifacts in files."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from google.adk.artifacts.file_artifact_service import FileArtifactService
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai import types

from peers import side as s

REQUIRES: Final = "google-adk"
NAMES: Final[dict[str, Any]] = {"app_name": "app", "user_id": "user"}


class Full(SqliteSessionService):
    """At a given synchronous level, with a log (WAL)."""

    level = "FULL"

    @asynccontextmanager
    async def _get_db_connection(self) -> Any:
        async with super()._get_db_connection() as db:
            await db.execute("PRAGMA journal_mode=WAL")
            await db.execute(f"PRAGMA synchronous={self.level}")
            yield db


class Normal(Full):
    level = "NORMAL"


def sides(folder: Path, level: s.Level) -> s.Side:
    folder.mkdir()
    loop = asyncio.new_event_loop()
    service = (Normal if level == "process" else Full)(str(folder / "adk.db"))
    files = FileArtifactService(folder / "files")
    numbers = itertools.count()

    async def filled(events: int) -> Any:
        session = await service.create_session(**NAMES, state={"k": s.VALUE})
        for number in range(events // 2):
            await _append(service, session, number)
        return session

    session, full = loop.run_until_complete(filled(0)), loop.run_until_complete(filled(s.TURNS))

    async def append() -> None:
        del session.events[:]  # as long sessions are measured by reading
        await _append(service, session, next(numbers))

    async def set_value() -> None:
        del session.events[:]
        await service.append_event(session, Event(author="agent", actions=EventActions(state_delta={"k": s.VALUE})))

    async def read(session_id: str, newest: int | None) -> Any:
        config = GetSessionConfig(num_recent_events=newest)
        return await service.get_session(**NAMES, session_id=session_id, config=config)

    async def get_value() -> Any:
        return (await read(session.id, 0)).state["k"]

    async def store() -> None:
        name, content = s.artifact()
        part = types.Part(inline_data=types.Blob(data=content, mime_type="text/plain"))
        await files.save_artifact(**NAMES, session_id=session.id, filename=name, artifact=part)

    work = {
        s.CREATE: lambda: service.create_session(**NAMES),
        s.APPEND: append,
        s.READ_20: lambda: read(full.id, 20),
        s.READ_1000: lambda: read(full.id, None),
        s.SET: set_value,
        s.GET: get_value,
        **({s.STORE: store} if level == "process" else {}),  # files are written without fsync
    }
    return s.Side(
        "Google ADK",
        {what: s.awaited(loop, call) for what, call in work.items()},
        lambda: s.grown(folder / "growth", _write),
        loop.close,
    )


async def _append(service: SqliteSessionService, session: Any, number: int) -> None:
    for author, role, text in zip(("user", "agent"), ("user", "model"), s.turn(number), strict=True):
        content = types.Content(role=role, parts=[types.Part(text=text)])
        await service.append_event(session, Event(author=author, content=content, invocation_id=f"i{number}"))


def _write(folder: Path) -> None:
    async def all_turns() -> None:
        service = Normal(str(folder / "adk.db"))
        session = await service.create_session(**NAMES)
        for number in range(s.TURNS):
            await _append(service, session, number)

    asyncio.run(all_turns())
