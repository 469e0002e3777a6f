"""Choose between index ranges of unknown length, and intersect them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .engine import CF, Engine

__all__ = ["Range", "met", "narrowest", "shared", "whole"]

Range = tuple[bytes, bytes]
"""Keys with begin ≤ key < end."""

_FIRST_LIMIT: Final = 64
_MOST_PAGE: Final = 4096
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


def shared(
    engine: Engine, prefixes: list[bytes], low: bytes, high: bytes, *, reverse: bool = False, first: int = _FIRST_LIMIT
) -> Iterator[bytes]:
    """Yield what follows the prefix, from `low` on and before `high`, in the index keys that every prefix has, in order
    or reversed. `first`: how many a caller is likely to want."""
    page = first if len(prefixes) == 1 else max(first, _FIRST_LIMIT)
    while low < high:
        ranges = [(prefix + low, prefix + high) for prefix in prefixes]
        found = engine.scan_keys(CF.INDEX, ranges, reverse=reverse, limit=page)
        lists = [[key[len(prefix) :] for key in keys] for prefix, keys in zip(prefixes, found, strict=True)]
        candidates, bound = met(lists, page, reverse)
        for tail, certain in candidates:
            if certain or all(engine.get(CF.INDEX, prefix + tail) is not None for prefix in prefixes):
                yield tail
        if bound is None:
            return
        low, high = (low, bound) if reverse else (bound + b"\x00", high)
        page = min(4 * page, _MOST_PAGE)


def met(lists: list[list[bytes]], page: int, down: bool) -> tuple[list[tuple[bytes, bool]], bytes | None]:
    """Intersect the lists of several conditions, each the first entries of one that may go on if it is a whole page.

    Return the candidates, and where they end; None if there are no more. The list that reaches farthest has the fewest
    entries in the way, so it is followed to its end: beyond the ends of others a candidate is not certain.
    """
    bounds = [entries[-1] if len(entries) >= page else None for entries in lists]
    if None in bounds:
        driver = min((at for at, bound in enumerate(bounds) if bound is None), key=lambda at: len(lists[at]))
    else:
        driver = (min if down else max)(range(len(lists)), key=lambda at: (bounds[at] or b"", -at))
    found = []
    others = [(set(lists[at]), bounds[at]) for at in range(len(lists)) if at != driver]
    for place in lists[driver]:
        certain = True
        for entries, bound in others:
            if place in entries:
                continue
            if bound is None or (place >= bound if down else place <= bound):
                break
            certain = False
        else:
            found.append((place, certain))
    return found, bounds[driver]
