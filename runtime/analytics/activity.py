"""When something happened: events per stretch of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from greenroom.storage.common.times import iso_time, utc_time

__all__ = ["Activity", "ActivityTally"]

MAX_BUCKETS: Final = 1000
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Activity:
    """Events per bucket of `seconds`, those without any left out: (its beginning, its events), in order of time.

    Buckets begin at whole multiples of their length since the epoch.
    """

    seconds: float
    buckets: tuple[tuple[datetime, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; times in RFC 3339."""
        return {
            "seconds": self.seconds,
            "buckets": [{"from": iso_time(begin), "events": count} for begin, count in self.buckets],
        }


class ActivityTally:
    """Counts events by time. When there are more than 1000 buckets, their length doubles until there are not."""

    __slots__ = ("_counts", "_width")

    def __init__(self, seconds: float) -> None:
        self._width = max(1, round(seconds * _SECOND))
        self._counts: dict[int, int] = {}

    def add(self, time: int) -> None:
        """Count an event at a time in ns since the epoch."""
        bucket = time // self._width
        counts = self._counts
        counts[bucket] = counts.get(bucket, 0) + 1
        while len(self._counts) > MAX_BUCKETS:
            self._widen()

    def merge(self, other: ActivityTally) -> None:
        """Take in what another, that began with the same length, has counted."""
        while self._width < other._width:
            self._widen()
        ratio = self._width // other._width
        for bucket, count in other._counts.items():
            self._counts[bucket // ratio] = self._counts.get(bucket // ratio, 0) + count
        while len(self._counts) > MAX_BUCKETS:
            self._widen()

    def _widen(self) -> None:
        self._width *= 2
        wider: dict[int, int] = {}
        for bucket, count in self._counts.items():
            wider[bucket // 2] = wider.get(bucket // 2, 0) + count
        self._counts = wider

    def activity(self) -> Activity:
        return Activity(
            self._width / _SECOND,
            tuple((utc_time(bucket * self._width), count) for bucket, count in sorted(self._counts.items())),
        )
