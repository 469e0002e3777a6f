"""Times on the command line: one way to give them, for every option of every command, and one way to tell a span."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import Final

import typer

__all__ = ["TIMES", "lasted", "moment_of", "place_of"]

TIMES: Final = "RFC 3339, 24h, 7d, today, yesterday or a day such as 2026-01-31"
"""How help describes the times that an option takes."""

_SPAN: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*(s|m|min|h|d|w)(?:\s+ago)?")
_UNITS: Final = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAYS: Final = {"yesterday": -1, "today": 0, "tomorrow": 1}
_SHOWN: Final = 60
"""Characters that an error repeats of what was given."""
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def moment_of(text: str | None, option: str, *, ahead: bool = False) -> datetime | None:
    """Return the time that a text means, None for no text.

    A span of time, such as ``24h``, is as long ago, or with `ahead` as far in the future. Days begin at midnight in
    UTC, in which the command line prints all times. Raises BadParameter, also for a time without its zone.
    """
    if text is None:
        return None
    given = text.strip()
    now = datetime.now(UTC)
    span = _SPAN.fullmatch(given.lower())
    try:
        if span is not None:
            length = timedelta(**{_UNITS[span[2]]: float(span[1])})
            return now + length if ahead else now - length
        if given.lower() == "now":
            return now
        if given.lower() in _DAYS:
            day = now.date() + timedelta(days=_DAYS[given.lower()])
            return datetime.combine(day, time(), UTC)
        when = datetime.fromisoformat(given)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{given[:_SHOWN]!r} is no time; give {TIMES}", param_hint=option) from None
    if _DAY.fullmatch(given):
        return when.replace(tzinfo=UTC)
    if when.tzinfo is None:
        raise typer.BadParameter(f"a time needs its zone: {given}Z for UTC, {given}+02:00", param_hint=option)
    try:
        return when.astimezone(UTC)
    except OverflowError:
        raise typer.BadParameter("the time is out of range", param_hint=option) from None


def place_of(text: str, option: str) -> tuple[int | None, datetime | None]:
    """Return the sequence of an event, or the time, that a text means, and None for the other. Raises BadParameter."""
    given = text.strip()
    if given.isascii() and given.isdigit():
        return int(given), None
    try:
        return None, moment_of(given, option)
    except typer.BadParameter as error:
        raise typer.BadParameter(f"{error.message}, or the sequence of an event", param_hint=option) from None


def lasted(seconds: float) -> str:
    """Return a span of time for people, in at most eight characters."""
    if seconds < 0.0005:
        return "<1 ms" if seconds > 0 else "0 ms"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    if minutes < 59.5:
        return f"{int(seconds) // 60}m {int(seconds) % 60:02}s"
    if minutes < 24 * 60:
        return f"{int(minutes) // 60}h {int(minutes) % 60:02}m"
    return f"{int(minutes) // 1440}d {int(minutes) // 60 % 24:02}h"
