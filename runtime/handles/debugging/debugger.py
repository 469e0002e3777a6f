"""`Debugger`: steps through what a session has recorded, looks at every moment, and compares."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Protocol, overload

from greenroom.runtime.handles.reading.past import PastState
from greenroom.storage.codec.records import Json
from greenroom.storage.common.arguments import as_text
from greenroom.storage.common.checked_call import checked
from greenroom.storage.errors import ReplayError, ValidationError
from greenroom.storage.events.model import Event, shown_type
from greenroom.storage.events.pattern import EventPattern

from .context import context_of
from .diff import StateDiff, diff_states
from .errors import ErrorAnalysis, analysed, may_tell
from .export import load_debugging, write_debugging
from .recorded import Recorded
from .values import similarity
from .view import ContextView

__all__ = ["Debugger"]

_PARTS: Final = (
    "status", "variables", "tags", "metadata", "config", "messages", "artifacts", "approvals", "records",
)  # fmt: skip
_MAX_NOTES: Final = 10_000
_MAX_NOTE: Final = 4096
_MAX_HITS: Final = 10_000


class Replayed(Protocol):
    """The result of a replay, as far as the debugger keeps it."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything by name as JSON values."""


class Debugger:
    """Looks at the recorded past of one session, moment by moment. It changes nothing and disturbs nobody.

    `position` is the event after which the session is shown; it begins at the newest. Notes and breakpoints belong to
    the debugger, and travel with `export`. `Debugger.load` opens what was exported, without the store. Serves one
    thread at a time.

    Example:
        ```py
        debugger = session.debugger()
        debugger.goto(12).type            # "tool.returned"
        debugger.diff()                   # what event 12 changed
        debugger.state()["variables"]
        debugger.previous(type="agent.called")
        print(debugger.context())
        print(debugger.errors())
        ```
    """

    def __init__(self, recorded: Recorded) -> None:
        """Use `Session.debugger` or `Debugger.load` instead."""
        self._recorded = recorded
        self._position = recorded.last
        self._last = recorded.last
        self._shown: tuple[int, PastState] | None = None
        self.notes: dict[int, str] = {}
        """Notes by the sequence of the event that each is about."""
        self.breakpoints: list[dict[str, Json]] = []
        """Breakpoints as JSON objects: kept, exported and loaded as they are."""
        self.comparisons: list[dict[str, Json]] = []
        """The results of replays that were compared."""

    def __repr__(self) -> str:
        return f"<Debugger of {self.session_id} at {self._position} of {self._last}>"

    @property
    def session_id(self) -> str:
        return self._recorded.id

    @property
    def first(self) -> int:
        """The first event after which the session can be shown: 1, unless retention has truncated the journal."""
        return self._recorded.first

    @property
    def last(self) -> int:
        """The newest event, as of when the debugger was made or `refresh` was called."""
        return self._last

    def refresh(self) -> int:
        """Take notice of what has happened since, and return the newest event."""
        self._recorded.refresh()
        self._last = self._recorded.last
        return self._last

    # -- where it is

    @property
    def position(self) -> int:
        """The event after which the session is shown."""
        return self._position

    @checked
    def goto(self, sequence: int | None = None, *, time: datetime | str | float | None = None) -> Event:
        """Go to an event, or to the newest one at a time, and return it. Raises ReplayError if there is none."""
        if (sequence is None) == (time is None):
            raise ValidationError("goto: give either a sequence or a time", field="sequence")
        at = min(self._recorded.sequence_of(time), self._last) if sequence is None else sequence
        self._position = self._within(at)
        return self.event()

    @checked
    def next(self, count: int = 1, *, type: str | None = None) -> Event | None:
        """Go `count` events on, or to the next event whose type matches a pattern ("tool.*"), and return it. Return
        None, and stay, if there is none."""
        if type is not None:
            pattern = EventPattern(type)
            found = next(self._typed(pattern, self._position, self._last), None)
            return self.goto(found) if found is not None else None
        if self._position >= self._last:
            return None
        return self.goto(min(self._position + _steps(count), self._last))

    @checked
    def previous(self, count: int = 1, *, type: str | None = None) -> Event | None:
        """Go `count` events back, or to the newest event before whose type matches a pattern, and return it. Return
        None, and stay, if there is none."""
        if type is not None:
            before = deque(self._typed(EventPattern(type), self.first - 1, self._position - 1), maxlen=1)
            return self.goto(before[0]) if before else None
        if self._position <= self.first:
            return None
        return self.goto(max(self._position - _steps(count), self.first))

    def _typed(self, pattern: EventPattern, after: int, upto: int) -> Iterator[int]:
        known: dict[str, bool] = {}
        if upto <= after:
            return
        for sequence, stored in self._recorded.stored(after, upto):
            fits = known.get(stored.type)
            if fits is None:
                fits = known[stored.type] = pattern.matches(shown_type(stored.type))
            if fits:
                yield sequence

    def _within(self, sequence: object) -> int:
        found = self._recorded.require(sequence)
        if found > self._last:
            raise ReplayError(
                f"the debugger knows the events up to {self._last}: refresh it to see later ones", last=self._last
            )
        return found

    # -- what is there

    @checked
    def event(self, sequence: int | None = None) -> Event:
        """Return an event; by default the one at the position."""
        return self._recorded.event(self._position if sequence is None else self._within(sequence))

    @checked
    def events(self, after: int = 0, limit: int | None = None) -> Iterator[Event]:
        """Yield the events behind `after`, at most `limit`, whatever the position is."""
        if type(after) is not int or after < 0:
            raise ValidationError("after: a whole number from 0 is needed", field="after")
        if limit is not None and (type(limit) is not int or limit < 0):
            raise ValidationError("limit: a whole number from 0 is needed", field="limit")
        upto = self._last if limit is None else min(self._last, after + limit)
        return self._recorded.events(after, upto) if upto > after else iter(())

    @checked
    def at(self, sequence: int | None = None) -> PastState:
        """Return the session as it was after an event; by default at the position."""
        wanted = self._position if sequence is None else self._within(sequence)
        if self._shown is None or self._shown[0] != wanted:
            self._shown = wanted, self._recorded.moment(wanted)
        return self._shown[1]

    @overload
    def state(self, sequence: int | None = None, *, part: None = None) -> dict[str, Json]: ...
    @overload
    def state(self, sequence: int | None = None, *, part: str) -> Json: ...
    @checked
    def state(self, sequence: int | None = None, *, part: str | None = None) -> Any:
        """Return the session as it was after an event (by default at the position) as JSON values, as
        `PastState.to_dict` does. With `part`, return only that: variables, tags, metadata, config, status, messages,
        artifacts, approvals or records."""
        if part is None:
            return self.at(sequence).to_dict()
        if part not in _PARTS:
            raise ValidationError(f"part: one of {', '.join(_PARTS)} is needed", field="part")
        value = getattr(self.at(sequence), part)
        if part in ("messages", "artifacts", "approvals"):
            return [each.to_dict() for each in value]
        if part == "records":
            return {key.decode("utf-8", "backslashreplace"): record for key, record in value.items()}
        return list(value) if part == "tags" else str(value) if part == "status" else value

    @checked
    def search(
        self, text: str | None = None, *, type: str | None = None, after: int = 0, limit: int = 100
    ) -> list[Event]:
        """Return the events behind `after` whose data have a text, in upper or lower case, and whose type matches a
        pattern; at most `limit`."""
        if text is None and type is None:
            raise ValidationError("search: give a text, or a pattern of types", field="text")
        wanted = as_text("text", text, _MAX_NOTE).casefold() if text is not None else None
        if isinstance(limit, bool) or not isinstance(limit, int) or not 0 <= limit <= _MAX_HITS:
            raise ValidationError(f"limit: 0 to {_MAX_HITS}", field="limit")
        pattern, found = EventPattern(type) if type is not None else None, list[Event]()
        for event in self.events(after):
            if len(found) >= limit:
                break
            if (pattern is None or pattern.matches(event.type)) and (wanted is None or _has_text(event, wanted)):
                found.append(event)
        return found

    # -- what is different

    @checked
    def diff(self, before: int | None = None, after: int | None = None) -> StateDiff:
        """Return what is different between two moments; by default, what the event at the position changed."""
        later = self._position if after is None else self._within(after)
        earlier = max(later - 1, self.first) if before is None else self._within(before)
        return diff_states(*self._recorded.moments(earlier, later))

    @checked
    def context(self, call: int | None = None, *, number: int | None = None) -> ContextView:
        """Return what the model of a call was given, and what changed since its last call. By default, of the newest
        call up to the position."""
        return context_of(self._recorded, call, number, self._position)

    def errors(self) -> ErrorAnalysis:
        """Return what went wrong in the whole session."""
        return analysed(self._recorded.events(0, self._last, may_tell))

    @checked
    def compare(self, result: Replayed | Mapping[str, Any]) -> dict[str, Json]:
        """Keep the result of a replay with the debugging data, and return it as JSON values with a `score`: how similar
        the recorded and the replayed results are, from 0.0 to 1.0."""
        told = dict(result) if isinstance(result, Mapping) else result.to_dict()
        told.setdefault("score", _score(told))
        self.comparisons.append(told)
        return told

    # -- what people add

    @checked
    def note(self, text: str | None, sequence: int | None = None) -> None:
        """Write a note about an event, by default the one at the position; None removes it."""
        at = self._position if sequence is None else self._within(sequence)
        if text is None:
            self.notes.pop(at, None)
            return
        text = as_text("text", text, _MAX_NOTE)
        if len(self.notes) >= _MAX_NOTES and at not in self.notes:
            raise ValidationError(f"text: a debugger keeps at most {_MAX_NOTES} notes", field="text")
        self.notes[at] = text

    @checked
    def export(self, path: str | os.PathLike[str], *, on_progress: Callable[[int, int], object] | None = None) -> int:
        """Write all debugging data as JSON: events, the state at the end, errors, comparisons, breakpoints, notes and
        the position. Return the size in bytes. The file appears whole or not at all. It holds the conversation and the
        variables; contents of artifacts are left out.

        `on_progress` gets the events written and their number; if it raises, no file is left.
        """
        about = {
            "position": self._position,
            "notes": {str(sequence): text for sequence, text in sorted(self.notes.items())},
            "breakpoints": self.breakpoints,
            "comparisons": self.comparisons,
            "errors": self.errors().to_dict(),
        }
        return write_debugging(path, self._recorded, self._last, about, on_progress)

    @classmethod
    @checked
    def load(cls, path: str | os.PathLike[str]) -> Debugger:
        """Open what `export` wrote, without a store. Every method works on it; `refresh` finds nothing new. Raises
        ReplayError for a file that is no such export, StorageError if it cannot be read."""
        recorded, about = load_debugging(path)
        self = cls(recorded)
        self.notes = {int(sequence): str(text) for sequence, text in about["notes"].items()}
        self.breakpoints = list(about["breakpoints"])
        self.comparisons = list(about["comparisons"])
        self._position = self._within(about["position"])
        return self


def _steps(count: object) -> int:
    if type(count) is not int or count < 1:
        raise ValidationError("count: a whole number from 1 is needed", field="count")
    return count


def _score(told: Mapping[str, Any]) -> float:
    """Return how similar what was replayed is to what was recorded: the mean over all events. An event that is the same
    counts 1, one that only one side has counts 0, and one that differs counts by its values."""
    if told.get("identical") is True:
        return 1.0
    counts = {str(name): int(count) for name, count in dict(told.get("counts") or {}).items()}
    total = sum(counts.values())
    if not total:
        return 0.0
    changed = [each for each in told.get("comparisons") or () if each.get("kind") == "changed"]
    values = [
        similarity(each.get("recorded"), each.get("replayed")) for one in changed for each in one.get("differences", ())
    ]
    alike = sum(values) / len(values) if values else 0.0
    same = counts.get("equal", 0) + counts.get("moved", 0)
    return min(0.9999, (same + counts.get("changed", 0) * alike) / total)


def _has_text(event: Event, wanted: str) -> bool:
    """Return whether the type, or any key, text or number in the data, has a text; `wanted` is casefolded."""
    if wanted in event.type.casefold():
        return True
    waiting: list[Any] = [event.data]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            if wanted in each.casefold():
                return True
        elif isinstance(each, dict):
            waiting += each.values()
            waiting += each
        elif isinstance(each, list | tuple):
            waiting += each
        elif not isinstance(each, bytes) and each is not None and wanted in str(each).casefold():
            return True
    return False
