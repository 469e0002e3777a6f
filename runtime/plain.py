"""What callables of the host return, as JSON values and bytes."""

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

from greenroom.storage.errors import ValidationError
from greenroom.storage.records import Value

__all__ = ["plain"]

_SCALARS: Final = frozenset({str, int, bool, bytes, type(None)})
_MAX_DEPTH: Final = 90


def plain(value: Any) -> Value:
    """A copy of a result as None, bool, int, float, str, bytes, lists and dicts.

    pydantic models and dataclasses become objects, tuples and sets lists, dates and times RFC 3339, UUIDs, decimals
    and paths text, members of enumerations their values. Raises ValidationError for anything else, for numbers that
    JSON does not have, and for what is nested too deep.
    """
    return _plain(value, _MAX_DEPTH)


def _plain(value: Any, depth: int) -> Value:
    kind = type(value)
    if kind in _SCALARS:
        return value
    if depth == 0:
        raise ValidationError(f"result: nested deeper than {_MAX_DEPTH} levels, or in itself", field="result")
    if isinstance(value, Enum):
        return _plain(value.value, depth - 1)
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
        return {_key(key): _plain(each, depth - 1) for key, each in value.items()}
    if isinstance(value, list | tuple | AbstractSet):
        return [_plain(each, depth - 1) for each in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, UUID | Decimal | PurePath):
        return str(value)
    if isinstance(value, pydantic.BaseModel):
        return {name: _plain(each, depth - 1) for name, each in value}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name), depth - 1) for each in dataclasses.fields(value)}
    raise ValidationError(
        f"result: {kind.__name__} is no JSON value; return None, bool, int, float, str, bytes, list or dict",
        field="result",
    )


def _key(key: Any) -> str:
    if isinstance(key, str) and not isinstance(key, Enum):
        return str(key)
    if type(key) is int:
        return str(key)
    raise ValidationError(f"result: keys must be text, one is {type(key).__name__}", field="result")
