"""Neutral values as MessagePack, exactly: what comes out equals what went in, and has the same types.

UNDEFINED and functions of the script are extension types. A body from a script's process may be anything, so it is
checked before it is decoded: the decoder makes room for as many parts as a list claims to have, at every level.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgpack

from greenroom.scripting.definition.callback import Callback
from greenroom.scripting.definition.packing import FUNCTION
from greenroom.scripting.definition.values import UNDEFINED

__all__ = ["MAX_DEPTH", "MAX_PARTS", "pack", "unpack", "unpack_untrusted"]

MAX_DEPTH: Final = 128
MAX_PARTS: Final = 1_100_000
"""The limits of a value from a script: a little above the 100 levels and the million parts that engines let through."""
_UNCHECKED: Final = MAX_DEPTH
"""The size up to which a body is decoded unchecked: it cannot nest too deep, or claim much."""
_UNDEFINED: Final = 0
_NOTHING: Final = msgpack.ExtType(_UNDEFINED, b"")


def pack(value: Any, number_of: Callable[[Callback], int] | None = None) -> bytes:
    """Encode a neutral value. `number_of` returns the number by which the other side knows a function of the script.

    Raises TypeError, ValueError, and OverflowError for an integer beyond 64 bits.
    """

    def default(value: Any) -> msgpack.ExtType:
        if value is UNDEFINED:
            return _NOTHING
        if number_of is not None and isinstance(value, Callback):
            return msgpack.ExtType(FUNCTION, number_of(value).to_bytes(8, "big"))
        if isinstance(value, int):
            raise OverflowError
        raise TypeError(f"a {type(value).__name__} is no plain data")

    data: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="surrogatepass", default=default)
    return data


def unpack(data: bytes | bytearray, function: Callable[[int], Any] | None = None, *, text_keys: bool = False) -> Any:
    """Decode a neutral value. `function` returns what stands for a function of the script, given by its number.
    Raises ValueError."""

    def special(code: int, content: bytes) -> Any:
        if code == _UNDEFINED:
            return UNDEFINED
        if code == FUNCTION and function is not None:
            return function(int.from_bytes(content, "big"))
        raise ValueError(f"unknown extension type {code}")

    return msgpack.unpackb(
        data,
        raw=False,
        unicode_errors="surrogatepass",
        strict_map_key=text_keys,
        ext_hook=special,
        timestamp=1,  # an extension type of MessagePack itself, which nobody sends: as a number it does no harm
    )


def unpack_untrusted(data: bytearray, function: Callable[[int], Any] | None = None) -> Any:
    """Decode a neutral value from a script's process. Raises ValueError for anything that is none."""
    if len(data) > _UNCHECKED:
        _check(data)
    return unpack(data, function, text_keys=True)


def _forms() -> list[tuple[int, int, int]]:
    """Return for each first byte: the size of the length that follows, fixed bytes besides, and parts for each unit of
    the length (0 if the length counts bytes)."""
    forms = [(0, 0, 0)] * 256
    for tag in range(0x80, 0x90):
        forms[tag] = (0, 0, 2 * (tag & 15))
    for tag in range(0x90, 0xA0):
        forms[tag] = (0, 0, tag & 15)
    for tag in range(0xA0, 0xC0):
        forms[tag] = (0, tag & 31, 0)
    for first, extra in ((0xC4, 0), (0xC7, 1), (0xD9, 0)):
        for power in range(3):
            forms[first + power] = (1 << power, extra, 0)
    for tag, size in ((0xCA, 4), (0xCB, 8), (0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)):
        forms[tag] = (0, size, 0)
    for power in range(4):
        forms[0xD0 + power] = (0, 1 << power, 0)
    for power in range(5):
        forms[0xD4 + power] = (0, 1 + (1 << power), 0)
    for tag, size, parts in ((0xDC, 2, 1), (0xDD, 4, 1), (0xDE, 2, 2), (0xDF, 4, 2)):
        forms[tag] = (size, 0, parts)
    return forms


_FORMS: Final = _forms()


def _check(data: bytearray) -> None:
    """Raise ValueError for a value that nests too deep, or claims more parts than a script can send."""
    at, parts, end = 0, 1, len(data)
    left, outer = 1, list[int]()
    while True:
        while left == 0:
            if not outer:
                return
            left = outer.pop()
        left -= 1
        if at >= end:
            raise ValueError("a value is cut off")
        tag = data[at]
        at += 1
        size, extra, units = _FORMS[tag]
        inner = units
        if size:
            length = int.from_bytes(data[at : at + size], "big")
            at += size + extra
            inner = length * units
            if not units:
                at += length
        else:
            at += extra
        if inner:
            parts += inner
            if parts > MAX_PARTS or inner > end - at:
                raise ValueError(f"a value of more than {MAX_PARTS} parts, or of more than there are")
            outer.append(left)
            left = inner
            if len(outer) > MAX_DEPTH:
                raise ValueError(f"a value of more than {MAX_DEPTH} levels")
