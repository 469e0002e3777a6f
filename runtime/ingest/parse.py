"""Parses one JSON value from a text, and repairs what JSON does not allow.

Real files contain NaN and infinities, huge numbers, repeated keys, and half surrogate pairs. Each is replaced, or kept
under another name, and noted; the rest stays intact.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Container
from typing import Any, Final

from .records import Note

__all__ = ["MAX_NOTES", "Parser"]

MAX_NOTES: Final = 100
"""Limit of single notes for one record; further ones are only counted."""

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89abcdefABCDEF]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Odd:
    """Stands in for a number that JSON or the store cannot hold."""

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        self.token = token


class _Repeated(dict[str, Any]):
    """An object with repeated keys. The last value keeps the key; the others get new names."""

    __slots__ = ("renamed",)

    renamed: list[tuple[str, str]]


class _Names:
    """Gives names that an object does not have yet. For each name it remembers how far it has counted, so that many
    alike cost no more than as many different ones."""

    def __init__(self, taken: Container[str]) -> None:
        self._taken = taken
        self._given: set[str] = set()
        self._numbers: dict[str, int] = {}

    def free(self, name: str, *, itself: bool = False) -> str:
        """Return the first free name of `name (1)`, `name (2)` and so on; with `itself`, of `name` and these."""
        found, number = name, self._numbers.get(name, 0)
        if number or not itself or found in self._taken or found in self._given:
            number += not number
            while (found := f"{name} ({number})") in self._taken or found in self._given:
                number += 1
        self._numbers[name] = number + 1
        self._given.add(found)
        return found


class Parser:
    """Parses values of a text. Not thread-safe: it remembers whether anything needs repair."""

    def __init__(self) -> None:
        self._odd = False
        self._decode = json.JSONDecoder(
            object_pairs_hook=self._object, parse_constant=self._constant, parse_float=self._float, parse_int=self._int
        ).raw_decode

    def value(self, text: str, at: int, *, broken_text: bool) -> tuple[Any, int, tuple[Note, ...]]:
        """Return the value that begins at `at`, the position of its end, and notes of its repairs.

        `broken_text`: the text may contain half surrogate pairs themselves, not only escapes. Raises
        json.JSONDecodeError, RecursionError.
        """
        self._odd = False
        value, end = self._decode(text, at)
        halves = (broken_text and _SURROGATE.search(text, at, end) is not None) or (
            text.find("\\u", at, end) >= 0 and _SURROGATE_ESCAPE.search(text, at, end) is not None
        )
        if not self._odd and not halves:
            return value, end, ()
        mending = _Mending()
        value = mending.value(value, "")
        return value, end, mending.result()

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) == len(pairs):
            return value
        self._odd = True
        repeated, names = _Repeated(), _Names(value)
        repeated.renamed = []
        left = Counter(key for key, _ in pairs)
        for key, item in pairs:
            left[key] -= 1
            name = key
            if left[key]:
                name = names.free(key)
                repeated.renamed.append((key, name))
            repeated[name] = item
        return repeated

    def _constant(self, name: str) -> Any:
        self._odd = True
        return _Odd(name)

    def _float(self, token: str) -> Any:
        number = float(token)
        return number if math.isfinite(number) else self._constant(token)

    def _int(self, token: str) -> Any:
        try:
            return int(token)
        except ValueError:  # more digits than Python converts
            return self._constant(token)


class _Mending:
    """Walks through a value that needs repair, and notes the places."""

    def __init__(self) -> None:
        self._notes: list[Note] = []
        self._more = 0
        self._lost = False

    def result(self) -> tuple[Note, ...]:
        if self._more:
            self._notes.append(Note("", f"{self._more} more places like these", self._lost))
        return tuple(self._notes)

    def value(self, value: Any, place: str) -> Any:
        kind = type(value)
        if kind is str:
            return self._text(value, place)
        if kind is list:
            return [self.value(item, f"{place}[{number}]") for number, item in enumerate(value)]
        if kind is dict or kind is _Repeated:
            return self._object(value, place)
        if kind is _Odd:
            return self._number(value.token, place)
        return value

    def _object(self, value: dict[str, Any], place: str) -> dict[str, Any]:
        if type(value) is _Repeated:
            for key, name in value.renamed:
                self._note(_inner(place, key), f"the key is there more than once: an earlier value is kept as {name!r}")
        mended: dict[str, Any] = {}
        names = _Names(value)
        for key, item in value.items():
            name = self._text(key, _inner(place, key))
            if name != key:
                name = names.free(name, itself=True)
            mended[name] = self.value(item, _inner(place, name))
        return mended

    def _text(self, text: str, place: str) -> str:
        mended, count = _SURROGATE.subn("\ufffd", text)
        if count:
            # Undecodable bytes are read as the surrogates U+DC80 to U+DCFF.
            what = "byte(s) that are not UTF-8" if _undecodable(text) else "half surrogate pair(s)"
            self._note(place, f"{count} {what} replaced by U+FFFD", lost=True)
        return mended

    def _number(self, token: str, place: str) -> Any:
        if token.lstrip("-").isdigit():
            self._note(place, f"a number of {len(token)} digits is kept as text")
            return token
        self._note(place, f"{token[:40]} is no number that can be kept: replaced by null", lost=True)
        return None

    def _note(self, place: str, what: str, *, lost: bool = False) -> None:
        if len(self._notes) < MAX_NOTES:
            self._notes.append(Note(_SURROGATE.sub("\ufffd", place[:200]), what, lost))
        else:
            self._more += 1
            self._lost = self._lost or lost


def _inner(place: str, key: str) -> str:
    return f"{place}.{key[:64]}" if place else key[:64]


def _undecodable(text: str) -> bool:
    return all("\udc80" <= each <= "\udcff" for each in _SURROGATE.findall(text))
