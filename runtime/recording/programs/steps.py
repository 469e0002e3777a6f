"""The steps of a recording: the calls that it holds, in the order in which they began."""

from __future__ import annotations

from collections.abc import Sequence

from greenroom.runtime.recording.tape.model import Crossing, Tape

__all__ = ["first_steps", "in_order"]


def in_order(crossings: Sequence[Crossing]) -> list[Crossing]:
    """Return crossings in the order in which they began: step 1 comes first. Those of several processes are ordered by
    time."""
    if all(each.process == 0 for each in crossings):
        return sorted(crossings, key=lambda each: each.number)
    return sorted(crossings, key=lambda each: (each.time, each.process, each.number))


def first_steps(tape: Tape, at: int) -> list[Crossing]:
    """Return the first `at` steps of a tape."""
    return in_order(tape.crossings)[:at]
