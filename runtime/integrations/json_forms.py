"""The form in JSON that a framework gives its values, and a refusal of what JSON would change without a word.

That a time becomes a text and a tuple a list is the framework's own rule. That NaN becomes null, or two keys one, would
lose what was given.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isfinite
from typing import Any, Final, TypeVar

from greenroom.runtime import ValidationError

__all__ = ["read_again", "require_form", "to_json", "written"]

T = TypeVar("T")


def written(make: Callable[[], T], field: str) -> T:
    """Return what a framework makes of its own data. Raises ValidationError if it cannot."""
    try:
        return make()
    except ValidationError:
        raise
    except Exception as error:
        raise ValidationError(f"{field}: it has no form in JSON: {error}", field=field) from error


def to_json(value: object, field: str, *, default: Callable[[Any], Any] | None = None) -> str:
    """Return a value as a text of JSON, with NaN as Python writes it; `default` is asked for what JSON does not have.

    Raises ValidationError for what has no form in JSON, and for keys that are the same in JSON.
    """
    return read_again(value, field, default=default)[1]


def read_again(value: object, field: str, *, default: Callable[[Any], Any] | None = None) -> tuple[Any, str]:
    """Return a value as it is read again, and the text of `to_json` from which it is. Raises as `to_json`."""
    writer = _WRITER if default is None else json.JSONEncoder(ensure_ascii=False, default=default)
    text = written(lambda: writer.encode(value), field)
    made = written(lambda: json.loads(text), field)
    if made != value:  # no two of its keys can be the same if nothing has changed
        made = written(lambda: _READER.decode(text), field)
    return made, text


def require_form(value: object, field: str) -> None:
    """Raise ValidationError for a value, in Python's own types, that pydantic would change when it writes JSON, or that
    could not be read again.

    That is: NaN and infinite numbers, numbers of thousands of digits, keys that are the same in JSON, and keys with
    half of a surrogate pair.
    """
    written(lambda: _require(value), field)


def _require(value: object) -> None:
    kind = type(value)
    if kind is str or value is None:
        return
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError(f"{value} is no number of JSON")
    elif isinstance(value, int):
        str(value)  # Python refuses to read numbers of thousands of digits
    elif isinstance(value, dict):
        for key, inner in value.items():
            if type(key) is not str:
                if str(key) in value:
                    raise ValueError("two keys have the same name")
            elif not key.isascii():
                key.encode()
            if inner is not None and inner.__class__ not in _SAFE:
                _require(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            if inner.__class__ not in _SAFE:
                _require(inner)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("two keys have the same name")
    return made


_WRITER: Final = json.JSONEncoder(ensure_ascii=False)
_SAFE: Final = frozenset({str, bool})
_READER: Final = json.JSONDecoder(object_pairs_hook=_object)
