"""The clock of a replay: it gives the times that were recorded."""

from __future__ import annotations

__all__ = ["RecordedClock"]


class RecordedClock:
    """Gives the time at which the recorded program was at this place. Serves as a `Clock`."""

    __slots__ = ("at",)

    def __init__(self, at: int = 0) -> None:
        self.at = at
        """Nanoseconds since the epoch. Whoever reads the recording sets it."""

    def time_ns(self) -> int:
        """Return the recorded time."""
        return self.at

    def monotonic(self) -> float:
        """Return the recorded time in seconds."""
        return self.at / 1e9
