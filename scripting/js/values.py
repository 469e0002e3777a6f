"""Neutral values as JSON text, to a JavaScript heap and back. `library/values.js` has the same rules.

JSON has no word for some values. They travel as an object with one key: `{"$b": …}` bytes, `{"$f": number}` a function,
`{"$u": 0}` undefined, `{"$n": "NaN"}` a number that is none, `{"$i": "digits"}` an integer beyond 2^53. Keys that begin
with "$" get another one in front. To the heap, bytes travel beside the text: `{"$b": 3}` are number 3 of those that the
host holds, `{"$b": -1}` are no bytes at all.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from greenroom.runtime import ValidationError
from greenroom.scripting.definition.values import UNDEFINED

__all__ = ["decode", "encode", "weight"]

_EXACT: Final = 1 << 53
_LARGEST: Final = 1 << 64
_LEAST: Final = -(1 << 63)
_DEEPEST: Final = 200
_LONG_NUMBER: Final = re.compile(r"\d{16}")
_CONTROLS: Final = re.compile(rb"[\x00-\x07\x0e-\x1a\x1c-\x1f\x7f]")
_PLAIN: Final = (str, bool, type(None))
_STRINGS: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_NODE: Final = 64
"""About the bytes that a value takes in the host beside its text."""


def weight(text: str) -> int:
    """Return about how many bytes the values of a JSON text take."""
    size = len(text)
    if (text.count(",") + text.count("[") + text.count("{")) * _NODE > size:
        bare = _STRINGS.sub("", text)
        size += (bare.count(",") + bare.count("[") + bare.count("{")) * _NODE
    return size


def encode(value: Any, held: list[bytes], first: int = 0, *, readable: bool = False) -> bytes:
    """Return the JSON text of a neutral value. Its bytes are added to `held`, and numbered from `first` on.

    With `readable`, bytes that are a text travel as one: content, and what is read from files. Raises ValidationError.
    """
    if value.__class__ in _PLAIN:
        return _utf8(json.dumps(value, ensure_ascii=False), value)

    marks = 0

    def other(each: Any) -> Any:
        nonlocal marks
        if isinstance(each, bytes | bytearray | memoryview):
            made = _bytes(bytes(each), held, first, readable)
            marks += made.__class__ is dict
            return made
        if each is UNDEFINED:
            marks += 1
            return {"$u": 0}
        if isinstance(each, Mapping):
            return dict(each)
        if isinstance(each, list | tuple | set | frozenset):
            return list(each)
        raise ValidationError(f"a value that scripts cannot hold: {type(each).__name__}")

    try:
        text = json.dumps(value, ensure_ascii=False, default=other)
        if (
            text.count('"$') != marks  # keys of scripts with "$"
            or "NaN" in text
            or "Infinity" in text
            or _LONG_NUMBER.search(text) is not None
        ):
            held.clear()
            value = _marked(value, held, first, readable, 0)
            text = json.dumps(value, ensure_ascii=False)
        return _utf8(text, value, other)
    except RecursionError:
        raise ValidationError("a value nested too deep") from None
    except (TypeError, ValueError) as error:
        raise ValidationError(f"a value that scripts cannot hold: {error}") from None


def _bytes(value: bytes, held: list[bytes], first: int, readable: bool) -> Any:
    """Return what stands for bytes in a text: their number, or a text without control characters that they are."""
    if readable and _CONTROLS.search(value) is None:
        with contextlib.suppress(UnicodeDecodeError):
            return value.decode()
    if not value:
        return {"$b": -1}
    held.append(value)
    return {"$b": first + len(held) - 1}


def _utf8(text: str, value: Any, other: Callable[[Any], Any] | None = None) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a character
        return json.dumps(value, default=other).encode()


def _marked(value: Any, held: list[bytes], first: int, readable: bool, depth: int) -> Any:
    """Return a value whose JSON text means the same in JavaScript."""
    if depth > _DEEPEST:
        raise ValidationError("a value nested too deep")
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        if -_EXACT <= value <= _EXACT:
            return value
        if not _LEAST <= value < _LARGEST:
            raise ValidationError("an integer beyond 64 bits: scripts cannot hold it; give it as a text", field="value")
        return {"$i": str(value)}
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return {"$n": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, Mapping):
        return {
            f"${key}" if str(key).startswith("$") else key: _marked(each, held, first, readable, depth + 1)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_marked(each, held, first, readable, depth + 1) for each in value]
    if value is UNDEFINED:
        return {"$u": 0}
    if isinstance(value, bytes | bytearray | memoryview):
        return _bytes(bytes(value), held, first, readable)
    raise ValidationError(f"a value that scripts cannot hold: {type(value).__name__}")


def decode(text: str, function: Callable[[int], Any] | None = None) -> Any:
    """Return the neutral value of a JSON text of the heap. `function` returns what stands for a function by its number.

    Raises ValidationError for a text that is no such JSON.
    """
    try:
        value = json.loads(text)
        return _unmarked(value, function) if '"$' in text else value
    except RecursionError:
        raise ValidationError("a value nested too deep") from None
    except ValueError as error:
        raise ValidationError(f"a value that the host cannot hold: {error}") from None


def _unmarked(value: Any, function: Callable[[int], Any] | None) -> Any:
    if isinstance(value, list):
        return [_unmarked(each, function) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, held),) = value.items()
        if key == "$b" and isinstance(held, str):
            return held.encode("latin-1")
        if key == "$u":
            return UNDEFINED
        if key == "$f" and isinstance(held, int) and function is not None:
            return function(held)
    return {key.removeprefix("$"): _unmarked(each, function) for key, each in value.items()}
