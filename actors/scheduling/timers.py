"""Run everything that must happen at a certain time, with one thread and one heap."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable

from greenroom.actors.clock import Clock
from greenroom.storage.common.logs import logger_of
from greenroom.storage.concurrency.starter import start_thread
from greenroom.storage.concurrency.waiting import Bell

__all__ = ["Timers"]

logger = logger_of("timers")


class Timers:
    """Calls functions at their times. They must be short; long work is sent on as a message."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, float | None, Callable[[], object]]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._bell = Bell()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="greenroom-timers", daemon=True)
        start_thread(self._thread)

    def every(self, seconds: float, call: Callable[[], object]) -> None:
        """Call a function again and again, `seconds` after the end of its last call."""
        self._enter(seconds, seconds, call)

    def once(self, seconds: float, call: Callable[[], object]) -> None:
        """Call a function once, `seconds` from now."""
        self._enter(seconds, None, call)

    def _enter(self, seconds: float, again: float | None, call: Callable[[], object]) -> None:
        entry = (self._clock.monotonic() + seconds, next(self._order), again, call)
        with self._lock:
            heapq.heappush(self._heap, entry)
        self._bell.ring()

    def _run(self) -> None:
        while not self._closed:
            first = self._first()
            wait = first[0] - self._clock.monotonic() if first is not None else None
            if wait is None or wait > 0:
                self._bell.wait_for(lambda first=first: self._closed or self._first() is not first, wait)  # type: ignore[misc]
                continue
            with self._lock:
                _, _, again, call = heapq.heappop(self._heap)
            try:
                call()
            except Exception:
                logger.exception("a timed call failed")
            if again is not None:
                self.every(again, call)

    def _first(self) -> tuple[float, int, float | None, Callable[[], object]] | None:
        with self._lock:
            return self._heap[0] if self._heap else None

    def close(self, timeout: float) -> None:
        """End the thread, waiting at most `timeout` seconds."""
        self._closed = True
        self._bell.ring()
        self._thread.join(timeout)
