"""Turn values of Python, such as models, dataclasses and times, into JSON values and bytes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from pathlib import PurePath
from typing import Any, Final, NoReturn
from uuid import UUID

from greenroom.storage.common.arguments import kind_of
from greenroom.storage.concurrency.interrupts import by_signal
from greenroom.storage.errors import GreenroomError, ValidationError, shown

__all__ = ["MAX_DEPTH", "plain", "plain_result"]

_SCALARS: Final = frozenset({str, int, bool, bytes, type(None)})
_TEXTS: Final = (date, time, timedelta, UUID, Decimal, PurePath, IPv4Address, IPv6Address)
"""Types that pydantic writes as text, and reads back from it. A datetime is a date."""
MAX_DEPTH: Final = 100
MAX_SIZE: Final = 16 << 20
_MAX_PLACE: Final = 200
_PART, _CONTAINER = 8, 32
"""Size of each part besides its text: a few small lists that repeat each other can make a huge value."""


class _Unusable(Exception):
    """A place in a value cannot be stored. `path` leads to it, the innermost step first."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.path: list[str] = []

    def refusal(self, field: str) -> ValidationError:
        place = field + "".join(reversed(self.path))
        if len(place) > _MAX_PLACE:
            place = f"{place[: _MAX_PLACE // 2]}…{place[-_MAX_PLACE // 2 :]}"
        return ValidationError(f"{place}: {self.why}", field=field)


def plain(value: Any, field: str = "value", *, numbered: bool = False) -> Any:
    """Return a copy of a value as None, bool, int, float, str, bytes, lists and dicts.

    pydantic models become what `model_dump(mode="json")` gives, dataclasses objects, members of enumerations their
    values, tuples and sets lists (sets in order, if their items have one), dates and times RFC 3339 text, durations ISO
    8601 text, UUIDs, decimals, paths and IP addresses text. With `numbered`, whole numbers may be keys of mappings, and
    become text. Raises ValidationError, which names `field` and the place in it, for anything else, for numbers that
    JSON does not have, for objects that fail when they are read, and for values nested too deep or above 16 MiB.
    """
    try:
        return _Plain(numbered).of(value, MAX_DEPTH)
    except _Unusable as error:
        raise error.refusal(field) from None
    except GreenroomError:
        raise
    except Exception as error:  # an object whose own code raises
        if by_signal(error):
            raise
        raise ValidationError(f"{field}: it cannot be read: {kind_of(error)}", field=field) from error


def plain_result(value: Any) -> Any:
    """Return what a callable of the host has returned, as JSON values and bytes. Raises ValidationError."""
    return plain(value, "result", numbered=True)


class _Plain:
    """One conversion, and the size that its result may still take."""

    def __init__(self, numbered: bool) -> None:
        self._numbered = numbered
        self._left = MAX_SIZE

    def of(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in _SCALARS:
            self._take(len(value) + 1 if kind is str or kind is bytes else 1)
            return value
        self._take(_PART if kind is float else _CONTAINER)
        # Only the type is looked at before it is known: `isinstance` would run the object's own code.
        if issubclass(kind, Enum):
            return self.of(value.value, depth - 1) if depth else self._too_deep()
        if issubclass(kind, (str, int, float, bytes, bytearray, memoryview)):
            return self._scalar(kind, value)
        if depth <= 0:
            self._too_deep()
        if kind is not dict and kind is not list and _is_model(kind):
            return self.of(_dumped(kind, value), depth - 1)
        if issubclass(kind, Mapping) or dataclasses.is_dataclass(kind):
            return self._object(_entries(kind, value), depth)
        if issubclass(kind, list):
            return self._list(list.__iter__(value), depth)
        if issubclass(kind, tuple):
            return self._list(tuple.__iter__(value), depth)
        if issubclass(kind, AbstractSet):
            return _in_order(self._list(value, depth))
        if issubclass(kind, _TEXTS):
            if issubclass(kind, Decimal) and not value.is_finite():
                raise _Unusable("NaN and infinities are not JSON values")
            return self.of(_text(value), depth)
        raise _Unusable(
            f"{kind_of(value)} cannot be stored; use None, bool, int, float, str, bytes, list, dict, "
            "a pydantic model, a dataclass, an enumeration, a time, a UUID or a Decimal"
        )

    @staticmethod
    def _too_deep() -> NoReturn:
        raise _Unusable(f"nested deeper than {MAX_DEPTH} levels, or within itself")

    def _scalar(self, kind: type, value: Any) -> Any:
        """Return the built-in value of a number, a text or bytes, without running code of a subclass."""
        if issubclass(kind, float):
            if not math.isfinite(number := float.__float__(value)):
                raise _Unusable("NaN and infinities are not JSON values")
            return number
        if issubclass(kind, int):
            return int.__int__(value)
        if issubclass(kind, str):
            return self.of(str.__str__(value), 0)
        view = memoryview(value)
        self._take(view.nbytes)
        return view.tobytes()

    def _object(self, entries: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, item in entries:
            name = self._key(key)
            if name in made:
                raise _Unusable(f"two keys are {shown(name, 32)} as text")
            made[name] = self._part(item, depth, name)
        return made

    def _list(self, items: Iterable[Any], depth: int) -> list[Any]:
        return [self._part(item, depth, number) for number, item in enumerate(items)]

    def _part(self, item: Any, depth: int, place: str | int) -> Any:
        try:
            return self.of(item, depth - 1)
        except _Unusable as error:
            error.path.append(f"[{shown(place, 32) if place.__class__ is str else place}]")
            raise

    def _key(self, key: Any) -> str:
        kind = type(key)
        if kind is not str:
            if issubclass(kind, Enum):
                key = key.value
                kind = type(key)
            if issubclass(kind, str):
                key = str.__str__(key)
            elif self._numbered and kind is int:
                key = str(key)
            elif issubclass(kind, _TEXTS):
                key = _text(key)
            else:
                raise _Unusable(f"keys must be text, one is {kind_of(key)}")
        self._take(_PART + len(key))
        assert type(key) is str
        return key

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise _Unusable(f"more than {MAX_SIZE} bytes: store an artifact")


def _entries(kind: type, value: Any) -> Iterable[tuple[Any, Any]]:
    """Return the keys and values of a mapping, or the names and values of a dataclass."""
    if issubclass(kind, dict):
        return list(dict.items(value))
    if issubclass(kind, Mapping):
        return ((key, value[key]) for key in value)
    return _fields(kind, value)


def _fields(kind: Any, value: Any) -> Iterable[tuple[str, Any]]:
    return ((each.name, getattr(value, each.name)) for each in dataclasses.fields(kind))


def _is_model(kind: type) -> bool:
    import pydantic

    return issubclass(kind, pydantic.BaseModel) or pydantic.dataclasses.is_pydantic_dataclass(kind)


def _dumped(kind: type, value: Any) -> Any:
    """Return a model as its own rules write it to JSON, so that they can read it again. JSON has no bytes: a model
    with bytes that are not UTF-8 keeps them as they are."""
    import pydantic
    import pydantic_core

    try:
        if issubclass(kind, pydantic.BaseModel):
            return value.model_dump(mode="json", round_trip=True)
        return pydantic_core.to_jsonable_python(value, round_trip=True)
    except UnicodeDecodeError:
        return value.model_dump(round_trip=True) if issubclass(kind, pydantic.BaseModel) else dict(_fields(kind, value))


def _text(value: Any) -> str:
    """Return the text of a time, a UUID, a decimal, a path or an address."""
    if isinstance(value, (date, time, timedelta)):
        import pydantic_core

        text: str = pydantic_core.to_jsonable_python(value)
        return text
    return str(value)


def _in_order(items: list[Any]) -> list[Any]:
    try:
        return sorted(items)
    except TypeError:  # items of several types have no order
        return items
