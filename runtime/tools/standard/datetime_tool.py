"""The tool `datetime`: now, parse, format, add and difference."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from greenroom.runtime.calls.work import CallContext
from greenroom.storage.errors import ValidationError

from .inputs import any_case

__all__ = ["datetime_tool"]

# No widths or flags: the C library would make a text of any width.
_FORMAT: Final = re.compile(r"(?:[^%]|%[aAbBdHIjmMpSyYzZfGuV%])*")
_MAX_FORMAT: Final = 200


def datetime_tool(
    operation: Annotated[
        Literal["now", "parse", "format", "add", "difference"], any_case({"diff": "difference"})
    ] = "now",
    input: str | float | None = None,
    other: str | float | None = None,
    timezone: str = "UTC",
    format: str | None = None,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
    *,
    context: CallContext,
) -> str | float | dict[str, str | float | int]:
    """Dates and times, as RFC 3339 texts or seconds since the epoch.

    now: the time, in a `timezone` such as Europe/Berlin. parse: the parts of a time. format: a time by a pattern such
    as %Y-%m-%d. add: a time so many days, hours, minutes and seconds later. difference: the seconds from `input` to
    `other`.
    """
    zone = _zone(timezone)
    try:
        when = _time(input, "input", zone) if input is not None else context.now().astimezone(zone)
        if operation == "difference":
            later = _time(other, "other", zone) if other is not None else context.now()
            return (later - when).total_seconds()
        if operation == "add":
            when += timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if operation == "parse":
            return _parts(when)
        return _formatted(when, format) if format is not None else when.isoformat().replace("+00:00", "Z")
    except (OverflowError, OSError):
        raise ValidationError("input: there is no such date", field="input") from None


def _zone(name: str) -> tzinfo:
    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except Exception:  # a name that is a file or a folder can raise anything
        raise ValidationError(
            "timezone: the name of a time zone such as Europe/Berlin is needed", field="timezone"
        ) from None


def _time(value: str | float, field: str, zone: tzinfo) -> datetime:
    if not isinstance(value, str):
        return datetime.fromtimestamp(value, zone)
    try:
        when = datetime.fromisoformat(value.strip())
    except ValueError:
        raise ValidationError(f"{field}: a time in RFC 3339 is needed", field=field) from None
    return when.replace(tzinfo=zone) if when.tzinfo is None else when.astimezone(zone)


def _formatted(when: datetime, pattern: str) -> str:
    if len(pattern) > _MAX_FORMAT or not _FORMAT.fullmatch(pattern):
        raise ValidationError(
            f"format: at most {_MAX_FORMAT} characters, and of the directives of strftime those without a width",
            field="format",
        )
    return when.strftime(pattern)


def _parts(when: datetime) -> dict[str, str | float | int]:
    return {
        "iso": when.isoformat().replace("+00:00", "Z"),
        "timestamp": when.timestamp(),
        "year": when.year,
        "month": when.month,
        "day": when.day,
        "hour": when.hour,
        "minute": when.minute,
        "second": when.second,
        "weekday": when.strftime("%A"),
        "day_of_year": when.timetuple().tm_yday,
    }
