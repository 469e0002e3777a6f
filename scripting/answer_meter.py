"""The meter of a script: what the host builds for it counts against its memory before it is built."""

from __future__ import annotations

from collections.abc import Callable

from greenroom.runtime.scripts import CURRENT

from .callback import Stopped

__all__ = ["AnswerMeter"]


class AnswerMeter:
    """Counts the answer to one call of a script, and ends the script when that cannot fit into what it has left.

    What hooks read meanwhile is their own: it is not counted.
    """

    __slots__ = ("_built", "_held", "_operation", "_room")

    def __init__(self, room: Callable[[int], bool]) -> None:
        """`room` tells whether so many bytes more fit into the script's memory."""
        self._held = self._built = 0
        self._room = room
        self._operation = CURRENT.get()

    def hold(self, size: int) -> None:
        """Count bytes that are still encoded. Raises Stopped."""
        if CURRENT.get() is self._operation:
            self._held += size
            if not self._room(self._held):
                raise Stopped("memory")

    def built(self, weight: int) -> None:
        """Count values that have been made, by their weight. Raises Stopped."""
        if CURRENT.get() is self._operation:
            self._built += weight
            if not self._room(self._built):
                raise Stopped("memory")
