"""Choose between index ranges of unknown length."""

from __future__ import annotations

from typing import Final

from .engine import CF, Engine

__all__ = ["Range", "narrowest", "whole"]

Range = tuple[bytes, bytes]
"""Keys with begin ≤ key < end."""

_FIRST_LIMIT: Final = 64
_ALL: Final = 1 << 62


def whole(engine: Engine, ranges: list[Range], most: int) -> list[bytes] | None:
    """Return the keys of all these ranges as of one moment; None if there are `most` or more."""
    lists = engine.scan_keys(CF.INDEX, ranges, limit=most)
    return [key for keys in lists for key in keys] if sum(map(len, lists)) < most else None


def narrowest(engine: Engine, drivers: list[list[Range]]) -> list[bytes]:
    """Return the index keys of the driver that ends first when all are read side by side: none is read much further
    than the length of the shortest. A driver is a list of ranges taken together, as of one moment."""
    if len(drivers) == 1:
        return [key for keys in engine.scan_keys(CF.INDEX, drivers[0], limit=_ALL) for key in keys]
    limit = _FIRST_LIMIT
    while True:
        for ranges in drivers:
            keys = whole(engine, ranges, limit)
            if keys is not None:
                return keys
        limit *= 4
