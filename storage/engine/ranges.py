"""Choose between index ranges of unknown length."""

from __future__ import annotations

from typing import Final

from .engine import CF, Engine

__all__ = ["Range", "narrowest"]

Range = tuple[bytes, bytes]
"""Keys with begin ≤ key < end."""

_FIRST_LIMIT: Final = 64


def narrowest(engine: Engine, drivers: list[list[Range]]) -> list[bytes]:
    """Return the index keys of the driver that ends first when all are read side by side: none is read much further
    than the length of the shortest. A driver is a list of ranges taken together."""
    limit = _FIRST_LIMIT
    while True:
        for ranges in drivers:
            keys: list[bytes] = []
            wanted = None if len(drivers) == 1 else limit
            for begin, end in ranges:
                left = None if wanted is None else wanted - len(keys)
                keys += [key for key, _ in engine.scan(CF.INDEX, begin, end, limit=left)]
                if wanted is not None and len(keys) >= wanted:
                    break
            else:
                return keys
        limit *= 4
