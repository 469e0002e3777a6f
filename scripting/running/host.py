"""The host of one run: all that a sandbox can do in the world goes through `Host.call`.

Values that cross are neutral: None, booleans, integers, floats, str, bytes, lists, dicts with text keys, `UNDEFINED`,
and `Callback` for functions of the script. So a child process or a recording can stand between a sandbox and its host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Host"]


def _endless(size: int) -> bool:
    return True


def _nothing() -> None:
    """Do nothing."""


class Host:
    """What a sandbox sees of the world. `RunHost` is the real one; others pass its calls on."""

    room: Callable[[int], bool] = staticmethod(_endless)
    """Returns whether so many more bytes fit into the script's memory. The sandbox sets it."""
    refill: Callable[[], object] = staticmethod(_nothing)
    """Gives a script that stays the instructions of a whole run again. The sandbox sets it."""

    def call(self, number: int, values: list[Any]) -> Any:
        """Call a function by its number in the layout, and return its answer: `UNDEFINED` for none.

        Other numbers: `CLOCK` returns the seconds left, 0 or less when the script must end; `WRITE` adds a line of
        output and returns whether there is room for more; `FINISH`, when the script has come to its end, does what is
        left to do, such as calling functions of `Event.on`.

        Raises GreenroomError, which is the script's to catch, and Stopped, after which no code of the script may run.
        """
        raise NotImplementedError
