"""Read the records of sessions: the layout of their keys, and the encoding of their entries in the store.

An entry lies in the `index` family under `R`, the session and the key. docs/format.md is the specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from greenroom.storage.codec.keys import after_prefix, session_id_of
from greenroom.storage.codec.records import intact, seal, unpacked_many, unseal
from greenroom.storage.engine.engine import CF, Engine, Op
from greenroom.storage.errors import IntegrityError

from .model import StoredRecord

__all__ = ["RECORD_ENTRY", "Records", "record_entry", "record_key", "stored_record", "stored_records"]

RECORD_ENTRY: Final = b"R"
"""First byte of the keys of records in the `index` family; the session and the record's own key follow."""
_PREFIX: Final = 17
_FEW: Final = 4
"""So few records are decoded one by one, in less time than together."""
_record: Final = StoredRecord._make
_FIELDS: Final = len(StoredRecord._fields)


def record_key(session: bytes, key: bytes) -> bytes:
    """Return the key in the store of a record."""
    return RECORD_ENTRY + session + key


def record_entry(session: bytes, key: bytes, record: StoredRecord) -> Op:
    """Return the operation that stores a record."""
    place = record_key(session, key)
    return CF.INDEX, place, seal(place, tuple(record))


def stored_record(place: bytes, entry: bytes) -> StoredRecord:
    """Decode an entry. Raises IntegrityError, SchemaTooNew."""
    fields: list[Any] = unseal(place, entry, _named)
    try:
        return StoredRecord(*fields)
    except TypeError as error:
        raise IntegrityError(f"{_named(place)} is damaged on disk; run verify") from error


def stored_records(page: list[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, StoredRecord]]:
    """Yield the records of a page with their keys. Raises IntegrityError or SchemaTooNew where it comes to one that
    cannot be read."""
    found = unpacked_many(page[: intact(page)]) if len(page) > _FEW else []
    for (place, entry), fields in zip(page, found, strict=False):
        is_plain = fields.__class__ is list and len(fields) == _FIELDS
        yield place[_PREFIX:], _record(fields) if is_plain else stored_record(place, entry)
    for place, entry in page[len(found) :]:
        yield place[_PREFIX:], stored_record(place, entry)


def _named(place: bytes) -> str:
    return f"record {place[_PREFIX:]!r} of session {session_id_of(place[1:_PREFIX])}"


class Records:
    """Reads the records of sessions. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, session: bytes, key: bytes) -> StoredRecord | None:
        """Return a record; None if there is none. Raises IntegrityError, SchemaTooNew."""
        place = RECORD_ENTRY + session + key
        entry = self._engine.get(CF.INDEX, place)
        return stored_record(place, entry) if entry is not None else None

    def many(self, session: bytes, keys: Iterable[bytes]) -> Iterator[tuple[bytes, StoredRecord]]:
        """Yield the records that there are of these, with their keys. Raises IntegrityError, SchemaTooNew."""
        prefix, get = RECORD_ENTRY + session, self._engine.get
        found = [(place, get(CF.INDEX, place)) for place in [prefix + key for key in keys]]
        return stored_records([(place, entry) for place, entry in found if entry is not None])

    def page(
        self, session: bytes, prefix: bytes, *, after: bytes | None, reverse: bool, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """Return the first (key in the store, entry) of the records with a prefix, behind `after` in the order of
        reading. See `stored_records`."""
        begin, end = _range(session, prefix, after, reverse=reverse)
        return self._engine.entries(CF.INDEX, begin, end, reverse=reverse, limit=limit) if begin < end else []

    def keys(self, session: bytes, prefix: bytes, *, after: bytes | None, limit: int) -> list[bytes]:
        """Return the first keys with a prefix that are greater than `after`. Reads no value."""
        begin, end = _range(session, prefix, after, reverse=False)
        found = self._engine.keys(CF.INDEX, begin, end, limit=limit) if begin < end else []
        return [each[_PREFIX:] for each in found]

    def count(self, session: bytes, prefix: bytes) -> int:
        """Count the records with a prefix."""
        return self._engine.count(CF.INDEX, *_range(session, prefix, None, reverse=False))

    def entries(self, session: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, entry) of all records of a session."""
        prefix = RECORD_ENTRY + session
        for place, entry in self._engine.pages(CF.INDEX, prefix, after_prefix(prefix)):
            yield place[_PREFIX:], entry

    def all(self, session: bytes) -> Iterator[tuple[bytes, StoredRecord]]:
        """Yield (key, record) of all records of a session. Raises IntegrityError, SchemaTooNew."""
        for key, entry in self.entries(session):
            yield key, stored_record(record_key(session, key), entry)


def _range(session: bytes, prefix: bytes, after: bytes | None, *, reverse: bool) -> tuple[bytes, bytes]:
    """Return the first key in the store to read, and the first that is not read any more."""
    first = RECORD_ENTRY + session + prefix
    begin, end = first, after_prefix(first)
    if after is not None:
        place = RECORD_ENTRY + session + after
        if reverse:
            end = min(end, place)
        else:
            begin = max(begin, place + b"\x00")
    return begin, end
