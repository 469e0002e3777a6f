"""`{{step:NAME:output}}` and its like in the inputs of steps."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from greenroom.storage.errors import ValidationError
from greenroom.storage.records import Value

__all__ = ["filled", "names_in"]

_PLACE: Final = re.compile(
    r"\{\{\s*(step:(?P<step>[^:{}]+):output|(?P<root>input|item|index))(?P<path>(\.[^.{}]+)*)\s*\}\}"
)
_MAX_TEXT: Final = 1 << 20


def filled(value: Value, known: Callable[[str | None, str | None], Value]) -> Value:
    """The same value with every placeholder in its texts replaced.

    A text that is one placeholder and nothing else becomes the value itself; within a longer text a value stands as
    text, JSON if it is none. `known(step, root)` is asked for the output of a step, or for the input, item or index.
    Raises ValidationError for what is not known, or a text of more than 1 MiB.
    """
    if isinstance(value, str):
        return _filled_text(value, known)
    if isinstance(value, Mapping):
        return {key: filled(each, known) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [filled(each, known) for each in value]
    return value


def _filled_text(text: str, known: Callable[[str | None, str | None], Value]) -> Value:
    def found(match: re.Match[str]) -> Value:
        step = match["step"]
        return _at(known(step.strip() if step else None, match["root"]), match["path"], match[0])

    whole = _PLACE.fullmatch(text)
    if whole is not None:
        return found(whole)
    made = _PLACE.sub(lambda match: _as_text(found(match)), text)
    if len(made) > _MAX_TEXT:
        raise ValidationError(
            f"input: more than {_MAX_TEXT} characters once its placeholders are filled", field="input"
        )
    return made


def _at(value: Value, path: str, place: str) -> Value:
    """What a path such as ".items.0.name" leads to."""
    for part in path.split(".")[1:]:
        part = part.strip()
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise ValidationError(f"{place[:100]}: there is no {part[:50]!r} in it", field="input")
    return value


def _as_text(value: Value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, default=lambda part: part.decode("utf-8", "replace"))


def names_in(value: Any) -> set[str]:
    """The steps whose outputs a value refers to."""
    if isinstance(value, str):
        return {match["step"].strip() for match in _PLACE.finditer(value) if match["step"]}
    if isinstance(value, Mapping):
        return set().union(*map(names_in, value.values()))
    if isinstance(value, list | tuple):
        return set().union(*map(names_in, value))
    return set()
