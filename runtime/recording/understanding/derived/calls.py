"""Journals what was understood, as the same events that greenroom's own calls have. Each names its crossing, and is
journaled once, however often a process is killed in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from greenroom.actors.messages.calls import MAX_CALL_NAME, Called, RecordCall, RecordReturn
from greenroom.actors.scheduling.operation import CURRENT, changed
from greenroom.runtime.handles.session import Session, core_of
from greenroom.storage.codec.records import pack_value
from greenroom.storage.common.session_ids import session_bytes
from greenroom.storage.errors import GreenroomError
from greenroom.storage.events.journal import FAMILY
from greenroom.storage.events.model import event_of

__all__ = ["MAX_ERROR_TEXT", "CallEvents", "Told", "packed"]

MAX_ERROR_TEXT: Final = 1000
_TYPES: Final = ("agent.called", "agent.returned", "tool.called", "tool.returned")
_FAMILIES: Final = frozenset(type_.encode()[:FAMILY] for type_ in _TYPES)
Key = tuple[str, int, str]
"""The kind, the crossing, and which of the calls that the crossing tells ("": the crossing itself)."""


@dataclass(slots=True)
class _Known:
    """What a session's journal tells of calls that were understood."""

    called: dict[Key, int] = field(default_factory=dict)
    returned: set[Key] = field(default_factory=set)


@dataclass(slots=True)
class Told:
    """What the journal tells of a recorded call of a model: its thread, whether that was the session's own
    conversation, and the response."""

    thread: int
    main: bool = False
    response: str | None = None


class CallEvents:
    """The events about recorded calls in a session."""

    def __init__(self, session: Session) -> None:
        """Create it with what the journal has already."""
        core = core_of(session)
        self._id = session.id
        self._ask: Callable[[Any], Any] = lambda command: core.supervisor.delivery.routing.ask(
            session.id, command, core.config.ask_timeout
        )
        self._redaction = core.redaction
        self._known = _Known()
        self.done = 0
        """The newest crossing of which all is journaled."""
        self.told: dict[int, Told] = {}
        """What is told of the calls of models, by their crossings."""
        self.results: set[str] = set()
        """The ids of the calls of tools whose results were seen in requests."""
        self.tools: dict[int, str] = {}
        """The tools that crossed a boundary, by the crossing, whose results no model was given yet."""
        for run in core.store.journal.runs(session_bytes(session.id), families=_FAMILIES):
            for sequence, fields in zip(run.sequences, run.events, strict=True):
                stored = event_of(fields)
                if stored.type in _TYPES and type(stored.data.get("crossing")) is int:
                    self._read(stored.type, sequence, stored.data)

    def _read(self, type_: str, sequence: int, data: Mapping[str, Any]) -> None:
        kind, _, what = type_.partition(".")
        crossing, which = data["crossing"], str(data.get("tool_call") or "")
        if what == "called":
            self._known.called[kind, crossing, which] = sequence
        else:
            self._known.returned.add((kind, crossing, which))
            if not which:
                self.done = max(self.done, crossing)
        if kind == "agent":
            told = self.told.setdefault(crossing, Told(data.get("thread") or 0))
            told.main = told.main or data.get("main") is True
            told.response = told.response or data.get("response_id")
            for tool in data.get("results") or ():
                self.tools.pop(tool, None)
        elif which:
            self.results.add(which)
        elif what == "called":
            self.tools[crossing] = data["name"]

    def has_returned(self, kind: str, crossing: int, which: str = "") -> bool:
        """Return whether the journal has all of a call."""
        return (kind, crossing, which) in self._known.returned

    def has_begun(self, kind: str, crossing: int, which: str = "") -> bool:
        """Return whether the journal has the beginning of a call."""
        return (kind, crossing, which) in self._known.called

    def begin(self, kind: str, crossing: int, name: str, data: dict[str, Any], which: str = "") -> None:
        """Journal that a call began, unless the journal has it. Raises what journaling raises."""
        key = (kind, crossing, which)
        if key in self._known.called:
            return
        told = {"name": name[:MAX_CALL_NAME] or kind, "crossing": crossing, **self._clean(data)}
        if which:
            told["tool_call"] = which
        called: Called = self._acting(RecordCall(kind, told), kind, told["name"], crossing)
        self._known.called[key] = called.sequence
        if kind == "tool" and not which:
            self.tools[crossing] = told["name"]

    def end(self, kind: str, crossing: int, name: str, data: dict[str, Any], which: str = "") -> None:
        """Journal how a call that began has ended, unless the journal has it. Raises what journaling raises."""
        key = (kind, crossing, which)
        if key in self._known.returned:
            return
        begun = self._known.called[key]
        told = {"name": name[:MAX_CALL_NAME] or kind, "call": begun, "crossing": crossing, **self._clean(data)}
        if which:
            told["tool_call"] = which
        self._acting(RecordReturn(kind, told), kind, told["name"], begun)
        self._known.returned.add(key)

    def _acting(self, command: Any, kind: str, name: str, cause: int) -> Any:
        """Send a command as what an earlier event of the session has caused."""
        caller = CURRENT.get()
        event = f"{self._id}/{cause}"
        acts: dict[str, Any] = {"source": f"{kind}:{name}", "causation_id": event}
        if caller is None or caller.root_id is None:
            acts["root_id"] = event
        if caller is None or caller.correlation_id is None:
            acts["correlation_id"] = self._id
        try:  # not by `with`: see `changed`
            CURRENT.set(changed(caller, acts))
            return self._ask(command)
        finally:
            CURRENT.set(caller)

    def _clean(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the data of an event without what is not known, and with its secrets removed."""
        known = {name: value for name, value in data.items() if value is not None}
        redaction = self._redaction
        if redaction is None:
            return known
        return {
            name: redaction.packed(value) if isinstance(value, bytes) else redaction.value(value)
            for name, value in known.items()
        }


def packed(value: Any) -> bytes:
    """Return an encoded value; of what cannot be encoded, a note."""
    try:
        return pack_value(value)
    except GreenroomError as error:
        return pack_value({"unreadable": str(error)[:MAX_ERROR_TEXT]})
