"""A Lua sandbox that stays: pieces run one after another in the same state."""

from __future__ import annotations

from collections.abc import Sequence

from greenroom.scripting.running.host import Host
from greenroom.scripting.running.sandbox import Job, Outcome

from .prelude import load_console
from .sandbox import LuaSandbox

__all__ = ["LuaConsole"]

_LEAST_MEMORY = 1 << 20
"""Bytes that a piece may use at least, so that what fills the memory can be set to nil."""


class LuaConsole(LuaSandbox):
    """One Lua state for all pieces. What ends a piece does not end the state."""

    dead = False

    def stay(self, job: Job, host: Host) -> None:
        """Get ready for pieces, with the limits of a job."""
        self._job = job
        load_console(self._lua, self._kernel)
        self._attach(job, host)
        self._main = self._kernel[b"enter"]
        self._start = self._memory.used()

    def unfinished(self, text: str) -> bool:
        """Return whether the text is the beginning of a piece."""
        return bool(self._kernel[b"unfinished"](text.encode("utf-8", "surrogatepass")))

    def names(self, path: Sequence[str]) -> list[str]:
        """Return the names in the value at a path."""
        found: bytes = self._kernel[b"names"](".".join(path).encode("utf-8", "replace"))
        return found.decode("utf-8", "replace").split("\n") if found else []

    def enter(self, text: str) -> Outcome:
        """Run a piece. The value of the outcome is the text of its values."""
        job = self._job
        left = max(_LEAST_MEMORY, job.max_memory - max(0, self._memory.used() - self._start))
        self._kernel[b"again"]()
        return self._limited(left, job.max_instructions, text.encode("utf-8", "surrogatepass"))
