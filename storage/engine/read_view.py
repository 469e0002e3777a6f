"""A view of the store as of one moment, for long readings: later writes are not seen."""

from __future__ import annotations

from typing import Any

from .engine import Engine

__all__ = ["ReadView"]


class ReadView(Engine):
    """The reading half of an engine as of the moment at which it was made. Serves one thread; keeps the store open
    until it is closed.

    The families are pinned one after the other, so make it while nothing writes, in the writer's turn. It consists of
    iterators, because rocksdict's snapshots do not hold for iterating, and followers have none at all.
    """

    _bulk = False

    def __init__(self, engine: Engine) -> None:
        self.path = engine.path
        self.durability = engine.durability
        self.read_only = True
        self._closed = False
        self._origin = engine
        self._families: Any = [_Pinned(family.iter()) for family in engine._families]
        self._gets: Any = [family.get for family in self._families]
        engine.moments += 1

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._origin.moments -= 1
        for family in self._families:
            family.drop()

    def moment(self) -> int:
        """All is of the one moment."""
        return 0

    def __enter__(self) -> ReadView:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _was_reopened(self, error: Exception) -> bool:
        return False


class _Pinned:
    """A column family with one iterator, made at the beginning, that serves every request."""

    __slots__ = ("_iterator",)

    def __init__(self, iterator: Any) -> None:
        self._iterator = iterator

    def drop(self) -> None:
        """Release the database, even if the frames of an error that somebody keeps refer to this object."""
        self._iterator = None

    def iter(self) -> Any:
        return self._iterator

    def key_may_exist(self, key: bytes) -> bool:
        return True

    def get(self, key: bytes) -> bytes | None:
        iterator = self._iterator
        try:
            iterator.seek(key)
            if iterator.valid() and iterator.key() == key:
                value: bytes = iterator.value()
                return value
            iterator.status()
        finally:
            del iterator
        return None
