"""Read times that callers give. Only those that mean exactly one moment are accepted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from greenroom.storage.errors import ValidationError

__all__ = ["NAIVE", "SECOND", "is_aware", "iso_time", "moment", "nanoseconds", "utc_time"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = (1 << 64) - 1
NAIVE: Final = (
    "a time without a zone may mean any moment: give datetime.now(timezone.utc), or when.astimezone() for local time;"
    " as text, end it with Z or an offset such as +02:00"
)


def is_aware(when: datetime) -> bool:
    return when.tzinfo is not None and when.utcoffset() is not None


def moment(value: datetime | str | float | None, field: str) -> int | None:
    """Return a time (an aware datetime, RFC 3339 text with an offset, or epoch seconds) as nanoseconds since the epoch.
    Raises ValidationError, also for a naive time."""
    if value is None:
        return None
    kind = type(value)
    when: Any = value
    try:
        if issubclass(kind, str):
            when = datetime.fromisoformat(str.__str__(value))
        elif kind is int or kind is float:
            when = datetime.fromtimestamp(when, UTC)
    except (ValueError, OverflowError, OSError):
        when = None
    if not issubclass(type(when), datetime):
        raise ValidationError(f"{field}: a datetime, RFC 3339 text or epoch seconds", field=field)
    if not is_aware(when):
        raise ValidationError(f"{field}: {NAIVE}", field=field)
    return nanoseconds(when)


def nanoseconds(when: datetime) -> int:
    """Return an aware datetime as nanoseconds since the epoch, limited to what the store can hold."""
    delta = when - _EPOCH
    return min(max(0, ((delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1000), _LAST)


def utc_time(nanoseconds: int) -> datetime:
    """Return an aware UTC datetime, truncated to microseconds."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def iso_time(when: datetime | None) -> str | None:
    """Return a time as RFC 3339 text with microseconds and `Z`."""
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z") if when is not None else None


SECOND: Final = 1_000_000_000
