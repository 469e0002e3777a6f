"""Threads on which an event loop has done what may wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from greenroom.actors.scheduling.threads import Elastic
from greenroom.storage.errors import ResourceLimitExceeded

__all__ = ["Threads"]

Job = Callable[[], object]


class Threads:
    """Runs jobs that wait for the store a few at a time, in their order, and jobs that wait for code of the host at
    once.

    A job of the second kind may wait for a coroutine that itself asks for a job. If it held one of few threads, each
    could wait for the other.
    """

    FEW: Final = 64
    MOST: Final = 512

    def __init__(self) -> None:
        self._elastic = Elastic(self.MOST, "greenroom-async")
        self._lock = threading.Lock()
        self._running = 0
        self._waiting: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        """Run a job that waits for nothing but the store. It must not raise. Raises RuntimeClosed after `close`."""
        with self._lock:
            if self._running >= self.FEW:
                self._waiting.append(job)
                return
            self._running += 1
        try:
            self._elastic.submit(self._serve, job)
        except BaseException:
            with self._lock:
                self._running -= 1
            raise

    def submit_at_once(self, job: Job) -> None:
        """Run a job that may wait for code of the host; if hundreds of them run already, like any other job."""
        try:
            self._elastic.submit(job, spare=self.FEW)
        except ResourceLimitExceeded:
            self.submit(job)

    def _serve(self, job: Job) -> None:
        while True:
            job()
            with self._lock:
                if not self._waiting:
                    self._running -= 1
                    return
                job = self._waiting.popleft()

    def close(self) -> None:
        """Accept no more jobs. What has begun, or waits, is done to its end."""
        self._elastic.close(0)
