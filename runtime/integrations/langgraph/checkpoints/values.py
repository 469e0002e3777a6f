"""The values of channels by their hashes, with those in memory that came last."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Final

from greenroom.runtime import IntegrityError, Session

from .rows import value_key

__all__ = ["Values", "read_values"]

_MOST: Final = 10_000
"""Records that are read in one look."""
_LARGE: Final = 64 << 10
"""A value of more bytes is not kept."""


class Values:
    """Reads values, and keeps up to `most` bytes of them. A hash never stands for other bytes, so none is ever out of
    date. Thread-safe."""

    def __init__(self, most: int = 16 << 20) -> None:
        self._most = most
        self._kept: dict[bytes, bytes] = {}
        self._size = 0
        self._lock = Lock()

    def read(self, session: Session, digests: Sequence[bytes]) -> list[bytes]:
        """Return values by their hashes, in the same order. Raises IntegrityError if one is no longer there."""
        kept = self._kept
        found = [kept.get(each) for each in digests]
        if None in found:
            missing = [digest for digest, content in zip(digests, found, strict=True) if content is None]
            new = dict(zip(missing, read_values(session, missing), strict=True))
            self.keep(new)
            found = [
                new[digest] if content is None else content for digest, content in zip(digests, found, strict=True)
            ]
        return found  # type: ignore[return-value]  # None is in it no more

    def kept(self, digests: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        """Return the first of these hashes with their values, as far as they are in memory."""
        found: list[tuple[bytes, bytes]] = []
        for digest in digests:
            value = self._kept.get(digest)
            if not value:
                break
            found.append((digest, value))
        return found

    def keep(self, values: dict[bytes, bytes]) -> None:
        """Keep values by their hashes. The oldest make room for them."""
        with self._lock:
            kept = self._kept
            for digest, content in values.items():
                if len(content) <= _LARGE and digest not in kept:
                    kept[digest] = content
                    self._size += len(content)
            while self._size > self._most:
                self._size -= len(kept.pop(next(iter(kept))))


def read_values(session: Session, digests: Sequence[bytes]) -> list[bytes]:
    """Return values by their hashes, in the same order. Raises IntegrityError if one is no longer there."""
    keys = [value_key(each) for each in digests]
    found: list[bytes] = []
    for begin in range(0, len(keys), _MOST):
        some = keys[begin : begin + _MOST]
        records = session.records.get_many(some)
        for key in some:
            record = records.get(key)
            if not isinstance(record, bytes):
                raise IntegrityError(
                    "the value of a channel is lost: its record is no longer there", session_id=session.id
                )
            found.append(record)
    return found
