"""The circuit breaker of a hook: after repeated failure or slowness it is left out for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

__all__ = ["Breaker"]

CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half-open"


class Breaker:
    """Opens after `threshold` bad calls in a row, or at once when told. After `cooldown` seconds one call may try
    again (half-open): if it is good the breaker closes, else it stays open for another cooldown."""

    __slots__ = ("_bad", "_clock", "_cooldown", "_lock", "_opened", "_threshold", "_trying", "opened")

    def __init__(self, threshold: int, cooldown: float, clock: Callable[[], float]) -> None:
        self._threshold = threshold
        self._cooldown = cooldown
        self._clock = clock
        self._lock = threading.Lock()
        self._bad = 0
        self._opened = 0.0
        self._trying = False
        self.opened = False
        """Whether it is not closed: one look for the calls that find it so."""

    @property
    def troubled(self) -> bool:
        """Whether a good call would change anything."""
        return self._bad > 0 or self.opened

    @property
    def state(self) -> str:
        """ "closed", "open", or "half-open" when the next call may try."""
        if not self.opened:
            return CLOSED
        return HALF_OPEN if self._trying or self._clock() - self._opened >= self._cooldown else OPEN

    def admits(self) -> bool:
        """Whether a call may be made now. Of those that come when the cooldown is over, one may; if nothing is heard of
        that one (it hangs, or was interrupted), another when the time is over once more."""
        if not self.opened:
            return True
        with self._lock:
            now = self._clock()
            if now - self._opened < self._cooldown:
                return False
            self._trying, self._opened = True, now
            return True

    def good(self) -> None:
        """The call was good."""
        if self._bad or self.opened:
            with self._lock:
                self._bad = 0
                if self._trying:  # others that end well now began before it opened
                    self._trying = self.opened = False

    def release(self) -> None:
        """The call that might have tried again was not made after all."""
        if self.opened:
            with self._lock:
                if self._trying:
                    self._trying, self._opened = False, self._clock() - self._cooldown

    def reset(self) -> None:
        """Close it, whatever was."""
        with self._lock:
            self._bad = 0
            self._trying = self.opened = False

    def bad(self, *, at_once: bool = False) -> bool:
        """The call was bad; whether that has opened the breaker. With `at_once` one such call does."""
        with self._lock:
            self._bad += 1
            if not (at_once or self._trying or self._bad >= self._threshold):
                return False
            opening = not self.opened
            self.opened, self._trying, self._opened = True, False, self._clock()
            return opening
