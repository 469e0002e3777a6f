"""The way of a replay through a recording, forward and back."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from .breakpoints import Passed

if TYPE_CHECKING:
    from greenroom.runtime.handles.reading.past import PastState
    from greenroom.runtime.replay.config import ReplayConfig
    from greenroom.runtime.replay.result import ReplayResult

__all__ = ["Route", "Track"]


class Route(Protocol):
    """What a replay goes through, made by the engine from a session and a configuration."""

    session_id: str
    config: ReplayConfig
    begin: int
    """The sequence before the first step."""
    last: int
    """The sequence that the replay ends with."""

    def steps(self) -> Iterator[Passed]:
        """Replay, step by step. Called once."""

    def again(self, after: int, upto: int) -> Iterator[Passed]:
        """Yield steps that have been replayed before. Both sequences are ends of steps, or `begin`."""

    def state(self, sequence: int) -> PastState:
        """Return the state after a step that has been replayed. Raises ReplayError before the first one."""

    def time(self, sequence: int) -> int | None:
        """Return the recorded time of an event; None if there is none."""

    def result(self) -> ReplayResult:
        """Return what the replay has found, once all steps are replayed."""


class Track:
    """Knows where a replay stands, and what it has been through. Not thread-safe.

    Going back costs nothing: the position moves, and what lies between is known by the ends of its steps. Going forward
    from there yields the same steps again, and only then new ones.
    """

    __slots__ = ("_again", "_at", "_ends", "_steps", "_times", "route")

    def __init__(self, route: Route) -> None:
        self.route = route
        self._steps = route.steps()
        self._again: Iterator[Passed] | None = None
        self._ends = array("q")
        """The last sequence of each step that was replayed."""
        self._times = array("Q")
        """The recorded time of that event."""
        self._at = 0
        """How many of these steps lie before the position."""

    @property
    def position(self) -> int:
        """The sequence of the last event before the position."""
        return self._ends[self._at - 1] if self._at else self.route.begin

    @property
    def begun(self) -> bool:
        """Whether a step was taken."""
        return bool(self._ends)

    @property
    def time(self) -> int | None:
        """The recorded time of that event."""
        return self._times[self._at - 1] if self._at else self.route.time(self.route.begin)

    @property
    def next_time(self) -> int | None:
        """The recorded time of the next event."""
        return self._times[self._at] if self._at < len(self._times) else self.route.time(self.position + 1)

    def forward(self) -> Passed | None:
        """Take the next step and return it; None at the end."""
        if self._at < len(self._ends):
            if self._again is None:
                self._again = self.route.again(self.position, self._ends[-1])
            passed = next(self._again)
        else:
            self._again = None
            fresh = next(self._steps, None)
            if fresh is None:
                return None
            passed = fresh
            self._ends.append(passed.sequence)
            self._times.append(passed.events[-1][1].time)
        self._at += 1
        return passed

    def move(self, steps: int) -> None:
        """Move the position by a number of steps, back (negative) or forward, within what has been replayed."""
        self._put(self._at + steps)

    def move_to(self, sequence: int) -> None:
        """Move the position to the step with this sequence, within what has been replayed."""
        self._put(bisect_left(self._ends, sequence) + 1 if sequence > self.route.begin else 0)

    def _put(self, at: int) -> None:
        self._at = max(0, min(at, len(self._ends)))
        self._again = None

    def close(self) -> None:
        """Release what the engine holds. The position can still be moved."""
        close = getattr(self._steps, "close", None)
        if close is not None:
            close()
