"""Check the events of a conversation from outside: their form, and that each fits the turns before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from greenroom.actors import messages as m
from greenroom.storage.bundle.decoding import stored_value
from greenroom.storage.errors import GreenroomError
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.turns import ADDED, DELTA, EDITED, FINISHED, RETRACTED, STARTED, edit_pointers, has_field

__all__ = ["OBJECT", "TEXT", "VALUE", "FieldContents", "TurnCheck", "field_kinds"]

TEXT, _CONTENT, _LIST, OBJECT, VALUE = 4, 8, 16, 32, 128
"""What a stored content can be as a field of an event: plain text, or an encoded content, list, object, or any
value."""
_KINDS: Final = {"tool_calls": _LIST, "metadata": OBJECT}


class FieldContents(Protocol):
    """The contents of a bundle, as far as turns use them."""

    def is_field(self, digest: bytes, kind: int) -> bool:
        """Return whether the bundle has this content, and a turn can have it as this kind of field."""


def field_kinds(content: bytes) -> int:
    """Return as which kinds of fields a turn can have a content."""
    kinds = 0
    if len(content) > m.MAX_MESSAGE_BYTES:
        return kinds
    try:
        content.decode("utf-8", "surrogatepass")
        kinds |= TEXT
    except UnicodeDecodeError:
        pass
    try:
        value = stored_value(content, "content")
    except GreenroomError:
        return kinds
    kinds |= VALUE
    if type(value) in (str, list, type(None)):
        kinds |= _CONTENT
    if type(value) is list:
        kinds |= _LIST
    if type(value) is dict:
        kinds |= OBJECT
    return kinds


def _text(most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is str and 0 < len(value) <= most


def _encoded(kind: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is bytes and bool(field_kinds(value) & kind)


_CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "role": _text(m.MAX_ROLE),
    "name": _text(m.MAX_NAME),
    "tool_call_id": _text(m.MAX_NAME),
    "content": _encoded(_CONTENT),
    "tool_calls": _encoded(_LIST),
    "metadata": _encoded(OBJECT),
    "partial": lambda value: value is True,
}
_DELTA_TEXT: Final = _text(m.MAX_MESSAGE_BYTES)


class _Newest(NamedTuple):
    """The newest event about a turn, with what the next event has to know of it."""

    sequence: int
    type: str
    data: dict[str, Any]

    @property
    def open(self) -> bool:
        """Whether more may be written to the turn: it is not complete, or was broken off."""
        return self.type in (STARTED, DELTA) or (self.type == FINISHED and "partial" in self.data)


class TurnCheck:
    """Follows the conversation of one bundled session. `bad` raises the error for what an event has."""

    def __init__(self, contents: FieldContents, bad: Callable[[str], Exception]) -> None:
        self._contents = contents
        self._bad = bad
        self._turns: dict[int, _Newest | None] = {}
        """The current turns, with their newest events; None for a turn that was only added."""

    def event(self, sequence: int, stored: StoredEvent) -> None:
        """Check the next event about turns. Raises what `bad` returns."""
        kind, data = stored.type, stored.data
        if kind == RETRACTED:
            self._retracted(sequence, data)
            return
        self._fields(sequence, data)
        if kind in (ADDED, STARTED):
            turn = sequence
            if "role" not in data:
                raise self._bad(f"a message at event {sequence} with an impossible role")
        else:
            turn = data.get("sequence", 0)
            if type(turn) is not int or turn not in self._turns:
                raise self._bad(f"event {sequence}, {kind}, about a message that is not there")
        newest = self._turns.get(turn)
        if kind in (DELTA, FINISHED) and (newest is None or not newest.open):
            raise self._bad(f"event {sequence}, {kind}, about a message that is complete")
        if kind in (ADDED, FINISHED) and not has_field(data, "content"):
            raise self._bad(f"a message at event {sequence} without content, or with two")
        if kind == DELTA:
            previous = newest.sequence if newest is not None and newest.type == DELTA else None
            if not _DELTA_TEXT(data.get("text")) or data.get("previous") != previous:
                raise self._bad(f"a delta at event {sequence} that does not continue its message")
        if kind == EDITED:
            self._edited(sequence, turn, newest, data)
        self._turns[turn] = None if kind == ADDED else _Newest(sequence, kind, _facts(data))

    def _edited(self, sequence: int, turn: int, newest: _Newest | None, data: dict[str, Any]) -> None:
        pointers = edit_pointers(turn, *newest) if newest is not None else {}
        for name in ("content", "metadata"):
            if has_field(data, name):
                pointers.pop(f"{name}_at", None)
        if not (has_field(data, "content") or has_field(data, "metadata")) or pointers != {
            name: data[name] for name in ("base", "content_at", "metadata_at") if name in data
        }:
            raise self._bad(f"an edit at event {sequence} that does not fit its message")

    def _fields(self, sequence: int, data: dict[str, Any]) -> None:
        for name, check in _CHECKS.items():
            if name in data and not check(data[name]):
                raise self._bad(f"a message at event {sequence} with an impossible {name}")
        for name in ("content", "tool_calls", "metadata"):
            digest = data.get(f"{name}_hash")
            if digest is None:
                continue
            kind = _KINDS.get(name) or (TEXT if data.get("text") is True else _CONTENT)
            if name in data or type(digest) is not bytes or len(digest) != 32:
                raise self._bad(f"a message at event {sequence} with an impossible {name}")
            if name == "content" and type(data.get("text")) is not bool:
                raise self._bad(f"a message at event {sequence} without content, or with two")
            if not self._contents.is_field(digest, kind):
                raise self._bad(f"a message at event {sequence} whose {name} is not in the bundle, or is no message's")

    def _retracted(self, sequence: int, data: dict[str, Any]) -> None:
        turns = self._turns_of(data.get("turns"))
        if not turns:
            raise self._bad(f"a retraction at event {sequence} of messages that are not there")
        newest = self._turns[turns[0]]
        head = newest.sequence if newest is not None else turns[0]
        if "head" in data and (len(turns) > 1 or data["head"] != head or type(data["head"]) is not int):
            raise self._bad(f"a retraction at event {sequence} of a message that was another")
        for turn in turns:
            del self._turns[turn]

    def _turns_of(self, runs: object) -> list[int]:
        """Return the turns in ascending runs; none if they are of another form, or not all are there."""
        turns: list[int] = []
        last = 0
        for run in runs if type(runs) is list else ():
            if type(run) is not list or [type(each) for each in run] != [int, int]:
                return []
            if not last + 1 < run[0] <= run[1] or run[1] - run[0] >= len(self._turns) - len(turns):
                return []
            last = run[1]
            turns += range(run[0], run[1] + 1)
        return turns if all(turn in self._turns for turn in turns) else []


def _facts(data: dict[str, Any]) -> dict[str, Any]:
    """Return what `edit_pointers` reads of an event, without its content."""
    facts: dict[str, Any] = {name: data[name] for name in ("base", "content_at", "metadata_at") if name in data}
    facts.update((name, data[name]) for name in ("partial",) if name in data)
    facts.update((name, None) for name in ("content", "metadata") if has_field(data, name))
    return facts
