"""Counts the answers that the host builds for a script against the script's memory, before they are built."""

from __future__ import annotations

from collections.abc import Callable

from greenroom.runtime.scripts import CURRENT, going_on
from greenroom.scripting.definition.callback import Stopped

__all__ = ["AnswerMeter"]


class AnswerMeter:
    """Counts the answer to one call of a script, and stops the script when the answer does not fit into its memory.

    Data that hooks read meanwhile is not counted.
    """

    __slots__ = ("_built", "_held", "_operation", "_room")

    def __init__(self, room: Callable[[int], bool]) -> None:
        """Create it with `room`, which returns whether a number of further bytes fits into the script's memory."""
        self._held = self._built = 0
        self._room = room
        self._operation = CURRENT.get()

    def hold(self, size: int) -> None:
        """Count encoded bytes. Raises Stopped."""
        going_on()
        if CURRENT.get() is self._operation:
            self._held += size
            if not self._room(self._held):
                raise Stopped("memory")

    def built(self, weight: int) -> None:
        """Count decoded values by their weight. Raises Stopped."""
        going_on()
        if CURRENT.get() is self._operation:
            self._built += weight
            if not self._room(self._built):
                raise Stopped("memory")
