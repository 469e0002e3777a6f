"""Journal what a recorder puts on a tape into a session."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages import GetInfo
from greenroom.actors.messages.calls import Called, RecordTape
from greenroom.runtime.handles.session import Session, core_of
from greenroom.runtime.recording.tape.model import Crossing, Reads
from greenroom.runtime.recording.tape.secrets.redacting import Redactor
from greenroom.storage.codec.records import pack_value
from greenroom.storage.common.durability import Durability
from greenroom.storage.common.logs import logger_of
from greenroom.storage.errors import ArtifactTooLarge
from greenroom.storage.events.bodies import Body
from greenroom.storage.events.calls import (
    RECORDING_CROSSING,
    RECORDING_ENDED,
    RECORDING_READS,
    RECORDING_STARTED,
)

from .forms import TAG, crossing_data, reads_data, split_body, without_large_parts
from .reading import JournalSource, items_of, newest_bodies

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore

__all__ = ["JournalSink", "redactor_for", "rules_for"]

logger = logger_of("recording")

_MOST_READS: Final = 4096
"""So many quick reads are journaled at the latest."""


def redactor_for(core: RuntimeCore, rules: str | Iterable[str] | None) -> Redactor | None:
    """Return what cleans a recording: by these rules and those of the store. None if there are none. Raises
    ValidationError."""
    stores = core.config.redact
    given = rules_for(core, rules)
    also = core.redaction.text if core.redaction is not None and callable(stores) else None
    return Redactor(given, also) if given or also is not None else None


def rules_for(core: RuntimeCore, rules: str | Iterable[str] | None) -> list[str]:
    """Return these rules and the store's own expressions. A function of the store is none that could be told."""
    stores = core.config.redact
    return [*_listed(rules), *(() if callable(stores) else stores)]


def _kept(core: RuntimeCore, session_id: str, run: int) -> list[str]:
    """Return the rules that are kept with a recording that goes on."""
    item = next(items_of(JournalSource(core, session_id), run - 1, run), None)
    kept = (item.started or {}).get("redact") if item is not None else None
    rules = [*kept.get("patterns", ()), *kept.get("paths", ())] if isinstance(kept, dict) else []
    return [each for each in rules if type(each) is str]


def _both(before: Any, more: dict[str, Any]) -> dict[str, Any]:
    """Return the rules by which a recording was cleaned where it was made, and those by which it is cleaned here."""
    if not isinstance(before, dict):
        return more
    for name in ("patterns", "paths"):
        more[name] = list(dict.fromkeys([*before.get(name, ()), *more[name]]))
    withheld = max(before.get("withheld", 0), more.get("withheld", 0))
    return {**more, "withheld": withheld} if withheld else more


def _listed(rules: str | Iterable[str] | None) -> list[Any]:
    if rules is None or isinstance(rules, str):
        return [] if rules is None else [rules]
    try:
        return list(rules)
    except Exception:
        return [None]  # which `Redactor` refuses


class JournalSink:
    """A sink for a recorder that journals each crossing in a session, at once. Safe for threads.

    When `crossing` returns, the crossing is in the journal: a crash of the process loses it no more. Reads go with the
    next crossing, or when many are there. Every method raises what refuses the event: InvalidSessionState if the
    session has ended, ResourceLimitExceeded if the store takes no more content, StorageError if the disk takes nothing
    more. Limits of operations and rates do not count for a recording that has begun: it would have gaps.
    """

    def __init__(
        self,
        session: Session,
        about: Mapping[str, Any] | None = None,
        *,
        redact: str | Iterable[str] | None = None,
        run: int | None = None,
        is_clean: bool = False,
    ) -> None:
        """Begin a recording in a session; `about` is as in `Tape`. With `run`, the sequence of its `recording.started`,
        go on with one that has begun, in a session or its original. `is_clean`: what comes is without what rules
        remove. Raises ValidationError."""
        core = core_of(session)
        self._core = core
        self._id = session.id
        rules = _listed(redact) + (_kept(core, session.id, run) if run is not None and not is_clean else [])
        self.redactor = None if is_clean else redactor_for(core, rules)
        # A process that ends loses nothing that is in the log; nobody waits for the disk because of a recording.
        self._durability = Durability.WAL if core.config.durability != Durability.MEMORY else None
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._reads: dict[int, list[Any]] = {}
        self._waiting = 0
        self._ended = False
        self._bodies, new = core.bodies.of(session.id)
        if run is None:
            run = self._begin(session, about or {})
        self.run = run
        if new:
            for name, body in newest_bodies(core, session.id):
                self._bodies.remember(name, body)

    def _begin(self, session: Session, about: Mapping[str, Any]) -> int:
        told = self._clean_about(about)
        if self.redactor is not None:
            told["redact"] = _both(about.get("redact"), self.redactor.described())
        message = RecordTape(RECORDING_STARTED, {"about": pack_value(told, "about")}, self._durability)
        if TAG not in self._core.ask(self._id, GetInfo()).tags:  # settles nothing, as the handle would
            session.add_tag(TAG)
        return self._core.ask(self._id, message).sequence

    def _clean_about(self, about: Mapping[str, Any]) -> dict[str, Any]:
        return self.redactor.about(about) if self.redactor is not None else dict(about)

    def _record(self, type_: str, data: dict[str, Any]) -> Called:
        # What belongs to a recording goes past rates, and needs no permission anew.
        message = RecordTape(type_, data, self._durability, sound=True)
        reply: Called = self._core.supervisor.delivery.routing.ask(self._id, message, self._core.config.ask_timeout)
        return reply

    def crossing(self, crossing: Crossing) -> None:
        """Journal a crossing, after the reads that came before it."""
        if self._waiting:
            self.flush()
        self.journal(crossing)

    def journal(self, crossing: Crossing, more: Mapping[str, Any] | None = None) -> Called:
        """Journal a crossing, with `more` in the data of its event. Of one that is larger than the store takes, the
        large parts are left out, and said to be."""
        if self.redactor is not None:
            crossing = self.redactor.crossing(crossing)
        try:
            return self._journaled(crossing, more)
        except ArtifactTooLarge as error:
            logger.warning("a recorded call is not kept whole: %s %s: %s", crossing.kind, crossing.name, error)
            return self._journaled(without_large_parts(crossing, self._core.config.max_artifact_bytes), more)

    def _journaled(self, crossing: Crossing, more: Mapping[str, Any] | None) -> Called:
        given, body = split_body(crossing)
        if body is None:
            data = crossing_data(crossing, self.run, given, None, None)
            return self._record(RECORDING_CROSSING, data if more is None else {**data, **more})
        delta = self._bodies.delta(crossing.name, body)
        data = crossing_data(crossing, self.run, given, delta.middle, delta.base)
        told = self._record(RECORDING_CROSSING, data if more is None else {**data, **more})
        self._bodies.remember(crossing.name, Body(told.sequence, body, delta.depth))
        return told

    def reads(self, reads: Reads) -> None:
        """Keep reads for the next crossing."""
        with self._lock:
            self._reads.setdefault(reads.process, []).extend(reads.reads)
            self._waiting += len(reads.reads)
            full = self._waiting >= _MOST_READS
        if full:
            self.flush()

    def flush(self) -> None:
        """Journal the reads that wait."""
        with self._flushing:  # or those of one lane could change places
            with self._lock:
                waiting, self._reads, self._waiting = self._reads, {}, 0
            for process, reads in waiting.items():
                for begin in range(0, len(reads), _MOST_READS):
                    self.journal_reads(Reads(reads[begin : begin + _MOST_READS], process))

    def journal_reads(self, reads: Reads, more: Mapping[str, Any] | None = None) -> Called:
        """Journal reads, with `more` in the data of their event."""
        if self.redactor is not None:
            reads = self.redactor.reads(reads)
        data = reads_data(reads, self.run)
        return self._record(RECORDING_READS, data if more is None else {**data, **more})

    def end(self, about: Mapping[str, Any] | None = None) -> None:
        """Journal what waits, and that the recording has ended; `about` is added to what is known of the program, such
        as its exit_code."""
        self.close()
        if not self._ended:
            self._ended = True
            told = pack_value(self._clean_about(about or {}), "about")
            self._record(RECORDING_ENDED, {"run": self.run, "about": told})

    def close(self) -> None:
        """Journal what waits."""
        if self._waiting:
            self.flush()
