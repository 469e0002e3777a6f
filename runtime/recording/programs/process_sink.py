"""The sink of a recorded process: its spool, and what it says of itself there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from greenroom.runtime.recording.tape.model import Crossing, Reads
from greenroom.runtime.recording.tape.secrets.urls import clean_command
from greenroom.runtime.recording.tape.spool import SPOOL, SpoolSink, SpoolWriter
from greenroom.runtime.version import __version__

from .options import LOST, WHOLE

if TYPE_CHECKING:  # without rules, a program pays for no redaction
    from greenroom.runtime.recording.tape.secrets.redacting import Redactor

__all__ = ["FIRST", "LINEAGE_READ", "ProcessSink", "mark_lost"]

LINEAGE_READ: Final = ("process", "lineage", "", "main")
"""The read by which a further process says, on a tape, which one it is: kind, name, place, lane."""
FIRST: Final = "0"
"""The lineage of the program itself."""


def _in_peace(method: Callable[..., None]) -> Callable[..., None]:
    """Have the recording end, and not the program, where the disk takes nothing more: what follows is not kept, and a
    mark in the folder of the run says so."""

    @wraps(method)
    def guarded(self: ProcessSink, *arguments: Any) -> None:
        if not self._is_left:
            try:
                method(self, *arguments)
            except OSError as error:
                self._is_left = True
                mark_lost(self._folder, error)

    return guarded


def mark_lost(folder: str, error: OSError) -> None:
    """Leave a mark that something is not kept. A disk that is full still renames files."""
    with suppress(OSError):
        os.rename(os.path.join(folder, WHOLE), os.path.join(folder, f"{LOST}{error.errno or 0}"))


class ProcessSink:
    """The spool of a process. It is made when there is something to put into it: many a child has nothing."""

    def __init__(
        self,
        folder: str,
        lineage: str,
        hash_seed: str,
        redactor: Redactor | None = None,
        *,
        number: int = -1,
        after: int = 0,
    ) -> None:
        """`number` is that of this process, if it is known from a recording that goes on here: others get numbers
        behind `after`."""
        self._known = number
        self._after = after
        self._redactor = redactor
        self._hash_seed = hash_seed
        self._folder = folder
        self._lineage = lineage
        self._spool: SpoolSink | None = None
        self._is_left = False
        self.number = 0

    @_in_peace
    def open(self) -> None:
        """Make the spool."""
        self._opened()

    def _opened(self) -> SpoolSink:
        if self._spool is None:
            if (number := 0 if self._lineage == FIRST else self._known) < 0:
                number = max(self._after + 1, sum(each.endswith(SPOOL) for each in os.listdir(self._folder)))
            while True:
                try:
                    self._spool = SpoolSink(SpoolWriter(os.path.join(self._folder, f"{number:06}{SPOOL}")))
                    break
                except FileExistsError:
                    number += 1
            self.number = number
            told = _about(number, self._lineage, self._hash_seed)
            if self._redactor is not None:
                told = {**self._redactor.about(told), "redact": self._redactor.described()}
            self._spool.about(told)
            if number:
                begun = {"lineage": self._lineage, "command": told["command"], "pid": os.getpid()}
                self._spool.reads(Reads([(*LINEAGE_READ, begun)], number))
        return self._spool

    @_in_peace
    def about(self, told: dict[str, Any]) -> None:
        """Put what this process says of itself into its spool, if it has one."""
        if self._spool is not None:
            if self._redactor is not None:
                told = self._redactor.about(told)
            self._spool.about(told)

    @_in_peace
    def crossing(self, crossing: Crossing) -> None:
        """Append a crossing."""
        spool = self._opened()
        if crossing.process <= 0:  # or it is one that answered another process of the recording
            crossing.process = self.number
        spool.crossing(self._redactor.crossing(crossing) if self._redactor is not None else crossing)

    @_in_peace
    def reads(self, reads: Reads) -> None:
        """Hold reads for the next crossing; those of a further process are appended at once."""
        spool = self._opened()
        reads.process = self.number
        spool.reads(self._redactor.reads(reads) if self._redactor is not None else reads)
        if self.number:
            spool.sync()

    @_in_peace
    def sync(self) -> None:
        """Append what is held."""
        if self._spool is not None:
            self._spool.sync()

    @_in_peace
    def close(self) -> None:
        """Append what is held, and close the spool."""
        if self._spool is not None:
            self._spool.close()
        self._is_left = True

    def abandon(self) -> None:
        """Touch the spool no more: it is that of the process that forked this one."""
        self._is_left = True


def _about(number: int, lineage: str, hash_seed: str) -> dict[str, Any]:
    return {
        "process": number,
        "lineage": lineage,
        "command": clean_command(sys.orig_argv),
        "directory": os.getcwd(),
        "hash_seed": hash_seed,
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "greenroom": __version__,
        "pid": os.getpid(),
        "started_at": time_ns(),
    }
