"""Converts what the host's callables return to JSON values and bytes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

import pydantic

from greenroom.storage.codec.records import Value
from greenroom.storage.errors import ValidationError

__all__ = ["plain"]

_SCALARS: Final = frozenset({str, int, bool, bytes, type(None)})
_MAX_DEPTH: Final = 90
_MAX_SIZE: Final = 16 << 20
_PART, _CONTAINER = 8, 32
"""Size of each part besides its text: a few small lists that repeat each other can make a huge result."""


def plain(value: Any) -> Value:
    """Return a copy of a result as None, bool, int, float, str, bytes, lists and dicts.

    pydantic models and dataclasses become objects, tuples and sets lists, dates and times RFC 3339, UUIDs, decimals
    and paths text, members of enumerations their values. Raises ValidationError for anything else, for numbers that
    JSON does not have, and for results that are nested too deep or too large.
    """
    return _plain(value, _MAX_DEPTH, [_MAX_SIZE])


def _plain(value: Any, depth: int, left: list[int]) -> Value:
    kind = type(value)
    if kind in _SCALARS:
        left[0] -= len(value) + 1 if kind is str or kind is bytes else 1
        if left[0] < 0:
            raise _too_large()
        return value
    left[0] -= _PART if kind is float else _CONTAINER
    if left[0] < 0:
        raise _too_large()
    if depth == 0:
        raise ValidationError(f"result: nested deeper than {_MAX_DEPTH} levels, or in itself", field="result")
    if isinstance(value, Enum):
        return _plain(value.value, depth - 1, left)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValidationError("result: NaN and infinities are not JSON values", field="result")
        return float(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytearray | memoryview | bytes):
        return bytes(value)
    if isinstance(value, Mapping):
        return {_key(key, left): _plain(each, depth - 1, left) for key, each in value.items()}
    if isinstance(value, list | tuple | AbstractSet):
        return [_plain(each, depth - 1, left) for each in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, UUID | Decimal | PurePath):
        return str(value)
    if isinstance(value, pydantic.BaseModel):
        return {name: _plain(each, depth - 1, left) for name, each in value}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name), depth - 1, left) for each in dataclasses.fields(value)}
    raise ValidationError(
        f"result: {kind.__name__} is no JSON value; return None, bool, int, float, str, bytes, list or dict",
        field="result",
    )


def _too_large() -> ValidationError:
    return ValidationError(f"result: more than {_MAX_SIZE} bytes: store an artifact and return its id", field="result")


def _key(key: Any, left: list[int]) -> str:
    left[0] -= _PART + (len(key) if type(key) is str else 0)
    if isinstance(key, str) and not isinstance(key, Enum):
        return str(key)
    if type(key) is int:
        return str(key)
    raise ValidationError(f"result: keys must be text, one is {type(key).__name__}", field="result")
