"""What a replay has proven: what was answered exactly, what had moved or drifted, and what was left over."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from operator import attrgetter
from typing import Any, Final, Literal

__all__ = ["Drift", "ReplayReport", "ReportFile", "Tally", "Told", "read_report_file"]

Told = Literal["moved", "drifted", "order", "missing", "unused", "output"]
MOST_TOLD: Final = 1000
"""Drifts that are told one by one. All are counted."""
_TOLD_MEANWHILE: Final = 20
"""Drifts that are in a report which is written while the program runs."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One departure from the recording.

    =========  =====================================================================================================
    what       it says
    =========  =====================================================================================================
    moved      the same call, made from another place of the program
    drifted    another call than the recorded one, from the same place: answered, with the difference
    order      made by its thread or task, or handed to the program, in another order than when it was recorded
    missing    a read that was not recorded: the program got a value of now; or a call that nothing recorded fits
    unused     recorded, and not asked for
    output     what the program printed to stdout is not what it printed when it was recorded
    =========  =====================================================================================================
    """

    kind: str
    name: str
    place: str
    number: int
    """The number of the recorded crossing; 0 for reads."""
    what: Told
    difference: str = field(default="", repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return everything by name as JSON values."""
        return asdict(self)


@dataclass(slots=True, repr=False)
class ReplayReport:
    """Counts of crossings and reads, and the departures."""

    exact: int = 0
    """Calls that were answered by what was recorded for the very same call, wherever they came from."""
    moved: int = 0
    """The same calls and reads, made from another place of the program."""
    drifted: int = 0
    """Calls that were answered by what was recorded for another call."""
    order: int = 0
    """Times that a call was made, or something was handed over, in another order than the recorded one."""
    missing: int = 0
    """Reads that were not recorded, and calls that nothing recorded fits."""
    unused: int = 0
    """Calls that were recorded and not made."""
    output: int = 0
    """Streams (only stdout) to which something else was printed."""
    reads: int = 0
    """Reads that were answered."""
    drifts: list[Drift] = field(default_factory=list)
    """The first departures one by one, at most 1000."""
    streams: dict[str, str] = field(default_factory=dict)
    """How far what a program printed is what was recorded: of "stdout" and "stderr", "same", "differs", "redacted" (the
    same but for what was removed from the recording), "begins" (so much as is known of it is the same), "terminal" (it
    differs, and so do the terminals), or "unknown". Empty: nothing was compared."""
    refused: str | None = None
    """Why the replay stopped, if it did: the text of the ReplayError."""

    @property
    def is_exact(self) -> bool:
        """Whether the program did just what was recorded, from wherever in it."""
        return self.refused is None and not (self.drifted or self.order or self.missing or self.unused or self.output)

    def to_dict(self) -> dict[str, Any]:
        """Return everything by name as JSON values."""
        counts = {name: getattr(self, name) for name in _COUNTS}
        drifts = [drift.to_dict() for drift in self.drifts]
        told = {"is_exact": self.is_exact, "refused": self.refused, "streams": self.streams}
        return {**counts, **told, "drifts": drifts}

    def __str__(self) -> str:
        told = [f"{self.exact} exact", *(f"{count} {name}" for name, count in self._departures().items() if count)]
        return ", ".join(told)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}{', stopped' if self.refused is not None else ''}>"

    def _departures(self) -> Counter[str]:
        return Counter({name: getattr(self, name) for name in _COUNTS[1:-1]})


@dataclass(slots=True, repr=False)
class Tally(ReplayReport):
    """The report of a replay under way, which is counted in. Safe for threads."""

    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    def tell(self, drift: Drift) -> None:
        """Count a departure, and keep it."""
        with self._lock:
            setattr(self, drift.what, getattr(self, drift.what) + 1)
            if len(self.drifts) < MOST_TOLD:
                self.drifts.append(drift)

    def so_far(self, most: int = MOST_TOLD) -> dict[str, Any]:
        """Return everything by name as JSON values, with at most so many departures."""
        with self._lock:
            return replace(self, drifts=self.drifts[:most]).to_dict()

    def add(self, other: dict[str, Any]) -> None:
        """Add the report of another process, as `to_dict` gave it."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + int(other.get(name, 0)))
        for drift in other.get("drifts") or ():
            if len(self.drifts) < MOST_TOLD:
                self.drifts.append(Drift(**drift))
        self.streams |= other.get("streams") or {}
        self.refused = self.refused or other.get("refused")


class ReportFile:
    """The report of one process of a replay, in two files: a process that is killed leaves what it had. The counts are
    written with every answer, into their place in one file, which costs a microsecond or two. All else is in the other,
    which is written anew when there is another departure, of the first few, and at the end. Safe for threads."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._numbers = itertools.count()
        self._counts = -1
        self._written: tuple[int, str | None] | None = None
        self._lock = threading.RLock()

    def write(self, report: Tally, *, waiting: int = 0, is_last: bool = False) -> None:
        """Write a report as it stands. `waiting` is how many crossings were not asked for yet: whoever reads the file
        before the last report counts them as unused. A disk that is full does not stop the program."""
        with self._lock, suppress(OSError):
            if self._counts < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
                self._counts = os.open(f"{self._path}{_COUNTS_FILE}", flags, 0o600)
            os.pwrite(self._counts, _packed_counts(report, waiting), 0)
            told_apart = (min(len(report.drifts), _TOLD_MEANWHILE), report.refused)
            if told_apart == self._written and not is_last:
                return
            self._written = told_apart
            told = report.so_far(MOST_TOLD if is_last else _TOLD_MEANWHILE)
            new = f"{self._path}.{next(self._numbers)}.new"  # a signal handler may come in between and write too
            with open(new, "w", encoding="utf-8") as file:
                json.dump(told, file)
            os.replace(new, self._path)


def read_report_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what `ReportFile` has written, as `ReplayReport.to_dict` gives it."""
    with open(path, encoding="utf-8") as file:
        told: dict[str, Any] = json.load(file)
    with suppress(OSError, ValueError), open(f"{os.fspath(path)}{_COUNTS_FILE}", "rb") as counts:
        *found, waiting = map(int, counts.read().split())
        told |= zip(_COUNTS, found, strict=True)
        told["unused"] += waiting
    return told


def _packed_counts(report: ReplayReport, waiting: int) -> bytes:
    """Return the counts in one length, whatever they are."""
    return b" ".join(b"%20d" % count for count in (*_counts_of(report), waiting))


_COUNTS: Final = ("exact", "moved", "drifted", "order", "missing", "unused", "output", "reads")
_counts_of: Final = attrgetter(*_COUNTS)
_COUNTS_FILE: Final = ".counts"
