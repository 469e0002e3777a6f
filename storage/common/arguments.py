"""Check single arguments from outside, with exact results.

A caller may give anything: an object whose every method raises, a subclass of `str` or `dict` with methods of its own.
So each check looks at `type(value)`, which runs no foreign code, and returns a plain built-in value that nothing can
change afterwards. A fault is a ValidationError that names the argument, never its value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from greenroom.storage.concurrency.interrupts import by_signal
from greenroom.storage.errors import ValidationError

__all__ = [
    "as_flag",
    "as_function",
    "as_items",
    "as_mapping",
    "as_number",
    "as_seconds",
    "as_text",
    "kind_of",
]

_MAX_NAME: Final = 64
LONGEST: Final = 1e9
"""Seconds, some thirty years. A longer time could not be stored."""


def kind_of(value: Any) -> str:
    """Return the name of a value's type, for a message."""
    name = type(value).__name__
    return name if name.isprintable() and len(name) <= _MAX_NAME else ascii(name)[1:_MAX_NAME]


def as_text(field: str, value: Any, most: int, *, empty: bool = False) -> str:
    """Return text of at most `most` characters; with `empty`, it may be empty too."""
    kind = type(value)
    if kind is not str:
        if not issubclass(kind, str):
            raise ValidationError(f"{field}: text is needed, not {kind_of(value)}", field=field)
        value = str.__str__(value)
    assert type(value) is str
    if len(value) > most or (not value and not empty):
        raise ValidationError(f"{field}: {0 if empty else 1} to {most} characters, this has {len(value)}", field=field)
    return value


def as_number(field: str, value: Any, least: int = 0, most: int = (1 << 63) - 1) -> int:
    """Return a whole number within bounds."""
    kind = type(value)
    if kind is not int:
        if kind is bool or not issubclass(kind, int):
            raise ValidationError(f"{field}: a whole number from {least} is needed, not {kind_of(value)}", field=field)
        value = int.__int__(value)
    assert type(value) is int
    if not least <= value <= most:
        raise ValidationError(f"{field}: a whole number from {least} is needed", field=field)
    return value


def as_seconds(field: str, value: Any, *, zero: bool = False, endless: bool = False) -> float:
    """Return a length of time in seconds. With `zero` it may be 0, with `endless` infinite."""
    kind = type(value)
    if kind is bool or not issubclass(kind, (int, float)):
        raise ValidationError(f"{field}: a number of seconds is needed, not {kind_of(value)}", field=field)
    try:
        seconds = float.__float__(value) if issubclass(kind, float) else float(int.__int__(value))
    except OverflowError:
        seconds = math.inf if endless else math.nan
    if not (seconds > 0 or (zero and seconds == 0)) or (seconds > LONGEST and not endless):
        bounds = "from 0" if zero else "above 0"
        raise ValidationError(f"{field}: a number of seconds {bounds} is needed, at most {LONGEST:g}", field=field)
    return seconds


def as_flag(field: str, value: Any) -> bool:
    """Return True or False."""
    if type(value) is not bool:
        raise ValidationError(f"{field}: True or False is needed, not {kind_of(value)}", field=field)
    return value


def as_function(field: str, value: Any) -> Callable[..., Any]:
    """Return something that can be called."""
    if not callable(value):
        raise ValidationError(f"{field}: a function is needed, not {kind_of(value)}", field=field)
    function: Callable[..., Any] = value
    return function


def as_items(field: str, value: Any, most: int, what: str = "a list") -> list[Any]:
    """Return the items of an iterable, at most `most`; text, bytes and mappings are refused. The items are not
    checked."""
    kind = type(value)
    if kind is list or kind is tuple:
        items: list[Any] = list(value)
    else:
        if issubclass(kind, (str, bytes, bytearray, memoryview, Mapping)) or not issubclass(kind, Iterable):
            raise ValidationError(f"{field}: {what} is needed, not {kind_of(value)}", field=field)
        items = []
        try:
            for each in value:
                items.append(each)
                if len(items) > most:
                    break
        except ValidationError:
            raise
        except Exception as error:
            if by_signal(error):
                raise
            raise ValidationError(f"{field}: it cannot be read: {kind_of(error)}", field=field) from error
    if len(items) > most:
        raise ValidationError(f"{field}: at most {most}, this has more", field=field)
    return items


def as_mapping(field: str, value: Any, what: str = "an object with text keys") -> dict[str, Any]:
    """Return a mapping as a dict with plain text keys. The values are not checked."""
    kind = type(value)
    if not issubclass(kind, Mapping):
        raise ValidationError(f"{field}: {what} is needed, not {kind_of(value)}", field=field)
    try:
        rows: Iterable[tuple[Any, Any]] = (
            list(dict.items(value)) if issubclass(kind, dict) else [(key, value[key]) for key in value]
        )
    except ValidationError:
        raise
    except Exception as error:
        if by_signal(error):
            raise
        raise ValidationError(f"{field}: it cannot be read: {kind_of(error)}", field=field) from error
    found: dict[str, Any] = {}
    for key, item in rows:
        if type(key) is not str:
            if not issubclass(type(key), str):
                raise ValidationError(f"{field}: keys must be text, one is {kind_of(key)}", field=field)
            key = str.__str__(key)
        found[key] = item
    return found
