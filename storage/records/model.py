"""The records of a session as events name them and as the store holds them. docs/format.md is the specification."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from blake3 import blake3

from greenroom.storage.content.chunks import RECORD, Reference, content_digest
from greenroom.storage.errors import IntegrityError

__all__ = [
    "INLINE_BYTES",
    "IN_CONTENT",
    "IS_VALUE",
    "LOST_VALUE",
    "MAX_RECORD_KEY",
    "RECORDS_CHANGED",
    "RecordChange",
    "RecordFold",
    "StoredRecord",
    "are_changes",
    "place_of",
    "record_hash",
    "record_number",
]

RECORDS_CHANGED: Final = "records.changed"
"""The type of the event that says which records a command has changed."""
MAX_RECORD_KEY: Final = 1024
"""The most bytes of a record's key."""
INLINE_BYTES: Final = 4 << 10
"""Values of more bytes than this are kept as contents."""

IS_VALUE: Final = 1
"""Flag: the bytes are an encoded JSON value."""
IN_CONTENT: Final = 2
"""Flag: the bytes are in the content store, under their hash."""
LOST_VALUE: Final = 4
"""Flag of entries only: damage has destroyed the bytes, and repair has left this entry to say so."""

_POSITIONS: Final = 1 << 16
_MOST_CHANGES: Final = 10_000


class RecordChange(NamedTuple):
    """One change in the data of an event. `hash` is None for a deletion. `replaced` is the size of the value that was
    there before; None if there was none. `released` is (number of the reference, hash) of the content that held it."""

    key: bytes
    hash: bytes | None
    size: int
    flags: int
    replaced: int | None
    released: tuple[int, bytes] | None = None

    def fields(self) -> list[Any]:
        """Return the fields as an event stores them."""
        if self.released is None:
            return list(self[:5])
        return [*self[:5], list(self.released)]

    @classmethod
    def of(cls, fields: list[Any]) -> RecordChange:
        """Return the change from its fields as an event stores them."""
        key, digest, size, flags, replaced, *released = fields
        return cls(key, digest, size, flags, replaced, (released[0][0], released[0][1]) if released else None)


class StoredRecord(NamedTuple):
    """A record: which event has put it (its sequence and the position in it), flags, size and hash of the value, and
    the value itself unless it is a content."""

    sequence: int
    position: int
    flags: int
    size: int
    hash: bytes
    data: bytes | None = None

    @property
    def number(self) -> int:
        """The number of the record's reference to its content."""
        return record_number(self.sequence, self.position)

    @property
    def released(self) -> tuple[int, bytes] | None:
        """What a change of this record releases."""
        return (self.number, self.hash) if self.flags & IN_CONTENT else None

    def holds(self, session: bytes) -> tuple[bytes, Reference] | None:
        """Return the content that the record refers to, and its reference."""
        return (self.hash, Reference(session, RECORD, self.number)) if self.flags & IN_CONTENT else None

    def whole(self, key: bytes) -> bytes:
        """Return the value of a record that is no content; `key` names it. Raises IntegrityError if the value is not
        there."""
        if self.data is None:
            raise IntegrityError(f"the value of record {key!r} was lost to damage: put it again, or delete it")
        return self.data


def record_hash(data: bytes) -> bytes:
    """Return the hash of a value: that of a content with the same bytes."""
    return blake3(data).digest() if len(data) <= INLINE_BYTES else content_digest(data)


def record_number(sequence: int, position: int) -> int:
    """Return the number that refers to one change of an event. No event has more than 65 536 changes."""
    return sequence * _POSITIONS + position


def place_of(number: int) -> tuple[int, int]:
    """Return the (sequence, position) that a number refers to."""
    return divmod(number, _POSITIONS)


def are_changes(changes: Any) -> bool:
    """Return whether changes from outside have the form of those in an event, with no key twice."""
    if type(changes) is not list or not 0 < len(changes) <= _MOST_CHANGES:
        return False
    return all(map(_is_change, changes)) and len({fields[0] for fields in changes}) == len(changes)


def _is_change(fields: Any) -> bool:
    if type(fields) is not list or len(fields) not in (5, 6):
        return False
    key, digest, size, flags, replaced, *released = fields
    if type(key) is not bytes or not 0 < len(key) <= MAX_RECORD_KEY:
        return False
    if not all(type(each) is int and 0 <= each < 1 << 62 for each in (size, flags)):
        return False
    if replaced is not None and not (type(replaced) is int and 0 <= replaced < 1 << 62):
        return False
    if released and not (
        type(released[0]) is list
        and len(released[0]) == 2
        and type(released[0][0]) is int
        and 0 <= released[0][0] < 1 << 63
        and _is_hash(released[0][1])
    ):
        return False
    if digest is None:
        return size == flags == 0 and replaced is not None
    return _is_hash(digest) and flags <= IS_VALUE | IN_CONTENT and bool(flags & IN_CONTENT or size <= INLINE_BYTES)


def _is_hash(value: Any) -> bool:
    return type(value) is bytes and len(value) == 32


class RecordFold:
    """The records that a journal has left, without the values that are no contents."""

    def __init__(self) -> None:
        self.live: dict[bytes, StoredRecord] = {}

    def apply(self, sequence: int, changes: Iterable[list[Any]]) -> None:
        """Fold the next event. A published event of old stores has no changes."""
        for position, fields in enumerate(changes):
            change = RecordChange.of(fields)
            if change.hash is None:
                self.live.pop(change.key, None)
            else:
                self.live[change.key] = StoredRecord(sequence, position, change.flags, change.size, change.hash)
