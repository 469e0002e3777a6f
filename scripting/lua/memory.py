"""The memory of one Lua state, and the one rule for every crossing into it.

lupa pushes values into a state outside of any protected call, holding the GIL. An allocation that the limit refuses
there jumps over lupa's frames and takes the GIL along, so that the host freezes, or it aborts the process. So the limit
is only for code of the script:

- Before the script starts (`limit`) and after it has ended (`lift`) the state has no limit.
- While it runs, nothing is pushed unless `room` has found space for it.
- Where there is no space the script is stopped, and `lift` comes first: what stops it always fits.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["MARGIN", "Memory"]

MARGIN: Final = 128 << 10
"""Bytes for what is not counted with a value: errors, statuses, lupa's own strings, the stack."""
RESERVE: Final = 2 << 20
"""Bytes between what the script may keep and the limit of the allocator: between two beats a script can pass the first
limit, never the second."""
_LIFTED: Final = 4 << 20


class Memory:
    """Guards one state. Used on the state's own thread alone."""

    def __init__(self) -> None:
        self._lua: Any = None
        self._used: Any = None
        self._limit = 0

    def attach(self, lua: Any) -> None:
        """Guard this state."""
        self._lua, self._used = lua, lua.get_memory_used

    def close(self) -> None:
        """Let go of the state: it holds the host's side, which holds this."""
        self._lua = self._used = None

    def limit(self, size: int) -> None:
        """Let the script have `size` bytes more than there are now."""
        self._limit = self._used() + size + RESERVE
        self._lua.set_max_memory(self._limit)

    def lift(self) -> None:
        """Make room for good, because no code of the script runs any more."""
        self._limit = self._used() + _LIFTED
        self._lua.set_max_memory(self._limit)

    def room(self, size: int) -> bool:
        """Return whether `size` bytes more fit, after a collection if need be."""
        size += MARGIN
        if self._used() + size <= self._limit:
            return True
        self._lua.gccollect()
        return bool(self._used() + size <= self._limit)
