"""Values that stores of JSON are tempted to change, for the put path of each adapter."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable
from typing import Any

from greenroom.runtime import GreenroomError

__all__ = ["VALUES", "keeps_or_refuses"]


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


VALUES: dict[str, Any] = {
    "NaN": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "minus zero": -0.0,
    "half a pair": "a\ud800",
    "half a pair as a key": {"\ud800": 1},
    "a null character": "a\0b",
    "bytes": b"\xff\x00",
    "above 64 bits": 2**64,
    "a huge whole number": 10**5000,
    "a key that is a number": {1: "a"},
    "keys that are one in JSON": {1: "a", "1": "b"},
    "a key of two": {(1, 2): 3},
    "what has no form": object(),
    "nested deep": _nested(500),
}


def keeps_or_refuses(
    name: str, put: Callable[[Any], Any | Awaitable[Any]], *, own: tuple[type[Exception], ...] = ()
) -> None:
    """Check that `put`, which stores a value and returns it as it is read again, keeps it or raises a typed error.

    `own` are errors of the framework's contract. Texts in place of bytes and of keys that are numbers are what JSON
    makes of them.
    """
    value = VALUES[name]
    try:
        got = put(value)
        if inspect.isawaitable(got):
            got = asyncio.run(_awaited(got))
    except (GreenroomError, *own):
        return
    # Compared as texts: NaN is not equal to itself, and comparing what is nested deep fails.
    if name in ("a key that is a number", "a key of two"):
        assert [type(key) for key in got] in ([str], [int], [tuple])
        assert list(got.values()) == list(value.values())
    elif name == "bytes":
        assert isinstance(got, str) or got == value
    elif name == "nested deep":
        depth = 0
        while got:
            (got,) = got
            depth += 1
        assert depth == 500
    elif name == "what has no form":
        assert type(got) is object or got == str(value)
    else:
        assert (type(got), repr(got)) == (type(value), repr(value))


async def _awaited(what: Awaitable[Any]) -> Any:
    return await what
