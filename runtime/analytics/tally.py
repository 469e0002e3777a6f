"""Counts the events of a journal in one pass. Tallies of sessions can be added up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from greenroom.actors.messages.events import RESERVED_FAMILIES
from greenroom.actors.session.state.usage import returned_use
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.model import StoredEvent, shown_type

from .counts import ActivityTally, TableTally, counted

__all__ = ["Tally", "Window", "read_session"]


_SEARCH_ABOVE: Final = 512
"""In a journal with more events, a search finds the beginning of the window; a shorter one is read from its start."""


@dataclass(frozen=True, slots=True)
class Window:
    """A range of times in ns since the epoch: `low` ≤ time < `high`."""

    low: int
    high: int

    @property
    def bounded(self) -> bool:
        """Return whether it has an end."""
        return self.high < (1 << 64) - 1


def read_session(journal: Journal, session: bytes, last: int, window: Window, bucket: float) -> Tally:
    """Count the events of a session in one pass. `last` is the sequence of the newest.

    Events that a fork has copied count for the original only. Raises IntegrityError at a damaged event.
    """
    tally = Tally(bucket)
    after = _before(journal, session, last, window.low) if window.low and last > _SEARCH_ABOVE else 0
    for _, stored in journal.read(session, after):
        if stored.time >= window.high:
            break
        if stored.type == "session.forked":
            tally = Tally(bucket)
        if stored.time >= window.low:
            tally.add(stored)
    return tally


def _name(type_: str) -> str:
    """Return the name to count a type under: what was published under a type of the runtime's is no fact."""
    shown = shown_type(type_)
    return f"published:{shown}" if shown != type_ and shown.partition(".")[0] in RESERVED_FAMILIES else shown


def _before(journal: Journal, session: bytes, last: int, low: int) -> int:
    """Return the sequence before the first event at or after a time; 0 if that is the first one in the journal. Times
    never go back within a journal, so a binary search finds it."""
    base = journal.base(session)
    start = base[0] + 1 if base is not None else 1
    first, end = start, last + 1
    while first < end:
        middle = (first + end) // 2
        if journal.stored(session, middle)[1] < low:
            first = middle + 1
        else:
            end = middle
    return first - 1 if first > start else 0


_MICRO: Final = 1_000_000


class Tally:
    """Counts of events, in bounded memory."""

    def __init__(self, bucket: float) -> None:
        self._bucket = bucket
        self.events = 0
        self.operations = 0
        self._operation = -1
        self.first: int | None = None
        self.last: int | None = None
        self.types: dict[str, int] = {}
        self.tools = TableTally()
        self.agents = TableTally()
        self.models = TableTally()
        self.hooks = TableTally()
        self.scripts = TableTally()
        self.errors: dict[str, int] = {}
        self.roles: dict[str, int] = {}
        self.stored_artifacts = 0
        self.stored_bytes = 0
        self.deleted_artifacts = 0
        self.tokens = [0, 0, 0]
        self.cost = 0
        self.saves = 0
        self.save_intervals = 0
        self.save_distance = 0
        self._saved_at: int | None = None
        self.activity = ActivityTally(bucket)

    def add(self, stored: StoredEvent) -> None:
        """Count one event. The events of a session must come in order."""
        type_: str = stored.type
        time: int = stored.time
        self.events += 1
        if stored.operation_count != self._operation:
            self._operation = stored.operation_count
            self.operations += 1
        if self.first is None:
            self.first = time
        self.last = time
        counted(self.types, _name(type_))
        self.activity.add(time)
        read = _READERS.get(type_)
        if read is not None:
            # Imported events may lack fields that our own events have.
            with contextlib.suppress(KeyError, TypeError, AttributeError):
                read(self, stored.data, time)

    def merge(self, other: Tally) -> None:
        """Add the counts of other sessions."""
        self.events += other.events
        self.operations += other.operations
        if other.first is not None and other.last is not None:
            self.first = other.first if self.first is None else min(self.first, other.first)
            self.last = other.last if self.last is None else max(self.last, other.last)
        for mine, theirs in ((self.types, other.types), (self.errors, other.errors), (self.roles, other.roles)):
            for name, count in theirs.items():
                counted(mine, name, count)
        for table, more in (
            (self.tools, other.tools),
            (self.agents, other.agents),
            (self.models, other.models),
            (self.hooks, other.hooks),
            (self.scripts, other.scripts),
        ):
            table.merge(more)
        self.stored_artifacts += other.stored_artifacts
        self.stored_bytes += other.stored_bytes
        self.deleted_artifacts += other.deleted_artifacts
        self.tokens = [mine + theirs for mine, theirs in zip(self.tokens, other.tokens, strict=True)]
        self.cost += other.cost
        self.saves += other.saves
        self.save_intervals += other.save_intervals
        self.save_distance += other.save_distance
        self.activity.merge(other.activity)

    # -- counters by type of event

    def _called(self, table: TableTally, data: dict[str, Any]) -> None:
        table.of(data["name"]).calls += 1

    def _tool_called(self, data: dict[str, Any], time: int) -> None:
        self._called(self.tools, data)

    def _tool_returned(self, data: dict[str, Any], time: int) -> None:
        self.tools.of(data["name"]).end(data["success"], data.get("duration"))
        self._failure(data)

    def _agent_called(self, data: dict[str, Any], time: int) -> None:
        self._called(self.agents, data)
        if data.get("model") is not None:
            self.models.of(data["model"]).calls += 1

    def _agent_returned(self, data: dict[str, Any], time: int) -> None:
        tokens, cost = returned_use(data)
        usage = data.get("usage") or {}
        self.tokens[0] += usage.get("input_tokens") or 0
        self.tokens[1] += usage.get("output_tokens") or 0
        self.tokens[2] += tokens
        self.cost += cost
        self.agents.of(data["name"]).end(data["success"], data.get("duration"), tokens, cost)
        if data.get("model") is not None:
            self.models.of(data["model"]).end(data["success"], data.get("duration"), tokens, cost)
        self._failure(data)

    def _failure(self, data: dict[str, Any]) -> None:
        error = data.get("error")
        if error is not None:
            counted(self.errors, error["code"])

    def _hook_executed(self, data: dict[str, Any], time: int) -> None:
        hook = self.hooks.of(data["hook"])
        hook.calls += 1
        hook.end(data["error"] is None, data["duration"] / _MICRO)
        if data["error"] is not None:
            counted(self.errors, data["error"])

    def _script_started(self, data: dict[str, Any], time: int) -> None:
        self.scripts.of(data["script"]).calls += 1

    def _script_finished(self, data: dict[str, Any], time: int) -> None:
        self.scripts.of(data["script"]).end(data["success"], data.get("duration"))
        if data.get("error") is not None:
            counted(self.errors, data["error"])

    def _session_saved(self, data: dict[str, Any], time: int) -> None:
        self.saves += 1
        if self._saved_at is not None:
            self.save_intervals += 1
            self.save_distance += time - self._saved_at
        self._saved_at = time

    def _message_added(self, data: dict[str, Any], time: int) -> None:
        counted(self.roles, data["role"])

    def _artifact_stored(self, data: dict[str, Any], time: int) -> None:
        self.stored_artifacts += 1
        self.stored_bytes += data["size"]

    def _artifact_deleted(self, data: dict[str, Any], time: int) -> None:
        self.deleted_artifacts += 1


_READERS: Final[dict[str, Callable[[Tally, dict[str, Any], int], None]]] = {
    "tool.called": Tally._tool_called,
    "tool.returned": Tally._tool_returned,
    "agent.called": Tally._agent_called,
    "agent.returned": Tally._agent_returned,
    "hook.executed": Tally._hook_executed,
    "script.started": Tally._script_started,
    "script.finished": Tally._script_finished,
    "session.saved": Tally._session_saved,
    "message.added": Tally._message_added,
    "message.started": Tally._message_added,
    "artifact.stored": Tally._artifact_stored,
    "artifact.deleted": Tally._artifact_deleted,
}
