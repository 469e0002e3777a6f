"""The memory of one Lua state, and the rule for pushing values into it.

lupa pushes values into a state outside of any protected call, holding the GIL. If the limit refuses an allocation
there, Lua jumps over lupa's frames without releasing the GIL, and the host freezes, or the process aborts. So the limit
applies only to code of the script:

- Before the script starts (`limit`) and after it has ended (`lift`), the state has no limit.
- While the script runs, values are pushed only if `room` has found space for them.
- Without space the script is stopped, after `lift`: so the value that stops it always fits.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["MARGIN", "Memory"]

MARGIN: Final = 128 << 10
"""Bytes reserved for uncounted data: errors, statuses, lupa's own strings, the stack."""
RESERVE: Final = 2 << 20
"""Bytes between the script's limit and the allocator's limit. Between two checks a script can exceed the first limit,
never the second."""
_LIFTED: Final = 4 << 20


class Memory:
    """Guards one Lua state. For use on the state's own thread only."""

    def __init__(self) -> None:
        self._lua: Any = None
        self._used: Any = None
        self._limit = 0

    def attach(self, lua: Any) -> None:
        """Guard this state."""
        self._lua, self._used = lua, lua.get_memory_used

    def close(self) -> None:
        """Drop the reference to the state, which would be a cycle: the state holds the host's objects, which hold this
        one."""
        self._lua = self._used = None

    def used(self) -> int:
        """Return the bytes in use."""
        return int(self._used())

    def limit(self, size: int) -> None:
        """Limit the script to `size` bytes more than are in use now."""
        self._limit = self._used() + size + RESERVE
        self._lua.set_max_memory(self._limit)

    def lift(self) -> None:
        """Remove the limit. Call it when no code of the script runs any more."""
        self._limit = self._used() + _LIFTED
        self._lua.set_max_memory(self._limit)

    def room(self, size: int) -> bool:
        """Return whether `size` more bytes fit, after a garbage collection if necessary."""
        size += MARGIN
        if self._used() + size <= self._limit:
            return True
        self._lua.gccollect()
        return bool(self._used() + size <= self._limit)
