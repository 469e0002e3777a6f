"""The one clock of a runtime. Everything that asks for the time asks it, so that tests can drive time."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Where time comes from."""

    def time_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back."""


class SystemClock:
    """The machine's time."""

    time_ns = staticmethod(time.time_ns)
    monotonic = staticmethod(time.monotonic)
