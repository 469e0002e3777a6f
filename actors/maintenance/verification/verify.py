"""Check a whole store against itself, and repair it. No record is trusted without its witnesses.

The journals are the truth. They do not contain the content, which is checked by its hash. The store is checked while it
is in use. What seems wrong is checked again in the turn of the one writer, where nothing changes meanwhile, and
repaired in the same turn.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from typing import Final

from greenroom.actors.store import ArtifactStore, Repair
from greenroom.actors.supervisor.supervisor import Supervisor
from greenroom.storage.artifacts.index import ACROSS
from greenroom.storage.audit import AUDIT, AUDIT_INDEX
from greenroom.storage.codec.keys import INDEX_KEY, INDEX_SHARED, session_id_of
from greenroom.storage.content.chunks import CONTENT_REFERENCE
from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.engine.salvage import Lost, losses, readable, settle_loss
from greenroom.storage.errors import IntegrityError
from greenroom.storage.events.index import OF_EVENTS

from .entries import BY_TAIL, EntryChecks
from .findings import DAMAGE, Findings, Look, Progress, VerifyReport
from .journals import JournalChecks
from .scan import END

__all__ = ["care_for", "verify_store"]

_TURN_TIMEOUT: Final = 600.0
_ROUNDS: Final = 3


def verify_store(
    store: ArtifactStore,
    supervisor: Supervisor | None = None,
    *,
    repair: bool = False,
    on_progress: Progress | None = None,
) -> VerifyReport:
    """Check every session, then every content. The store may be in use meanwhile. With `repair`, set right what the
    rest of the store tells how to, and quarantine the rest."""
    return care_for(store, supervisor, hashing=True, mending=True, repair=repair, on_progress=on_progress)


def care_for(
    store: ArtifactStore,
    supervisor: Supervisor | None,
    *,
    hashing: bool,
    mending: bool,
    repair: bool,
    on_progress: Progress | None = None,
) -> VerifyReport:
    """Check everything. `hashing`: read all content; `mending`: also repair journals that have lost events."""
    report = VerifyReport()
    _Round(store, supervisor, report, hashing=hashing, mending=mending, repair=repair, on_progress=on_progress).run()
    return report


class _Round(JournalChecks, EntryChecks):
    """One round through a store, with all its checks."""

    def run(self) -> None:
        self._look_at_tables()
        with contextlib.suppress(IntegrityError):  # the tables of `meta` are damaged; this is reported elsewhere
            self._lost = losses(self._engine)
        for lost in self._lost:
            self._report.add("lost", str(lost), "was unreadable when the store was salvaged")
        for session in self._counting("sessions", self._sessions()):
            self._unit(partial(self._session, session), session)
        for key in self._counting("orphaned records", self._strays()):
            self._unit(partial(self._stray, key))
        for key in self._counting("index entries", self._keys(CF.INDEX)):
            if key[:1] in BY_TAIL:
                self._unit(partial(self._index_entry, key))
            elif key[:1] in ACROSS:
                self._unit(partial(self._artifact_entry, key))
            elif key[:1] in OF_EVENTS:
                self._unit(partial(self._event_entry, key))
            elif key[:1] == INDEX_KEY:
                self._unit(partial(self._key_entry, key))
            elif key[:1] == INDEX_SHARED:
                self._unit(partial(self._shared_entry, key))
        self._unit(self._totals)
        for key in self._counting("audit records", self._keys(CF.META, AUDIT)):
            self._unit(partial(self._audit_record, key))
        for key in self._counting("audit entries", self._keys(CF.META, AUDIT_INDEX)):
            self._unit(partial(self._audit_entry, key))
        for key in self._counting("references", self._keys(CF.REFERENCES, CONTENT_REFERENCE)):
            self._unit(partial(self._reference, key))
        for digest in self._counting("contents", self._keys(CF.CONTENTS)):
            self._unit(partial(self._content, digest))
        self._unit(self._pending)
        with contextlib.suppress(IntegrityError):
            suspects = self._blobs_of_nobody()
            if suspects:
                self._unit(partial(self._stray_blobs, suspects))
        for key in self._counting("chunks", self._keys(CF.CHUNKS)):
            self._unit(partial(self._chunk, key))
        if self._repair and self._lost:
            self._store.ask(Repair(lambda: [settle_loss(lost) for lost in self._lost]), _TURN_TIMEOUT)
            problems = self._report.problems
            problems[:] = [replace(p, repaired="conclusions drawn") if p.kind == "lost" else p for p in problems]

    # -- looking, twice where something seems wrong

    def _unit(self, look: Look, session: bytes | None = None) -> None:
        found = self._look(look)
        if not found.problems:
            self._tally(found)
            return
        for _ in range(_ROUNDS if self._repair else 1):
            # One repair may uncover the next problem: a journal first, then what is derived from it.
            found = self._in_turn(look, session)
            self._tally(found, final=not (found.ops and self._repair))
            if not (found.ops and self._repair):
                return

    def _look(self, look: Look) -> Findings:
        found = Findings()
        try:
            look(found)
        except DAMAGE as error:
            found.add("record", "", str(error))
        return found

    def _in_turn(self, look: Look, session: bytes | None) -> Findings:
        """Check in the writer's turn, and repair in the same turn."""
        findings: list[Findings] = []

        def look_and_repair() -> list[Op]:
            self._writing = self._repair
            try:
                findings.append(self._look(look))
            finally:
                self._writing = False
            if not self._repair:
                return []
            freed = [key for cf, key, value in findings[-1].ops if cf == CF.CHUNKS and value is None]
            self._report.freed_bytes += sum(len(self._engine.get(CF.CHUNKS, key) or b"") for key in freed)
            return findings[-1].ops

        def ask() -> None:
            self._store.ask(Repair(look_and_repair), _TURN_TIMEOUT)

        if self._repair and session is not None and self._supervisor is not None:
            # The state in memory is saved first: it may be the only whole copy.
            self._supervisor.table.while_absent(session_id_of(session), ask)
        else:
            ask()
        return findings[-1]

    def _tally(self, found: Findings, *, final: bool = True) -> None:
        report = self._report
        for kind, count in found.checked.items() if final else ():
            report.checked[kind] = report.checked.get(kind, 0) + count
        kept = found.problems if self._repair else [replace(each, repaired=None) for each in found.problems]
        report.problems += [each for each in kept if each not in report.problems[-len(kept) - 64 :]]
        report.quarantined += [each for each in found.quarantined if each not in report.quarantined]

    def _look_at_tables(self) -> None:
        """Find what RocksDB itself cannot read. A repair that ignored it would take unreadable records for missing
        ones."""
        lost: list[Lost] = []
        for cf, name in enumerate(CF.NAMES):
            if cf == CF.CHUNKS and not self._repair:
                continue  # contents are read one by one
            for _ in self._counting(f"{name} tables", (key for key, _ in readable(self._engine, cf, b"", END, lost))):
                pass
        for each in lost:
            self._report.add(
                "table", str(each), "cannot be read: close the store and salvage it (greenroom verify --repair)"
            )
        if lost:
            self._report.needs_salvage = True
            self._repair = False
