"""Reads the times that recordings tell, in any of the ways in which they do."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["time_of"]

_EARLIEST: Final = 631_152_000  # 1990, in seconds: a smaller number is no time of a recording
_DAY: Final = 86_400
_UNITS: Final = ((1, 10**9), (10**3, 10**6), (10**6, 10**3), (10**9, 1))
"""Seconds, milliseconds, microseconds and nanoseconds: how many make a second, and how many ns each is."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def time_of(value: Any) -> int | None:
    """Return a time in ns since the epoch; None for what is none, or none that a recording could have.

    Numbers count seconds, milliseconds, microseconds or nanoseconds, whichever makes a plausible time. Texts are ISO
    8601; one without an offset is taken for UTC.
    """
    if isinstance(value, dict):
        value = value.get("$date")  # MongoDB
    if isinstance(value, str):
        return _of_text(value.strip())
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    latest = time.time() + _DAY
    for per_second, nanoseconds in _UNITS:
        if _EARLIEST * per_second <= value <= latest * per_second:
            return int(value * nanoseconds)
    return None


def _of_text(text: str) -> int | None:
    if not 8 <= len(text) <= 40:
        return None
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        return time_of(number)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    try:
        seconds = (when - _EPOCH).total_seconds()
    except OverflowError:
        return None
    if not _EARLIEST <= seconds <= time.time() + _DAY:
        return None
    delta = when - _EPOCH
    return (delta.days * _DAY + delta.seconds) * 10**9 + delta.microseconds * 1000
