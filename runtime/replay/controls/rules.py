"""The times of a schedule: once, at intervals, or by a cron expression."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Final, Protocol

from greenroom.storage.common.arguments import as_seconds, as_text
from greenroom.storage.common.times import SECOND, iso_time, moment, nanoseconds, utc_time
from greenroom.storage.errors import ValidationError, shown

__all__ = ["Rule", "rule_of"]

SHORTEST: Final = 0.01
"""Seconds of the shortest interval."""
MAX_CRON: Final = 255


class Rule(Protocol):
    """Says when a schedule runs. Times are nanoseconds since the epoch. As text, it is for people."""

    def first(self, now: int) -> int | None:
        """Return the time of the first run; None if there is none."""

    def after(self, now: int) -> int | None:
        """Return the first time after `now`; None if there is none."""


class _Once:
    def __init__(self, time: int) -> None:
        self._time = time

    def __str__(self) -> str:
        return f"once at {iso_time(utc_time(self._time))}"

    def first(self, now: int) -> int | None:
        return self._time

    def after(self, now: int) -> int | None:
        return None


class _Interval:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._length = int(seconds * SECOND)
        self._began = 0

    def __str__(self) -> str:
        return f"every {self._seconds:g} s"

    def first(self, now: int) -> int | None:
        self._began = now
        return now + self._length

    def after(self, now: int) -> int | None:
        passed = max(0, now - self._began) // self._length
        return self._began + (passed + 1) * self._length


class _Cron:
    def __init__(self, expression: str, zone: tzinfo, name: str) -> None:
        self._expression = expression
        self._zone = zone
        self._name = name

    def __str__(self) -> str:
        return f"cron {self._expression} ({self._name})"

    def first(self, now: int) -> int | None:
        return self.after(now)

    def after(self, now: int) -> int | None:
        from cronsim import CronSim

        times = CronSim(self._expression, datetime.fromtimestamp(now // SECOND, self._zone))
        found = next(times, None)
        return nanoseconds(found) if found is not None else None


def rule_of(once: datetime | str | float | None, interval: float | None, cron: str | None, timezone: str) -> Rule:
    """Return the rule of a schedule. Raises ValidationError, also unless exactly one of the first three is given."""
    if sum(each is not None for each in (once, interval, cron)) != 1:
        raise ValidationError("schedule: one of once=, interval= and cron= is needed", field="once")
    zone = _zone(as_text("timezone", timezone, 64))
    if once is not None:
        time = moment(once, "once")
        assert time is not None, "a time was given"
        return _Once(time)
    if interval is not None:
        seconds = as_seconds("interval", interval)
        if seconds < SHORTEST:
            raise ValidationError(f"interval: at least {SHORTEST:g} seconds are needed", field="interval")
        return _Interval(seconds)
    expression = as_text("cron", cron, MAX_CRON)
    _check(expression)
    return _Cron(expression, zone, timezone)


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValidationError(
            f"timezone: {shown(name)} is not known: give a name such as Europe/Berlin, or UTC", field="timezone"
        ) from None


def _check(expression: str) -> None:
    from cronsim import CronSim, CronSimError

    try:
        CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValidationError(
            f"cron: {str(error).lower()}: minute, hour, day of month, month and day of week are needed, as in"
            ' "0 3 * * MON" (with seconds first if there are six)',
            field="cron",
        ) from None
