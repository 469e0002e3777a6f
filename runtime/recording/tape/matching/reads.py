"""Find the recorded value of a quick read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from ..model import Reads
from ..sites import function_of

__all__ = ["MISSING", "Values"]

MISSING: Final[Any] = object()
"""What stands for a value that was not recorded."""


class _Value(NamedTuple):
    at: int
    value: Any


class Values:
    """Finds recorded values, each once, in their order: of the same lane and place, of the same place, of the same
    function in this lane and in any, of the same name."""

    def __init__(self, recorded: Iterable[Reads]) -> None:
        self._index: dict[tuple[Any, ...], deque[_Value]] = {}
        count = 0
        for reads in recorded:
            for kind, name, place, lane, value in reads.reads:
                each = _Value(count, value)
                count += 1
                for key in _levels(kind, name, place, lane):
                    found = self._index.get(key)
                    if found is None:
                        found = self._index[key] = deque()
                    found.append(each)
        self._used = bytearray(count)

    def take(self, kind: str, name: str, place: str, lane: str, *, own_lane: bool = False) -> tuple[Any, bool]:
        """Return the value that fits best, and whether it was recorded at the same place; MISSING if there is none.
        With `own_lane`, only those of the same lane fit."""
        waiting = self._index.get((kind, name, place, lane))
        if waiting:
            each = waiting.popleft()
            if not self._used[each.at]:
                self._used[each.at] = 1
                return each.value, True
        for level, key in enumerate(_levels(kind, name, place, lane)):
            if own_lane and level not in _OWN_LANE:
                continue
            waiting = self._index.get(key)
            while waiting:
                each = waiting.popleft()
                if not self._used[each.at]:
                    self._used[each.at] = 1
                    return each.value, level < 2
        return MISSING, False

    def left(self) -> int:
        """Return how many values nobody has asked for."""
        return self._used.count(0)


_OWN_LANE: Final = (0, 2)
"""The levels of values of the same lane."""


def _levels(kind: str, name: str, place: str, lane: str) -> tuple[tuple[Any, ...], ...]:
    function = function_of(place)
    return (
        (kind, name, place, lane),
        (kind, name, place),
        (kind, name, function, lane, 0),
        (kind, name, function, 0, 0, 0),
        (kind, name),
    )
