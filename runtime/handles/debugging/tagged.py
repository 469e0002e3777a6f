"""Values as JSON that gives them back: bytes, and numbers that JSON does not know, are objects with one entry."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any, Final

__all__ = ["tagged", "untagged"]

_BYTES: Final = "$bytes"
_FLOAT: Final = "$float"
_OBJECT: Final = "$object"
_TAGS: Final = frozenset({_BYTES, _FLOAT, _OBJECT})


def tagged(value: Any) -> Any:
    """Return a value as JSON: bytes as {"$bytes": base64}."""
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: repr(value)}
    if isinstance(value, dict):
        made = {str(key): tagged(each) for key, each in value.items()}
        return {_OBJECT: [list(each) for each in made.items()]} if len(made) == 1 and _TAGS & made.keys() else made
    if isinstance(value, list | tuple):
        return [tagged(each) for each in value]
    return value


def untagged(value: Any) -> Any:
    """Return the value that `tagged` was given. Raises ValueError for an impossible tag."""
    if isinstance(value, dict):
        if len(value) == 1:
            ((name, inner),) = value.items()
            if name == _BYTES:
                try:
                    return base64.b64decode(inner, validate=True)
                except (binascii.Error, TypeError):
                    raise ValueError("bytes that are no base64") from None
            if name == _FLOAT:
                return float(inner)
            if name == _OBJECT:
                return {str(key): untagged(each) for key, each in inner}
        return {key: untagged(each) for key, each in value.items()}
    if isinstance(value, list):
        return [untagged(each) for each in value]
    return value
