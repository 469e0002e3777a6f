"""One thread and one heap for everything that must happen at a time."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable

from greenroom.storage.common.logs import logger_of

from .clock import Clock

__all__ = ["Timers"]

logger = logger_of("timers")


class Timers:
    """Calls functions at their time. They must be short: what takes long is sent on as a message."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, float, Callable[[], object]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="greenroom-timers", daemon=True)
        self._thread.start()

    def every(self, seconds: float, call: Callable[[], object]) -> None:
        """Call again and again, `seconds` after the end of the last call."""
        with self._changed:
            heapq.heappush(self._heap, (self._clock.monotonic() + seconds, next(self._order), seconds, call))
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closed:
                    wait = self._heap[0][0] - self._clock.monotonic() if self._heap else None
                    if wait is not None and wait <= 0:
                        break
                    self._changed.wait(wait)
                if self._closed:
                    return
                _, _, seconds, call = heapq.heappop(self._heap)
            try:
                call()
            except Exception:
                logger.exception("a timed call failed")
            self.every(seconds, call)

    def close(self, timeout: float) -> None:
        """End the thread; at most `timeout` seconds."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)
