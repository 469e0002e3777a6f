"""A session of a store, as the debugger looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from greenroom.storage.errors import ReplayError

if TYPE_CHECKING:
    from greenroom.runtime import Event, Runtime, Session

__all__ = ["RecordedSession"]


class RecordedSession:
    """A session of a runtime that is open for reading. A fork is written by a second opening, for as long as that
    takes, so that looking at a session never keeps others from writing."""

    def __init__(self, runtime: Runtime, session: Session, writing: Callable[[], Any]) -> None:
        """`writing` opens the store for writing, as a context manager."""
        self._runtime = runtime
        self._session = session
        self._writing = writing
        info = session.info()
        self.title = f"{info.name or info.id}  {info.status}"
        self._last = info.sequence
        try:
            session.at(sequence=1)
            self._first = 1
        except ReplayError as error:
            self._first = int(error.fields.get("first", 1))

    @property
    def first(self) -> int:
        return self._first

    @property
    def last(self) -> int:
        return self._last

    def refresh(self) -> None:
        self._last = max(self._last, self._session.info().sequence)

    def events(self, after: int, limit: int) -> list[Event]:
        return list(self._session.events(after, limit))

    def state(self, sequence: int) -> dict[str, Callable[[], Any]]:
        past = self._session.at(sequence=sequence)
        return {
            "variables": lambda: past.variables,
            "session": past.info.to_dict,
            "metadata": lambda: past.metadata,
            "tags": lambda: list(past.tags),
            "config": lambda: past.config,
            "artifacts": lambda: {f"{each.name} v{each.version}": each.to_dict() for each in past.artifacts},
            "approvals": lambda: [each.to_dict() for each in past.approvals],
            "records": lambda: {
                key.decode("utf-8", "backslashreplace"): record for key, record in past.records.items()
            },
        }

    def conversation(self, sequence: int) -> list[dict[str, Any]]:
        return [turn.to_dict() for turn in self._session.at(sequence=sequence).messages]

    def changes(self, sequence: int) -> list[tuple[str, str, Any, Any]]:
        if sequence <= self._first:
            return []
        return list(_changes(self._plain(sequence - 1), self._plain(sequence)))

    def _plain(self, sequence: int) -> dict[str, Any]:
        past = self._session.at(sequence=sequence)
        return {
            "status": past.status.value,
            "variables": past.variables,
            "tags": list(past.tags),
            "metadata": past.metadata,
            "config": past.config,
        }

    def fork(self, sequence: int) -> str:
        with self._writing() as runtime:
            made: str = runtime.session(self._session.id).fork(at_sequence=sequence).id
        return made


def _changes(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, str, Any, Any]]:
    if before == after:
        return
    if not (isinstance(before, dict) and isinstance(after, dict)):
        yield "changed", path, before, after
        return
    for key in sorted(before.keys() | after.keys()):
        at = f"{path}.{key}" if path else key
        if key not in before:
            yield "added", at, None, after[key]
        elif key not in after:
            yield "removed", at, before[key], None
        else:
            yield from _changes(before[key], after[key], at)
