"""Keep hot content in memory, within a bound in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict

__all__ = ["ContentCache"]


class ContentCache:
    """A byte-bounded LRU of verified content. Thread-safe; 0 bytes turn it off."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def get(self, digest: bytes) -> bytes | None:
        with self._lock:
            data = self._entries.get(digest)
            if data is None:
                self.misses += 1
                return None
            self._entries.move_to_end(digest)
            self.hits += 1
            return data

    def put(self, digest: bytes, data: bytes) -> None:
        # One huge content must not push out everything else.
        if len(data) > self._capacity // 4:
            return
        with self._lock:
            if digest in self._entries:
                return
            self._entries[digest] = data
            self.bytes += len(data)
            while self.bytes > self._capacity:
                self.bytes -= len(self._entries.popitem(last=False)[1])

    def drop(self, digest: bytes) -> None:
        with self._lock:
            data = self._entries.pop(digest, None)
            if data is not None:
                self.bytes -= len(data)
