"""A view of the store with operations on top that are not written yet: what a later decision of one write looks up."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Sequence

from .engine import Engine, Op

__all__ = ["StagedView"]

_AFTER = b"\xff" * 9 + b"\x00"


class StagedView(Engine):
    """The reading half of an engine as it will be once these operations are written. Operations that are added to the
    list later are seen too. Serves one thread, and is given up before the write."""

    _bulk = False

    def __init__(self, engine: Engine, ops: list[Op]) -> None:
        self.path = engine.path
        self.durability = engine.durability
        self.read_only = True
        self._origin = engine
        self._ops = ops
        self._seen = 0
        self._values: dict[int, dict[bytes, bytes | None]] = {}
        self._ordered: dict[int, list[bytes]] = {}

    def _look(self, cf: int) -> tuple[dict[bytes, bytes | None], list[bytes]]:
        """Return the staged values of a column family, and their keys in order."""
        for family, key, value in self._ops[self._seen :]:
            values = self._values.setdefault(family, {})
            if key not in values:
                insort(self._ordered.setdefault(family, []), key)
            values[key] = value
        self._seen = len(self._ops)
        return self._values.get(cf, {}), self._ordered.get(cf, [])

    def _within(self, cf: int, begin: bytes, end: bytes) -> dict[bytes, bytes | None]:
        values, ordered = self._look(cf)
        return {key: values[key] for key in ordered[bisect_left(ordered, begin) : bisect_left(ordered, end)]}

    def get(self, cf: int, key: bytes) -> bytes | None:
        values, _ = self._look(cf)
        return values[key] if key in values else self._origin.get(cf, key)

    def moment(self) -> int:
        return self._origin.moment()

    def may_exist(self, cf: int, key: bytes) -> bool:
        values, _ = self._look(cf)
        return values[key] is not None if key in values else self._origin.may_exist(cf, key)

    def scan(
        self,
        cf: int,
        begin: bytes,
        end: bytes,
        *,
        reverse: bool = False,
        limit: int | None = None,
        most_bytes: int | None = None,
    ) -> list[tuple[bytes, bytes]]:
        staged = self._within(cf, begin, end)
        if not staged:
            return self._origin.scan(cf, begin, end, reverse=reverse, limit=limit, most_bytes=most_bytes)
        enough = None if limit is None else limit + len(staged)
        merged: dict[bytes, bytes | None] = dict(self._origin.scan(cf, begin, end, reverse=reverse, limit=enough))
        merged.update(staged)
        found = [(key, value) for key, value in merged.items() if value is not None]
        found.sort(reverse=reverse)
        return found if limit is None else found[:limit]

    def keys(
        self, cf: int, begin: bytes, end: bytes, *, limit: int, beyond: Callable[[bytes], bytes] | None = None
    ) -> list[bytes]:
        if beyond is None:
            return [key for key, _ in self.scan(cf, begin, end, limit=limit)]
        found: list[bytes] = []
        while len(found) < limit and (more := self.scan(cf, begin, end, limit=1)):
            found.append(more[0][0])
            begin = beyond(more[0][0])
        return found

    def scan_keys(
        self, cf: int, ranges: Sequence[tuple[bytes, bytes]], *, reverse: bool = False, limit: int
    ) -> list[list[bytes]]:
        return [[key for key, _ in self.scan(cf, begin, end, reverse=reverse, limit=limit)] for begin, end in ranges]

    def lasts(self, cf: int, prefixes: Iterable[bytes]) -> list[tuple[bytes, bytes] | None]:
        return [self.last(cf, prefix) for prefix in prefixes]

    def count(self, cf: int, begin: bytes, end: bytes) -> int:
        count = self._origin.count(cf, begin, end)
        for key, value in self._within(cf, begin, end).items():
            count += (value is not None) - (self._origin.get(cf, key) is not None)
        return count

    def last(self, cf: int, prefix: bytes) -> tuple[bytes, bytes] | None:
        _, ordered = self._look(cf)
        if bisect_left(ordered, prefix) == bisect_right(ordered, prefix + _AFTER):
            return self._origin.last(cf, prefix)
        found = self.scan(cf, prefix, prefix + _AFTER, reverse=True, limit=1)
        return found[0] if found else None
