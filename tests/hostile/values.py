"""Values that nobody should give, and some do: to be given for every parameter of the public API."""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["HOSTILE", "SECRET", "Called"]

SECRET = "words of a hostile object"

_METHODS = [
    "abs",
    "add",
    "and",
    "bool",
    "bytes",
    "complex",
    "contains",
    "divmod",
    "enter",
    "eq",
    "exit",
    "float",
    "floordiv",
    "format",
    "fspath",
    "ge",
    "getitem",
    "gt",
    "hash",
    "iadd",
    "index",
    "int",
    "invert",
    "iter",
    "le",
    "len",
    "lshift",
    "lt",
    "mod",
    "mul",
    "ne",
    "neg",
    "next",
    "or",
    "pos",
    "pow",
    "radd",
    "repr",
    "reversed",
    "round",
    "rshift",
    "setitem",
    "str",
    "sub",
    "truediv",
    "trunc",
    "xor",
    "length_hint",
]


def _raise(*_: Any, **__: Any) -> Any:
    raise RuntimeError(SECRET)


class Called(RuntimeError):
    """What a callable of the caller's own raises."""


def _call(*_: Any, **__: Any) -> Any:
    raise Called(SECRET)


def _hostile(name: str, base: type = object, **more: Any) -> type:
    """A class whose every method raises."""
    body = {f"__{each}__": _raise for each in _METHODS} | {"__call__": _call}
    if base is not object:
        body |= {each: _raise for each in dir(base) if not each.startswith("__")}
    return type(name, (base,), {**body, **more})


class _Blind:
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(SECRET)


class _Colour(enum.StrEnum):
    RED = "red"


class _Number(enum.IntEnum):
    ONE = 1


def _failing() -> Iterator[Any]:
    yield "one"
    raise RuntimeError(SECRET)


class _Made:
    def __init__(self, *_: Any, **__: Any) -> None:
        pass


class _File:
    """A file object of which nothing is as it should be."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def read(self, size: int = -1) -> Any:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


@functools.cache
def _deep() -> Any:
    value: Any = 1
    for _ in range(50_000):
        value = [value]
    return value


def _knot() -> Any:
    knot: list[Any] = []
    knot.append({"knot": knot})
    return knot


HOSTILE: dict[str, Any] = {
    "every method raises": _hostile("Sour"),
    "every attribute raises": _Blind,
    "text that raises": lambda: _hostile("SourText", str)("x"),
    "number that raises": lambda: _hostile("SourInt", int)(1),
    "float that raises": lambda: _hostile("SourFloat", float)(1.0),
    "list that raises": lambda: _hostile("SourList", list)([1]),
    "dict that raises": lambda: _hostile("SourDict", dict)({"k": 1}),
    "tuple that raises": lambda: _hostile("SourTuple", tuple)([1]),
    "bytes that raise": lambda: _hostile("SourBytes", bytes)(b"x"),
    "path that raises": type("SourPath", (), {"__fspath__": _raise}),
    "iterable that raises": _failing,
    "endless iterable": lambda: itertools.repeat("x"),
    "deep": _deep,
    "cyclic": _knot,
    "NaN": lambda: math.nan,
    "infinity": lambda: math.inf,
    "negative infinity": lambda: -math.inf,
    "huge": lambda: 10**400,
    "huge negative": lambda: -(10**400),
    "negative": lambda: -1,
    "beyond 64 bits": lambda: 1 << 64,
    "fraction": lambda: 1.5,
    "true": lambda: True,
    "none": lambda: None,
    "empty text": lambda: "",
    "lone surrogate": lambda: "\ud800",
    "NUL": lambda: "a\0b",
    "line ends": lambda: "a\nb\r\u2028",
    "long text": lambda: "x" * 300_000,
    "bytes": lambda: b"bytes",
    "bytearray": lambda: bytearray(b"x"),
    "memoryview": lambda: memoryview(b"x"),
    "strided view": lambda: memoryview(b"abcd")[::2],
    "object": object,
    "class": lambda: _Made,
    "function": lambda: _call,
    "text enum": lambda: _Colour.RED,
    "number enum": lambda: _Number.ONE,
    "decimal": lambda: decimal.Decimal("NaN"),
    "naive time": lambda: datetime.datetime(2026, 1, 1),
    "time of the year 1": lambda: datetime.datetime(1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=23))),
    "path": lambda: Path("some/where"),
    "set": lambda: {1, 2},
    "numbered keys": lambda: {1: 2},
    "unknown keys": lambda: {"no such name": 1, "a\nb": 2},
    "list of anything": lambda: [object(), None, "x", 1],
    "file that raises": lambda: _File(Called(SECRET)),
    "file of text": lambda: _File("text"),
    "file of numbers": lambda: _File(5),
}
"""What makes each, by what it is: some can be used once only."""
