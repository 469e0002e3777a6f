"""The events that make a conversation, and what they say of each other.

A turn is known by the sequence of the event that began it (`message.added`, or `message.started` for one that is
written piece by piece). Later events about the turn name that sequence. The newest of them is the turn's *head*: the
index of messages holds it. Each event about a turn points to the earlier events that still tell something of it, so
that a turn is read with a few gets, whatever was done to it before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from .calls import CALL_FIELDS, call_contents
from .model import PUBLISHED_HASH, StoredEvent

__all__ = [
    "ADDED",
    "CONTENT_FIELDS",
    "DELTA",
    "EDITED",
    "FINISHED",
    "POINTERS",
    "RETRACTED",
    "STARTED",
    "TURN_EVENTS",
    "Head",
    "contents_of",
    "edit_pointers",
    "has_field",
    "held_contents",
    "is_broken_off",
    "moved_turn_event",
    "parse_head",
    "runs_of",
    "sequences_of",
]

ADDED: Final = "message.added"
STARTED: Final = "message.started"
DELTA: Final = "message.delta"
FINISHED: Final = "message.finished"
EDITED: Final = "message.edited"
RETRACTED: Final = "message.retracted"
TURN_EVENTS: Final = frozenset({ADDED, STARTED, DELTA, FINISHED, EDITED, RETRACTED})

POINTERS: Final = ("base", "content_at", "metadata_at", "previous")
"""Fields of an event about a turn that hold the sequence of an earlier event about it:

- `base` has everything that was not edited; absent if that is the event that began the turn;
- `content_at` and `metadata_at` are the newest edits of content and metadata; absent if the event itself is, or none;
- `previous` is the delta before a delta; absent if there is none.
"""

CONTENT_FIELDS: Final = ("content", "tool_calls", "metadata")
"""The encoded fields of a turn. A large one is stored as content, whose hash is in the field with `_hash` after its
name."""
_HASHES: Final = tuple(f"{name}_hash" for name in CONTENT_FIELDS)

_PARTIAL: Final = b"p"


class Head(NamedTuple):
    """The newest event about a turn. An open turn takes further deltas."""

    sequence: int
    open: bool = False

    def encode(self) -> bytes:
        """Return the value of the turn's entry in the index of messages."""
        return self.sequence.to_bytes(8, "big") + (_PARTIAL if self.open else b"")


def parse_head(sequence: int, value: bytes) -> Head:
    """Return the head that an entry of the index holds. The entry of a turn that was only added is empty."""
    return Head(int.from_bytes(value[:8], "big"), value[8:] == _PARTIAL) if value else Head(sequence)


def has_field(data: Mapping[str, Any], name: str) -> bool:
    """Return whether an event has this field of a turn, in its data or as a content."""
    return name in data or f"{name}_hash" in data


def held_contents(data: Mapping[str, Any]) -> list[bytes]:
    """Return the hashes of the contents to which an event refers, in the order of the fields."""
    return [data[name] for name in _HASHES if name in data]


def contents_of(stored: StoredEvent) -> list[bytes]:
    """Return the hashes of the contents that an event holds as long as it is in the journal."""
    if stored.type in TURN_EVENTS:
        return held_contents(stored.data)
    if stored.type in CALL_FIELDS:
        return call_contents(stored.type, stored.data)
    return [stored.data[PUBLISHED_HASH]] if PUBLISHED_HASH in stored.data else []


def edit_pointers(turn: int, head: int, kind: str, data: Mapping[str, Any]) -> dict[str, int]:
    """Return the pointers of an edit that follows the event `head` of this type and data."""
    if kind != EDITED:
        return {"base": head} if head != turn else {}
    pointers = {name: data[name] for name in ("base", "content_at", "metadata_at") if name in data}
    pointers.update((f"{name}_at", head) for name in ("content", "metadata") if has_field(data, name))
    return pointers


def is_broken_off(newest: StoredEvent) -> bool:
    """Return whether the stream of a turn with this newest event was broken off. It can be written anew then."""
    return newest.type == FINISHED and newest.data.get("partial") is True


def runs_of(sequences: Iterable[int]) -> list[list[int]]:
    """Return ascending sequences as runs [first, last], which are few for a conversation without events in between."""
    runs: list[list[int]] = []
    for sequence in sequences:
        if runs and runs[-1][1] == sequence - 1:
            runs[-1][1] = sequence
        else:
            runs.append([sequence, sequence])
    return runs


def sequences_of(data: Mapping[str, Any]) -> Iterator[int]:
    """Yield the turns that an event retracts."""
    for first, last in data["turns"]:
        yield from range(first, last + 1)


def moved_turn_event(data: Mapping[str, Any], place: Callable[[int], int | None]) -> dict[str, Any]:
    """Return the data of an event about turns, for a journal in which events have other sequences: `place` gives the
    new sequence of an event, or None if it is not there. Pointers to such events are left out."""
    moved = dict(data)
    for name in ("sequence", *POINTERS):
        if name in data:
            target = place(data[name])
            if target is not None:
                moved[name] = target
            else:
                del moved[name]
    if "turns" in data:
        targets = (place(sequence) for sequence in sequences_of(data))
        moved["turns"] = runs_of(each for each in targets if each is not None)
    return moved
