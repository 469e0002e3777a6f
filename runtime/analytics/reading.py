"""Reading the events of a session that analytics look at: those within the window, and of a fork only its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from greenroom.storage.events.journal import Journal

from .tally import Tally

__all__ = ["Window", "read_session"]

_SEARCH_ABOVE: Final = 512
"""In a longer journal the beginning of the window is looked for, in a shorter one it is read up to."""


@dataclass(frozen=True, slots=True)
class Window:
    """Times in ns since the epoch: from `low` on, and before `high`."""

    low: int
    high: int

    @property
    def bounded(self) -> bool:
        """Whether it has an end."""
        return self.high < (1 << 64) - 1


def read_session(journal: Journal, session: bytes, last: int, window: Window, bucket: float) -> Tally:
    """Count the events of a session, whose newest has the sequence `last`, in one pass.

    What a fork has taken over from its original is counted there. Raises IntegrityError at a damaged event.
    """
    tally = Tally(bucket)
    after = _before(journal, session, last, window.low) if window.low and last > _SEARCH_ABOVE else 0
    for _, stored in journal.read(session, after):
        if stored[1] >= window.high:
            break
        if stored[0] == "session.forked":
            tally = Tally(bucket)
        if stored[1] >= window.low:
            tally.add(stored)
    return tally


def _before(journal: Journal, session: bytes, last: int, low: int) -> int:
    """A sequence before the first event from a time on, the last such one if it is after the base of the journal.
    Times never go back within it."""
    base = journal.base(session)
    start = base[0] + 1 if base is not None else 1
    first, end = start, last + 1
    while first < end:
        middle = (first + end) // 2
        if journal.stored(session, middle)[1] < low:
            first = middle + 1
        else:
            end = middle
    return first - 1 if first > start else 0
