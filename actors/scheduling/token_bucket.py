"""Limit how often something is done: so many times a second, and so many at once after a quiet time."""

from __future__ import annotations

from typing import Final

__all__ = ["TokenBucket"]

_SLACK: Final = 1e-9
"""Sums of floating-point refills may fall short of a whole operation by this."""


class TokenBucket:
    """Holds at most `capacity` operations and fills again at `rate` a second. Not thread-safe: its owner's lock guards
    it. Times are seconds of a clock that its owner reads."""

    __slots__ = ("at", "capacity", "level", "rate")

    def __init__(self, rate: float, capacity: float, now: float) -> None:
        self.rate = rate
        self.capacity = self.level = capacity
        self.at = now

    def fill(self, now: float) -> float:
        """Let in what has come in since, and return how many operations are in it now."""
        if now > self.at:
            level = self.level + (now - self.at) * self.rate
            self.level = min(self.capacity, level)
            self.at = now
        return self.level

    def wait(self, wanted: float, now: float) -> float:
        """Return the seconds until so many operations are in it, 0 if they are. More than it can hold is what it can
        hold."""
        lacking = min(wanted, self.capacity) - self.fill(now)
        # After a clock was set back nothing comes in until it is where it was.
        return lacking / self.rate + max(0.0, self.at - now) if lacking > _SLACK else 0.0

    def take(self, count: float) -> None:
        """Take so many operations out; at most what it can hold."""
        self.level = max(0.0, self.level - min(count, self.capacity))

    def admits(self, now: float) -> bool:
        """Take one operation if it is in it; return whether it was."""
        if self.fill(now) < 1.0 - _SLACK:
            return False
        self.take(1.0)
        return True

    def resize(self, rate: float, capacity: float, now: float) -> None:
        """Set another rate from now on. What has been used stays used."""
        self.fill(now)
        used = self.capacity - self.level
        self.rate = rate
        self.capacity = capacity
        self.level = max(0.0, capacity - used)
