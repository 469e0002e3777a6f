"""The items below a namespace as they were read last, kept in memory until anything in the store's session changes."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final, NamedTuple

import ormsgpack

from greenroom.runtime import Session

from .items import Namespace, place_of

__all__ = ["MICRO", "Found", "Items", "Row", "live"]

Row = dict[str, Any]
"""An item as it is stored, see `items`."""
MICRO: Final = 1_000_000
"""Microseconds of a second: the times of rows are in them."""
_PAGE: Final = 256


def live(record: object, now: int) -> Row | None:
    """Return the item of a record, or None if there is none or it has expired."""
    if not isinstance(record, dict) or ("x" in record and record["x"] <= now):
        return None
    return record


class Found:
    """An item that was found. Once it is kept, each who asks gets a copy of its value."""

    __slots__ = ("_fields", "_packed", "key", "row")

    def __init__(self, key: bytes, row: Row) -> None:
        self.key = key
        self.row = row
        self._packed: bytes | None = None
        self._fields: tuple[Namespace, str, datetime, datetime] | None = None

    def pack(self) -> int:
        """Prepare the item to be kept, and return its size. Raises TypeError for what has no form in MessagePack."""
        if self._packed is None:
            self._packed = ormsgpack.packb(self.row["v"])
        return len(self.key) + len(self._packed)

    @property
    def value(self) -> dict[str, Any]:
        """The value of the item, for the caller to keep."""
        value: dict[str, Any] = self.row["v"] if self._packed is None else ormsgpack.unpackb(self._packed)
        return value

    @property
    def fields(self) -> tuple[Namespace, str, datetime, datetime]:
        """Namespace, key, and when the item was created and updated."""
        if self._fields is None:
            created, updated = (datetime.fromtimestamp(self.row[each] / MICRO, UTC) for each in "cu")
            self._fields = (*place_of(self.key), created, updated)
        return self._fields


class _Kept(NamedTuple):
    """The first items with a prefix, or all of them, and their size in bytes."""

    items: Sequence[Found] = ()
    is_all: bool = False
    size: int = 0


class Items:
    """Reads items in the order of their keys, and keeps up to `most` bytes of those that were read last. Thread-safe.

    What was read is so as long as the session has the same sequence, whoever writes to it.
    """

    def __init__(self, most: int = 4 << 20) -> None:
        self._most = most
        self._moment: tuple[str, int] | None = None
        self._kept: dict[bytes, _Kept] = {}
        self._size = 0
        self._lock = Lock()

    def below(self, session: Session, prefix: bytes, first: int) -> Generator[Found, None, None]:
        """Yield the items with a prefix, also those that have expired. `first` is how many are probably needed. What
        was read is kept when the iterator is closed."""
        moment = session.id, session.info().sequence
        with self._lock:
            kept = self._kept.get(prefix, _Kept()) if moment == self._moment else _Kept()
        yield from kept.items
        if kept.is_all:
            return
        new: list[Found] = []
        is_all = False
        try:
            for key, record in _records(session, prefix, kept.items[-1].key if kept.items else None, first):
                if isinstance(record, dict):
                    item = Found(key, record)
                    new.append(item)
                    yield item
            is_all = True
        finally:
            if (session.id, session.info().sequence) == moment:
                self._keep(moment, prefix, kept, new, is_all=is_all)

    def _keep(self, moment: tuple[str, int], prefix: bytes, kept: _Kept, new: list[Found], *, is_all: bool) -> None:
        size = kept.size
        try:
            for item in new:
                size += item.pack()
                if size > self._most:
                    return
        except TypeError:  # large integers, and text that is no Unicode
            return
        with self._lock:
            if moment != self._moment:
                self._moment = moment
                self._kept.clear()
                self._size = 0
            self._size += size - self._kept.pop(prefix, _Kept()).size
            self._kept[prefix] = _Kept([*kept.items, *new], is_all, size)
            while self._size > self._most:
                self._size -= self._kept.pop(next(iter(self._kept))).size


def _records(session: Session, prefix: bytes, after: bytes | None, first: int) -> Iterator[tuple[bytes, object]]:
    """Yield the records with a prefix: as many at once as are probably needed, then page by page."""
    page = session.records.scan(prefix, after=after, limit=min(first, _PAGE))
    yield from page
    if page:
        yield from session.records.iterate(prefix, after=page[-1][0])
