"""Limit how often something is done: so many times a second, and so many at once after a quiet time."""

from __future__ import annotations

from typing import Final

__all__ = ["TokenBucket"]

_SLACK: Final = 1e-9
"""The amount by which sums of floating-point refills may fall short of a whole operation."""


class TokenBucket:
    """Holds at most `capacity` operations and refills at `rate` a second. Not thread-safe: its owner's lock guards it.
    Times are seconds of a clock that its owner reads."""

    __slots__ = ("at", "capacity", "level", "rate")

    def __init__(self, rate: float, capacity: float, now: float) -> None:
        self.rate = rate
        self.capacity = self.level = capacity
        self.at = now

    def fill(self, now: float) -> float:
        """Refill the bucket up to `now`, and return how many operations it holds."""
        if now > self.at:
            level = self.level + (now - self.at) * self.rate
            self.level = min(self.capacity, level)
            self.at = now
        return self.level

    def wait(self, wanted: float, now: float) -> float:
        """Return the seconds until the bucket holds so many operations; 0 if it does already. A number above its
        capacity counts as its capacity."""
        lacking = min(wanted, self.capacity) - self.fill(now)
        # After a clock was set back, nothing is refilled until it shows a new time.
        return lacking / self.rate + max(0.0, self.at - now) if lacking > _SLACK else 0.0

    def take(self, count: float) -> None:
        """Take so many operations out, at most the capacity."""
        self.level = max(0.0, self.level - min(count, self.capacity))

    def admits(self, now: float) -> bool:
        """Take one operation if the bucket holds one. Return whether it did."""
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
