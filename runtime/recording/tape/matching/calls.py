"""Find the recorded crossing that answers a call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from ..model import Crossing, key_of
from ..sites import function_of
from .difference import difference
from .redacted import fits_redacted

__all__ = ["Call", "Calls", "Claim", "Found"]

Claim = Callable[[Crossing], bool]

_NEAR: Final = 3
"""How many near recordings an error names."""
_LOOKED_AT: Final = 1000


class Call(NamedTuple):
    """A call of the program that runs again."""

    kind: str
    name: str
    place: str
    lane: str
    key: bytes
    input: Mapping[str, Any]


class Found(NamedTuple):
    """The recorded crossing that answers a call."""

    at: int
    """Its index."""
    is_same: bool
    """Whether it was recorded for the same input."""
    is_same_place: bool
    before: Call | None = None
    """The call of another input that it has answered before: as this one is made too, that one was not recorded."""


class Calls:
    """Finds recorded crossings, each once.

    What fits best is taken: the same input from the same place, the same input from elsewhere, another input from the
    same place, another input from the same function, another input from a function of that name in another file. Of
    several that fit alike: one of the same lane, then the oldest; of those of another input, the first behind what the
    lane has got already, as a call that is no longer made answers none that comes after it.

    A crossing that has answered a call of another input still answers its own: a call that a program makes anew, before
    those that were recorded, does not push each of them to the next one's answer.
    """

    def __init__(self, crossings: Sequence[Crossing], claim: Claim | None = None) -> None:
        """Index crossings. `claim` says whether a crossing is still to be had, and takes it, where several processes
        share them."""
        self._crossings = crossings
        self._claim = claim
        self._used = bytearray(len(crossings))
        self._others: dict[int, Call] = {}
        self._last: dict[str, int] = {}
        self._index: dict[tuple[Any, ...], deque[int]] = {}
        self._redacted = deque(at for at, crossing in enumerate(crossings) if crossing.input.get("redacted") is True)
        for at, crossing in enumerate(crossings):
            key = crossing.key or key_of(crossing.kind, crossing.name, crossing.input)
            for each in _levels(crossing.kind, crossing.name, crossing.place, crossing.lane, key):
                self._index.setdefault(each, deque()).append(at)

    def take(self, call: Call, *, strict: bool, own_lane: bool = False) -> Found | None:
        """Return the crossing that fits a call best, and use it up. None if there is none. With `strict`, only one of
        the same input fits; with `own_lane`, one of another input only if it is of the same lane, and none answers
        twice."""
        for level, key in enumerate(_levels(call.kind, call.name, call.place, call.lane, call.key)):
            if level == _OTHER_INPUT and self._redacted and (found := self._take_redacted(call, own_lane)) is not None:
                return found
            if strict and level >= _OTHER_INPUT:
                return None
            if own_lane and level in _ANY_LANE:
                continue
            waiting = self._index.get(key)
            while waiting:
                at = waiting.popleft() if level < _OTHER_INPUT else self._next(waiting, call.lane)
                if found := self._use(at, call, is_same=level < _OTHER_INPUT, twice=not own_lane):
                    return found
        return None

    def _next(self, waiting: deque[int], lane: str) -> int:
        """Return the first crossing behind what a lane has got, of those that wait; if there is none, the oldest."""
        while len(waiting) > 1 and self._used[waiting[0]]:
            waiting.popleft()
        last = self._last.get(lane, -1)
        at = next((at for at in islice(waiting, _LOOKED_AT) if at > last and not self._used[at]), waiting[0])
        waiting.remove(at)
        return at

    def _use(self, at: int, call: Call, *, is_same: bool, twice: bool) -> Found | None:
        """Use a crossing up for a call, and return it; None if it is used up already."""
        used = self._used[at]
        if used == _FOR_SAME or (used and not (is_same and twice)):
            return None
        self._used[at] = _FOR_SAME if is_same else _FOR_OTHER
        if not used and self._claim is not None and not self._claim(self._crossings[at]):
            self._used[at] = _FOR_SAME
            return None
        if not is_same:
            self._others[at] = call
        self._last[call.lane] = max(at, self._last.get(call.lane, -1))
        return Found(at, is_same, self._crossings[at].place == call.place, self._others.get(at) if is_same else None)

    def _take_redacted(self, call: Call, own_lane: bool) -> Found | None:
        """Return a crossing of the same input but for what was redacted, and use it up."""
        while self._redacted and self._used[self._redacted[0]] == _FOR_SAME:
            self._redacted.popleft()
        fitting: list[tuple[bool, bool, int]] = []
        for at in islice(self._redacted, _LOOKED_AT):
            crossing = self._crossings[at]
            if self._used[at] == _FOR_SAME or crossing.kind != call.kind or not fits_redacted(crossing.name, call.name):
                continue
            if fits_redacted(crossing.input, call.input):
                fitting.append((crossing.place != call.place, crossing.lane != call.lane, at))
                if fitting[-1][:2] == (False, False):
                    break
        for _, _, at in sorted(fitting):
            if found := self._use(at, call, is_same=True, twice=not own_lane):
                return found
        return None

    @property
    def waiting(self) -> int:
        """How many crossings no call has asked for."""
        return self._used.count(0)

    def nearest(self, call: Call) -> Crossing | None:
        """Return the crossing that comes nearest to a call that none fits, whether or not it has answered: of the same
        name, from the same function if there is one. None if nothing of that name was recorded."""
        same = [each for each in self._crossings if each.kind == call.kind and each.name == call.name]
        near = [each for each in same if function_of(each.place) == function_of(call.place)]
        return max(near or same, key=lambda each: each.number, default=None)

    def unused(self) -> list[Crossing]:
        """Return the crossings that no call has asked for."""
        return [crossing for crossing, used in zip(self._crossings, self._used, strict=True) if not used]

    def near(self, call: Call) -> list[str]:
        """Return the recordings that come nearest to a call, each with why it was not taken. Nothing of their content
        is told."""
        scored: list[tuple[int, int, str]] = []
        for at, crossing in enumerate(self._crossings):
            if crossing.kind != call.kind:
                continue
            score = 2 * (crossing.name == call.name) + (function_of(crossing.place) == function_of(call.place))
            if score or len(scored) < _NEAR:
                scored.append((-score, at, crossing.name))
            if len(scored) >= _LOOKED_AT:
                break
        return [self._why_not(at, call) for _, at, _ in sorted(scored)[:_NEAR]]

    def _why_not(self, at: int, call: Call) -> str:
        crossing = self._crossings[at]
        reasons = []
        if self._used[at]:
            reasons.append("answered already")
        if crossing.name != call.name:
            reasons.append("another name")
        if crossing.place != call.place:
            reasons.append(f"recorded at {crossing.place or 'an unknown place'}")
        if crossing.name == call.name and (crossing.key or b"") != call.key:
            reasons.append(difference(crossing.input, call.input, values=False))
        return f"number {crossing.number} {crossing.name[:80]} ({'; '.join(reasons) or 'of no use'})"


_FOR_OTHER: Final = 1
"""The mark of a crossing that has answered a call of another input, and may yet answer its own."""
_FOR_SAME: Final = 2
"""The mark of one that has answered its own, or is another process's."""
_OTHER_INPUT: Final = 4
"""The first level of those with another input."""
_ANY_LANE: Final = (5, 7, 9)
"""The levels of those with another input from any lane."""


def _levels(kind: str, name: str, place: str, lane: str, key: bytes) -> tuple[tuple[Any, ...], ...]:
    """Return the keys under which a crossing is indexed, the best fit first."""
    function = function_of(place)
    called = function.rpartition(" in ")[2]  # in another file, such as that of the program's next version
    return (
        (kind, key, place, lane),
        (kind, key, place),
        (kind, key, lane, None, None),
        (kind, key),
        (kind, name, place, lane, 0),
        (kind, name, place, 0),
        (kind, name, function, lane, 0, 0),
        (kind, name, function, 0, 0, 0, 0),
        (kind, name, called, lane, 0, 0, 0, 0),
        (kind, name, called, 0, 0, 0, 0, 0, 0),
    )
