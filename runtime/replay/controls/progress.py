"""Tells a host how far a replay is, without being held up by what the host does with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from greenroom.actors.scheduling.threads import Elastic
from greenroom.storage.common.logs import logger_of
from greenroom.storage.concurrency.waiting import Bell
from greenroom.storage.errors import GreenroomError

__all__ = ["ReplayProgress", "Reporter"]

logger = logger_of("replay")

_LAST_WORD: Final = 1.0
"""Seconds that the end of a replay waits for its last report to be given."""


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """How far a replay is."""

    percentage: float
    """From 0 to 100."""
    position: int
    """The sequence of the last event that was replayed."""
    last: int
    """The sequence that the replay ends with."""
    time_left: float | None
    """Seconds until the end at the present speed; None if that is not known yet."""


class Reporter:
    """Calls a function with the newest progress, one call at a time, on a thread of its own.

    While a call lasts, newer progress replaces what waits, so a slow function gets less of it and holds up nothing. A
    function that raises is called again with the next progress; the first failure is logged.
    """

    def __init__(self, elastic: Elastic, function: Callable[[ReplayProgress], object]) -> None:
        self._elastic = elastic
        self._function = function
        self._lock = threading.Lock()
        self._bell = Bell()
        self._newest: ReplayProgress | None = None
        """What is still to be told."""
        self._at_work = False
        self._failed = False

    def tell(self, progress: ReplayProgress) -> None:
        """Have a progress told soon."""
        with self._lock:
            self._newest = progress
            if self._at_work:
                return
            self._at_work = True
        try:
            self._elastic.submit(self._work, spare=self._elastic.spare)
        except GreenroomError:  # no thread is free, or the runtime is closing: the next progress tries again
            self._at_work = False

    def finish(self) -> None:
        """Wait a moment until everything has been told."""
        self._bell.wait_for(lambda: not self._at_work, _LAST_WORD)

    def _work(self) -> None:
        while True:
            with self._lock:
                progress, self._newest = self._newest, None
                if progress is None:
                    self._at_work = False
                    break
            try:
                self._function(progress)
            except Exception:
                if not self._failed:
                    self._failed = True
                    logger.exception("a function that is told the progress of a replay has failed; it is told more")
        self._bell.ring()
