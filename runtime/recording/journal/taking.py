"""Take what was put into spools into the journal of a session, while they grow or later."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from greenroom.runtime.recording.tape.model import Crossing, Reads
from greenroom.runtime.recording.tape.spool import Record, SpoolFolder

from .reading import items_of, runs_of, source_of
from .writing import JournalSink

if TYPE_CHECKING:
    from greenroom.runtime.handles.session import Session

__all__ = ["Taker"]


class _Understands(Protocol):
    def go_on(self) -> int: ...


class _Spools(Protocol):
    def records(self) -> Iterator[Record]: ...


class Taker:
    """Takes in the spools in a folder, or another source of records, for one session. What is in the journal already is
    not taken again, so one that was killed can be followed by another.

        taker = Taker(session, folder)
        taker.take()     # as often as one likes while the program runs
        taker.end({"exit_code": 0})
    """

    def __init__(
        self,
        session: Session,
        spools: str | os.PathLike[str] | _Spools,
        *,
        redact: Iterable[str] | None = None,
        is_clean: bool = False,
        sink: JournalSink | None = None,
        run: int | None = None,
        about: dict[str, Any] | None = None,
        understanding: _Understands | None = None,
    ) -> None:
        """`sink` is that of a recording which has begun here; `run` is another in the session that goes on; without
        both, it is the newest of its own, or a new one. `is_clean`: what comes is without what rules remove. `about` is
        added to what the program says of itself."""
        self._session = session
        self._redact = redact
        self._about = about or {}
        self._understanding = understanding
        self._is_clean = is_clean
        self._is_gathered = sink is None
        """Whether a call may come twice: from the spools of two processes."""
        self._spools: _Spools = SpoolFolder(spools) if isinstance(spools, str | os.PathLike) else spools
        self._sink = sink
        self._stopped: dict[str, Any] = {}
        self.reads_taken = 0
        """How many quick reads the journal has of the recording."""
        self._taken: set[tuple[int, int]] = set()
        self._reads: Counter[int] = Counter()
        self.crossings = 0
        """How many crossings were taken in here."""
        self._told_last: dict[str, Any] = {}
        """What the first process has said of itself at its end."""
        if sink is not None:
            return
        if run is not None:
            self._go_on(run)
        elif runs := runs_of(source_of(session)):
            self._go_on(runs[-1])

    def _go_on(self, run: int) -> None:
        """Note what a recording that has begun has already."""
        for item in items_of(source_of(self._session), run - 1):
            if item.run == run and item.crossing is not None:
                self._taken.add((item.crossing.process, item.crossing.number))
            elif item.run == run and item.reads is not None:
                self._reads[item.reads.process] += len(item.reads.reads)
        self.reads_taken = sum(self._reads.values())
        self._sink = JournalSink(self._session, redact=self._redact, run=run, is_clean=self._is_clean)

    def take(self) -> int:
        """Take in what has come since the last time, and return how many crossings that was."""
        before = self.crossings
        for record in self._spools.records():
            self._record(record)
        if self.crossings > before and self._understanding is not None:
            self._understanding.go_on()
        return self.crossings - before

    def _record(self, record: Crossing | Reads | dict[str, Any]) -> None:
        if isinstance(record, dict):
            if "reads" in record:  # the spool has begun anew behind so many
                self._reads[0] = max(0, self._reads[0] - record["reads"])
            elif not record.get("process"):
                is_first = "lineage" in record or "command" in record
                if self._sink is None:
                    self._begin(record if is_first else {})
                if not is_first:
                    self._told_last |= {name: told for name, told in record.items() if name != "process"}
            return
        if self._stopped:
            return
        sink = self._sink if self._sink is not None else self._begin({})
        if isinstance(record, Reads):
            known = min(self._reads[record.process], len(record.reads))
            self._reads[record.process] -= known
            if known < len(record.reads):
                sink.reads(Reads(record.reads[known:], record.process))
                self.reads_taken += len(record.reads) - known
        elif (record.process, record.number) not in self._taken:
            if self._is_gathered:
                self._taken.add((record.process, record.number))
            sink.crossing(record)
            self.crossings += 1

    def _begin(self, about: dict[str, Any]) -> JournalSink:
        self._sink = JournalSink(self._session, {**about, **self._about}, redact=self._redact)
        return self._sink

    def end(self, about: dict[str, Any]) -> None:
        """Take in the rest, and note that the run has ended; `about` says how. A run that recorded nothing is noted
        too."""
        self.take()
        sink = self._sink if self._sink is not None else self._begin({})
        sink.end(self._told_last | about | self._stopped)
        if self._understanding is not None:
            self._understanding.go_on()

    def leave(self) -> None:
        """Take in the rest of a run whose end is not known."""
        self.take()
        self.flush()

    def flush(self) -> None:
        """Journal the reads that wait for a crossing."""
        if self._sink is not None:
            self._sink.close()

    def stop(self, error: Exception) -> None:
        """Take nothing more: what would come has a gap before it."""
        self._stopped = {"failure": f"{type(error).__name__}: {error}"}

    @property
    def has_ended(self) -> bool:
        """Whether the spool says that the recording has ended."""
        return "ended_at" in self._told_last
