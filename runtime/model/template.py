"""Placeholders such as `{{step:NAME:output}}` in the inputs of steps."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from greenroom.storage.codec.plain import MAX_DEPTH
from greenroom.storage.codec.records import Value
from greenroom.storage.errors import ValidationError

__all__ = ["filled", "names_in", "uses_state", "value_at"]

# Possessive, so that text that only begins like a placeholder is rejected in one pass.
_PLACE: Final = re.compile(
    r"\{\{\s*+(step:(?P<step>[^:{}]++):output|(?P<root>input|item|index|loop:current_(?:value|item|index)))"
    r"(?P<path>(\.[^.{}]++)*+)\s*+\}\}|\{\{\s*+(?P<state>state:[^{}]++)\}\}"
)
_SAME: Final = {"loop:current_value": "item", "loop:current_item": "item", "loop:current_index": "index"}
_MAX_TEXT: Final = 1 << 20
_MAX_FILLED: Final = 16 << 20


def filled(value: Value, known: Callable[[str | None, str | None], Value]) -> Value:
    """Return the value with every placeholder in its texts replaced.

    A text that is exactly one placeholder becomes the value itself. Within a longer text, values are inserted as text,
    other values as JSON. `known(step, root)` returns the output of a step, or the input, item or index, or with
    "state:" and a key a value of the state. Raises ValidationError for an unknown placeholder, a text of more than
    1 MiB, or more than 16 MiB of texts.
    """
    return _Filling(known).filled(value)


class _Filling:
    """Fills one value and limits its size: many short placeholders can insert a large value many times."""

    def __init__(self, known: Callable[[str | None, str | None], Value]) -> None:
        self._known = known
        self._left = _MAX_FILLED

    def filled(self, value: Value) -> Value:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {key: self.filled(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.filled(each) for each in value]
        return value

    def _text(self, text: str) -> Value:
        whole = _PLACE.fullmatch(text)
        if whole is not None:
            value = self._found(whole)
            self._left -= _size(value, self._left)
            self._check(self._left < 0, _MAX_FILLED)
            return value
        parts: list[str] = []
        length = end = 0
        for match in _PLACE.finditer(text):
            parts += (text[end : match.start()], _as_text(self._found(match)))
            length += len(parts[-2]) + len(parts[-1])
            self._check(length > _MAX_TEXT, _MAX_TEXT)
            end = match.end()
        if not parts:
            return text
        parts.append(text[end:])
        length += len(parts[-1])
        self._left -= length
        self._check(length > _MAX_TEXT, _MAX_TEXT)
        self._check(self._left < 0, _MAX_FILLED)
        return "".join(parts)

    def _found(self, match: re.Match[str]) -> Value:
        step, root, state = match["step"], match["root"], match["state"]
        if state is not None:
            return self._known(None, state.strip())
        value = self._known(step.strip() if step else None, _SAME.get(root, root))
        return value_at(value, match["path"].split(".")[1:], match[0])

    @staticmethod
    def _check(over: bool, limit: int) -> None:
        if over:
            raise ValidationError(
                f"input: more than {limit} characters once its placeholders are filled", field="input"
            )


def _size(value: Value, most: int) -> int:
    """Return the rough size of a value in bytes. Stops counting above `most`."""
    size = 0
    left: list[Value] = [value]
    while left and size <= most:
        each = left.pop()
        size += 1
        if isinstance(each, str | bytes):
            size += len(each)
        elif isinstance(each, Mapping):
            left += each.keys()
            left += each.values()
        elif isinstance(each, list | tuple):
            left += each
    return size


def value_at(value: Value, path: Iterable[str], place: str) -> Value:
    """Return the part of a value at a path such as "items", "0", "name". `place` is named in the ValidationError if
    there is none."""
    for part in path:
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
    """Return the names of the steps that a value refers to. Raises ValidationError if it is nested too deep."""
    return {
        match["step"].strip()
        for text in _texts_in(value, MAX_DEPTH)
        for match in _PLACE.finditer(text)
        if match["step"]
    }


def uses_state(value: Any) -> bool:
    """Return whether a value refers to the state. Raises ValidationError if it is nested too deep."""
    return any(match["state"] for text in _texts_in(value, MAX_DEPTH) for match in _PLACE.finditer(text))


def _texts_in(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        if not depth:
            raise ValidationError(f"input: nested deeper than {MAX_DEPTH} levels", field="input")
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts_in(each, depth - 1)
