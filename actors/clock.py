"""The one clock of a runtime. Everything that needs the time asks it, so that tests can drive time."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Tells the time."""

    def time_ns(self) -> int:
        """Return nanoseconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""


class SystemClock:
    """Tells the machine's time."""

    time_ns = staticmethod(time.time_ns)
    monotonic = staticmethod(time.monotonic)
