"""Strands: GreenroomSessionRepository beside FileSessionManager. Strands has no repository on SQLite or in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from measure import Row, size_of
from strands.session.file_session_manager import FileSessionManager
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.strands import GreenroomSessionRepository


def message(n: int) -> SessionMessage:
    text = f"turn {n}: " + "the quick brown fox jumps over the lazy dog. " * 4
    return SessionMessage({"role": "user" if n % 2 else "assistant", "content": [{"text": text}]}, n)


def fill(repository: Any, session_id: str, messages: int) -> None:
    repository.create_session(Session(session_id=session_id, session_type=SessionType.AGENT))
    repository.create_agent(session_id, SessionAgent("a", {}, {}))
    for n in range(messages):
        repository.create_message(session_id, "a", message(n))


def rows(folder: Path) -> Iterator[Row]:
    rt = Runtime.open(folder / "greenroom")
    repositories: dict[str, Any] = {
        "greenroom": GreenroomSessionRepository(rt),
        "files": FileSessionManager("another", storage_dir=str(folder / "files")),
    }
    for each in repositories.values():
        fill(each, "put", 0)
        fill(each, "full", 1000)

    def sides(call: Callable[[Any], Callable[[], Any]]) -> dict[str, Callable[[], Any]]:
        return {side: call(each) for side, each in repositories.items()}

    def appending(repository: Any) -> Callable[[], Any]:
        numbers = count()
        return lambda: repository.create_message("put", "a", message(next(numbers)))

    state = SessionAgent("a", {"step": 0, "notes": ["x" * 40] * 20}, {"removed_message_count": 0})

    def updating(repository: Any) -> Callable[[], Any]:
        numbers = count()

        def update() -> None:
            state.state["step"] = next(numbers)
            repository.update_agent("put", state)

        return update

    yield Row("append: create_message", sides(appending))
    yield Row("put: update_agent", sides(updating))
    yield Row("get: read_agent", sides(lambda each: lambda: each.read_agent("full", "a")))
    yield Row("get: read_message, the newest", sides(lambda each: lambda: each.read_message("full", "a", 999)))
    yield Row("list: 20 of 1000", sides(lambda each: lambda: each.list_messages("full", "a", offset=980)))
    yield Row("list: 1000", sides(lambda each: lambda: each.list_messages("full", "a")))
    rt.close()

    with Runtime.open(folder / "growth") as growing:
        fill(GreenroomSessionRepository(growing), "g", 1000)
    files = folder / "growth-files"
    fill(FileSessionManager("another", storage_dir=str(files)), "g", 1000)
    blocks = sum(each.stat().st_blocks * 512 for each in files.rglob("*") if each.is_file())
    yield Row(
        "on disk after 1000 messages",
        sizes={"greenroom": size_of(folder / "growth"), "files": size_of(files), "files, in blocks": blocks},
    )
