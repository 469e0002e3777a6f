"""The replies that hooks have kept: bounded in number and in bytes, each for its time."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Hashable
from sys import getsizeof
from typing import Any, Final

from .subject import fresh

__all__ = ["ReplyCache"]

_MISSING: Final = object()


class ReplyCache:
    """Least recently used replies go first; one above `max_bytes` / 16 is not kept. Times are the clock's seconds."""

    def __init__(self, clock: Callable[[], float], *, max_entries: int = 4096, max_bytes: int = 16 << 20) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._entries: collections.OrderedDict[Hashable, tuple[float, int, Any]] = collections.OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> tuple[bool, Any]:
        """Whether there is a reply whose time is not over, and the reply, a copy."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return False, None
            if entry[0] <= self._clock():
                self._drop(key)
                return False, None
            self._entries.move_to_end(key)
        return True, fresh(entry[2])

    def keep(self, key: Hashable, ttl: float, reply: Any) -> None:
        """Keep a reply for `ttl` seconds."""
        most = self._max_bytes >> 4
        size = _weight(reply, most)
        if size > most:
            return
        with self._lock:
            if key in self._entries:
                self._drop(key)
            self._entries[key] = (self._clock() + ttl, size, fresh(reply))
            self._bytes += size
            while self._bytes > self._max_bytes or len(self._entries) > self._max_entries:
                self._drop(next(iter(self._entries)))

    def forget(self, belongs: Callable[[Any], bool]) -> None:
        """Drop the replies whose key belongs to what is gone."""
        with self._lock:
            for key in [each for each in self._entries if belongs(each)]:
                self._drop(key)

    def _drop(self, key: Hashable) -> None:
        self._bytes -= self._entries.pop(key)[1]


def _weight(value: Any, most: int) -> int:
    """Bytes of memory, roughly; counted no further than till there are more than `most`."""
    total = 0
    left = [value]
    while left and total <= most:
        each = left.pop()
        total += getsizeof(each)
        if isinstance(each, dict):
            left += each
            left += each.values()
        elif isinstance(each, (list, tuple, set, frozenset)):
            left += each
        elif not isinstance(each, type):
            left += (getattr(each, name, None) for name in getattr(type(each), "__slots__", ()))
            left += getattr(each, "__dict__", {}).values()
    return total
