"""Checks a whole store against itself, and repairs it: nothing here trusts one record without its witnesses.

The journals are the truth; what they cannot tell is the content, which its hash proves. The store is looked at while
it is in use. What seems wrong is looked at again in the turn of the one writer, where nothing changes meanwhile, and
repaired in the same turn.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from greenroom.actors.conversation import ARTIFACT, MESSAGE
from greenroom.actors.grants import shared_keys
from greenroom.actors.session import load_state
from greenroom.actors.store import ArtifactStore, Repair
from greenroom.actors.supervisor import Supervisor
from greenroom.storage.artifact_index import ACROSS, artifact_entries
from greenroom.storage.audit import AUDIT, AUDIT_INDEX, audit_entries
from greenroom.storage.catalog import Catalog
from greenroom.storage.content import Contents
from greenroom.storage.engine import CF, Op
from greenroom.storage.errors import ArtifactNotFound, IntegrityError, SchemaTooNew, SessionNotFound
from greenroom.storage.event_index import OF_EVENTS, event_keys
from greenroom.storage.keys import (
    INDEX_CREATED,
    INDEX_CREATOR,
    INDEX_DEADLINE,
    INDEX_METADATA,
    INDEX_PARENT,
    INDEX_SHARED,
    INDEX_TAG,
    INDEX_UPDATED,
    after_prefix,
    sequence_key,
    session_id_of,
)
from greenroom.storage.records import unseal
from greenroom.storage.salvage import Lost, losses, readable, settle_loss
from greenroom.storage.staging import IMPORT, staged_imports, staged_sessions

from .derived import OWNED_INDEXES, Derived, derive, is_session, owned
from .mending import mend, message_contents

__all__ = ["Problem", "Progress", "VerifyReport", "care_for", "verify_store"]

Progress = Callable[[str, int], None]
"""Called with what is being looked at and how many of these have been."""

_CONTENT_REFERENCE: Final = b"c"
_CHUNK_REFERENCE: Final = b"k"
_WHOLE: Final = b"\x00"
_CHUNK: Final = b"\x01"
_QUARANTINE: Final = b"quarantine/"
_BY_TAIL: Final = (INDEX_CREATED, INDEX_UPDATED, INDEX_TAG, INDEX_CREATOR, INDEX_PARENT, INDEX_METADATA, INDEX_DEADLINE)
_DAMAGE: Final = (IntegrityError, SchemaTooNew)
_END: Final = b"\xff" * 96
_TURN_TIMEOUT: Final = 600.0
_ROUNDS: Final = 3
_REPORT_EVERY: Final = 256


@dataclass(frozen=True, slots=True)
class Problem:
    """One damaged or inconsistent thing: its kind, where it is, what is wrong. Never carries content.

    `repaired` says what was done about it; None: nothing.
    """

    kind: str
    where: str
    detail: str
    repaired: str | None = None


@dataclass(slots=True)
class VerifyReport:
    """What `verify` found: how many things of each kind were checked, and every problem.

    `quarantined` lists the content that an earlier repair, or this one, has marked as damaged and nobody has stored
    again since. `needs_salvage`: table files are damaged, so that the store can only be repaired while it is closed.
    `freed_bytes`: stored content that repair has removed because nobody uses it.
    """

    checked: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("sessions", "events", "snapshots", "artifacts", "contents"), 0)
    )
    problems: list[Problem] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    needs_salvage: bool = False
    freed_bytes: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong, or nothing is any more."""
        return all(problem.repaired is not None for problem in self.problems)

    def add(self, kind: str, where: str, detail: str) -> None:
        self.problems.append(Problem(kind, where, detail))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "ok": self.ok,
            "checked": dict(self.checked),
            "problems": [
                {"kind": p.kind, "where": p.where, "detail": p.detail, "repaired": p.repaired} for p in self.problems
            ],
            "quarantined": list(self.quarantined),
            "needs_salvage": self.needs_salvage,
        }


@dataclass(slots=True)
class _Findings:
    """What one look at one thing has found, and the operations that would set it right."""

    problems: list[Problem] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    quarantined: list[str] = field(default_factory=list)

    def count(self, kind: str, number: int = 1) -> None:
        self.checked[kind] = self.checked.get(kind, 0) + number

    def add(self, kind: str, where: str, detail: str, ops: list[Op] | None = None, done: str | None = None) -> None:
        self.problems.append(Problem(kind, where, detail, done if ops else None))
        self.ops += ops or ()


_Look = Callable[[_Findings], None]


def verify_store(
    store: ArtifactStore,
    supervisor: Supervisor | None = None,
    *,
    repair: bool = False,
    on_progress: Progress | None = None,
) -> VerifyReport:
    """Check every session, then every content. The store may be in use meanwhile. With `repair`, set right what
    the rest of the store tells how to, and quarantine what it does not."""
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
    """Look at everything. `hashing`: read all content; `mending`: also repair journals, where something is lost."""
    report = VerifyReport()
    _Round(store, supervisor, report, hashing=hashing, mending=mending, repair=repair, on_progress=on_progress).run()
    return report


class _Round:
    """One round through a store."""

    def __init__(
        self,
        store: ArtifactStore,
        supervisor: Supervisor | None,
        report: VerifyReport,
        *,
        hashing: bool,
        mending: bool,
        repair: bool,
        on_progress: Progress | None,
    ) -> None:
        self._store = store
        self._engine = store.engine
        self._contents: Contents = store.contents
        self._supervisor = supervisor
        self._report = report
        self._hashing = hashing
        self._mending = mending
        self._repair = repair
        self._on_progress = on_progress
        self._lost: list[Lost] = []
        self._message_contents: dict[tuple[bytes, int], bytes] | None = None
        self._writing = False
        self._mended: set[bytes] = set()
        """Sessions whose journal has been made whole in this round."""

    def run(self) -> None:
        self._look_at_tables()
        with contextlib.suppress(IntegrityError):  # the tables of `meta` are damaged, and reported
            self._lost = losses(self._engine)
        for lost in self._lost:
            self._report.add("lost", str(lost), "was unreadable when the store was salvaged")
        for session in self._counting("sessions", self._sessions()):
            self._unit(partial(self._session, session), session)
        for key in self._counting("records of nobody", self._strays()):
            self._unit(partial(self._stray, key))
        for key in self._counting("index entries", self._keys(CF.INDEX)):
            if key[:1] in _BY_TAIL:
                self._unit(partial(self._index_entry, key))
            elif key[:1] in ACROSS:
                self._unit(partial(self._artifact_entry, key))
            elif key[:1] in OF_EVENTS:
                self._unit(partial(self._event_entry, key))
            elif key[:1] == INDEX_SHARED:
                self._unit(partial(self._shared_entry, key))
        for key in self._counting("audit records", self._keys(CF.META, AUDIT)):
            self._unit(partial(self._audit_record, key))
        for key in self._counting("audit entries", self._keys(CF.META, AUDIT_INDEX)):
            self._unit(partial(self._audit_entry, key))
        for key in self._counting("references", self._keys(CF.REFERENCES, _CONTENT_REFERENCE)):
            self._unit(partial(self._reference, key))
        for digest in self._counting("contents", self._keys(CF.CONTENTS)):
            self._unit(partial(self._content, digest))
        self._unit(self._pending)
        with contextlib.suppress(IntegrityError):
            self._blobs()
        for key in self._counting("chunks", self._keys(CF.CHUNKS)):
            self._unit(partial(self._chunk, key))
        if self._repair and self._lost:
            self._store.ask(Repair(lambda: [settle_loss(lost) for lost in self._lost]), _TURN_TIMEOUT)
            problems = self._report.problems
            problems[:] = [replace(p, repaired="conclusions drawn") if p.kind == "lost" else p for p in problems]

    # -- looking, twice where something seems wrong

    def _unit(self, look: _Look, session: bytes | None = None) -> None:
        found = self._look(look)
        if not found.problems:
            self._tally(found)
            return
        for _ in range(_ROUNDS if self._repair else 1):
            # One repair may uncover the next: a journal first, then what is derived from it.
            found = self._in_turn(look, session)
            self._tally(found, final=not (found.ops and self._repair))
            if not (found.ops and self._repair):
                return

    def _look(self, look: _Look) -> _Findings:
        found = _Findings()
        try:
            look(found)
        except _DAMAGE as error:
            found.add("record", "", str(error))
        return found

    def _in_turn(self, look: _Look, session: bytes | None) -> _Findings:
        """Look in the writer's turn, and repair in the same."""
        findings: list[_Findings] = []

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
            # What is in memory is written down first: it may be the only whole copy.
            self._supervisor.while_absent(session_id_of(session), ask)
        else:
            ask()
        return findings[-1]

    def _tally(self, found: _Findings, *, final: bool = True) -> None:
        report = self._report
        for kind, count in found.checked.items() if final else ():
            report.checked[kind] = report.checked.get(kind, 0) + count
        kept = found.problems if self._repair else [replace(each, repaired=None) for each in found.problems]
        report.problems += [each for each in kept if each not in report.problems[-len(kept) - 64 :]]
        report.quarantined += [each for each in found.quarantined if each not in report.quarantined]

    def _counting(self, what: str, things: Iterator[bytes]) -> Iterator[bytes]:
        count = 0
        for thing in things:
            count += 1
            if self._on_progress is not None and count % _REPORT_EVERY == 0:
                self._on_progress(what, count)
            yield thing
        if self._on_progress is not None:
            self._on_progress(what, count)

    # -- finding what there is

    def _look_at_tables(self) -> None:
        """Find what RocksDB itself cannot read. Repair on top of that would take what is unreadable for missing."""
        lost: list[Lost] = []
        for cf, name in enumerate(CF.NAMES):
            if cf == CF.CHUNKS and not self._repair:
                continue  # contents are read one by one
            for _ in self._counting(f"{name} tables", (key for key, _ in readable(self._engine, cf, b"", _END, lost))):
                pass
        for each in lost:
            self._report.add(
                "table", str(each), "cannot be read: close the store and salvage it (greenroom verify --repair)"
            )
        if lost:
            self._report.needs_salvage = True
            self._repair = False

    def _keys(self, cf: int, prefix: bytes = b"") -> Iterator[bytes]:
        end = after_prefix(prefix) if prefix else _END
        return (key for key, _ in readable(self._engine, cf, prefix, end, []))

    def _first_keys(self, cf: int, prefix: bytes = b"") -> Iterator[bytes]:
        """One key of each session that has any in a family: one seek each."""
        position, end = prefix, after_prefix(prefix) if prefix else _END
        start = len(prefix)
        while True:
            try:
                keys = self._engine.keys(cf, position, end, limit=1)
            except IntegrityError:
                keys = [key for key, _ in itertools.islice(readable(self._engine, cf, position, end, []), 1)]
            if not keys:
                return
            yield keys[0]
            position = keys[0][: start + 16] + b"\xff" * 96

    def _sessions(self) -> Iterator[bytes]:
        """Every session and scope that has a journal, and every other that has a row or a snapshot."""
        for key in self._first_keys(CF.JOURNAL):
            yield key[:16]
        for cf in (CF.SESSIONS, CF.SNAPSHOTS):
            for key in self._first_keys(cf):
                if not self._has(CF.JOURNAL, key[:16]):
                    yield key[:16]

    def _strays(self) -> Iterator[bytes]:
        """One key of each session that has records, but no journal, row or snapshot: family and key."""
        places = [(CF.ARTIFACTS, b""), *((CF.INDEX, kind) for kind in OWNED_INDEXES)]
        for cf, prefix in places:
            for key in self._first_keys(cf, prefix):
                if not self._exists(key[len(prefix) :][:16]):
                    yield bytes([cf, len(prefix)]) + key

    def _exists(self, session: bytes) -> bool:
        return any(self._has(cf, session) for cf in (CF.JOURNAL, CF.SESSIONS, CF.SNAPSHOTS))

    def _has(self, cf: int, prefix: bytes) -> bool:
        """Whether there are keys with this prefix; what cannot be read is there."""
        try:
            return bool(self._engine.keys(cf, prefix, after_prefix(prefix), limit=1))
        except IntegrityError:
            return True

    # -- sessions

    def _session(self, session: bytes, found: _Findings) -> None:
        session_id = session_id_of(session)
        try:
            derived = derive(self._store, session)
        except SchemaTooNew as error:
            found.add("event", session_id, str(error))
            return
        except IntegrityError as error:
            if self._exists(session):  # else it has been deleted since
                self._damaged_journal(session, error, found)
            return
        if not any(lost.cf == CF.JOURNAL for lost in self._lost) or not self._tail_lost(session, derived):
            self._compare(session, derived, found)
        elif self._mending:
            self._damaged_journal(session, IntegrityError("events may be missing at its end"), found)

    def _tail_lost(self, session: bytes, derived: Derived) -> bool:
        return self._may_go_on(sequence_key(session, derived.state.sequence + 1))

    def _may_go_on(self, following: bytes) -> bool:
        """Whether the event after the last one of a journal may be among what salvage has lost."""
        return following[:16] not in self._mended and any(
            lost.cf == CF.JOURNAL and lost.covers(following) for lost in self._lost
        )

    def _damaged_journal(self, session: bytes, error: IntegrityError, found: _Findings) -> None:
        session_id = session_id_of(session)
        if not self._mending or not self._repair:
            found.add("event", session_id, str(error))
            return
        if self._message_contents is None:
            self._message_contents = message_contents(self._store)
        last = self._engine.last(CF.JOURNAL, session)
        following = sequence_key(session, int.from_bytes(last[0][16:], "big") + 1 if last is not None else 1)
        tail_lost = self._may_go_on(following)
        try:
            mended = mend(self._store, session, tail_lost=tail_lost, contents=self._message_contents)
        except _DAMAGE as hopeless:
            found.add("event", session_id, f"{error}; cannot be repaired: {hopeless}")
            return
        done = []
        if mended.restored:
            done.append(f"restored {_numbers(mended.restored)}")
        if mended.lost:
            done.append(f"lost {_numbers(mended.lost)}")
        if mended.doubtful:
            done.append("variables not set since raise IntegrityError until they are set, or accept_losses()")
        if mended.quarantined:
            done.append(f"{len(mended.quarantined)} damaged records kept in quarantine")
        ops = mended.ops + [_quarantine(cf, key, record) for cf, key, record in mended.quarantined]
        found.add("event", session_id, str(error), ops, "; ".join(done))
        if self._writing:
            self._mended.add(session)

    def _compare(self, session: bytes, derived: Derived, found: _Findings) -> None:
        state = derived.state
        session_id = state.id
        found.count("sessions")
        found.count("events", derived.events)
        found.count("snapshots", derived.snapshots)
        missing = is_session(session) and self._engine.get(CF.SESSIONS, session) is None
        if missing and session in staged_sessions(self._engine):
            return  # an import is writing it
        there = owned(self._store, session)
        artifacts = 0
        for (cf, key), value in derived.entries.items():
            artifacts += cf == CF.ARTIFACTS
            actual = there.pop((cf, key), None)
            if actual is None:
                actual = self._engine.get(cf, key)
            if actual != value:
                self._differs(session_id, cf, key, value, actual, found)
        found.count("artifacts", artifacts)
        for (cf, key), value in there.items():
            if not value and (cf, key) in derived.optional:
                continue
            what = "an artifact record" if cf == CF.ARTIFACTS else f"an index entry of kind {_kind(key)}"
            keep = [_quarantine(cf, key, value)] if cf == CF.ARTIFACTS else []
            found.add(
                _PROBLEM_KINDS[cf],
                session_id,
                f"has {what} that its journal does not know",
                [*keep, (cf, key, None)],
                "removed",
            )
        self._snapshots(session, derived, found)
        if artifacts != state.artifact_count and not derived.unknown:
            found.add("session", session_id, f"counts {state.artifact_count} artifacts and has {artifacts}")
        for digest, sizes in derived.contents.items():
            self._held_content(digest, sizes, found)

    def _differs(
        self, session_id: str, cf: int, key: bytes, value: bytes, actual: bytes | None, found: _Findings
    ) -> None:
        ops: list[Op] = [(cf, key, value)]
        what = {
            CF.SESSIONS: "its catalog row",
            CF.ARTIFACTS: f"its artifact {int.from_bytes(key[16:24], 'big')}",
            CF.REFERENCES: f"its reference to content {key[1:33].hex()}",
        }.get(cf, f"its index entry of kind {_kind(key)}")
        if actual is None:
            found.add(_PROBLEM_KINDS[cf], session_id, f"{what} is missing", ops, "written anew")
            return
        if cf in (CF.SESSIONS, CF.ARTIFACTS):
            try:
                # An older version of the same facts is not damage.
                if unseal(key, actual) == unseal(key, value):
                    return
            except _DAMAGE as error:
                keep = _quarantine(cf, key, actual)
                found.add(_PROBLEM_KINDS[cf], session_id, f"{what}: {error}", [keep, *ops], "written anew")
                return
        found.add(_PROBLEM_KINDS[cf], session_id, f"{what} is not what its journal says", ops, "written anew")

    def _snapshots(self, session: bytes, derived: Derived, found: _Findings) -> None:
        valid = {sequence for sequence, _, _ in self._store.journal.snapshots(session)}
        for key, record in self._engine.scan(CF.SNAPSHOTS, sequence_key(session, 1), after_prefix(session)):
            sequence = int.from_bytes(key[16:], "big")
            if sequence not in valid:
                detail = "is damaged; it is skipped when the session is activated"
            elif sequence in derived.differing:
                detail = "differs from the replayed journal"
            else:
                continue
            where = f"{derived.state.id}/{sequence}"
            ops: list[Op] = [_quarantine(CF.SNAPSHOTS, key, record), (CF.SNAPSHOTS, key, None)]
            found.add("snapshot", where, detail, ops, "moved to quarantine; the journal has what it said")

    def _held_content(self, digest: bytes, sizes: tuple[int, int] | None, found: _Findings) -> None:
        """Content that a session refers to must have a record; a readable one is checked with the contents."""
        try:
            if self._contents.record(digest) is not None:
                return
            detail = "is referenced and missing"
        except _DAMAGE as error:
            detail = str(error)
        self._restore_content(digest, sizes, detail, found)

    def _restore_content(self, digest: bytes, sizes: tuple[int, int] | None, detail: str, found: _Findings) -> None:
        restored = self._contents.recovered(digest, sizes[0] if sizes is not None else None)
        if restored is not None:
            found.add("content", digest.hex(), detail, [restored], "its record is written anew")
            return
        size, stored_size = sizes or (0, 0)
        ops = [Contents.mark_damaged(digest, size, stored_size, None)]
        found.add("content", digest.hex(), detail, ops, _MARKED)

    # -- records and index entries

    def _stray(self, place: bytes, found: _Findings) -> None:
        cf, skip, key = place[0], place[1], place[2:]
        session = key[skip : skip + 16]
        if self._exists(session) or session in staged_sessions(self._engine):
            return
        prefix = key[: skip + 16]
        ops: list[Op] = []
        for each, value in self._engine.pages(cf, prefix, after_prefix(prefix)):
            if cf == CF.ARTIFACTS:
                ops.append(_quarantine(cf, each, value))
            ops.append((cf, each, None))
        if ops:
            detail = "has artifact records" if cf == CF.ARTIFACTS else f"has index entries of kind {_kind(key)}"
            found.add(_PROBLEM_KINDS[cf], session_id_of(session), f"{detail} and no journal", ops, "removed")

    def _index_entry(self, key: bytes, found: _Findings) -> None:
        session = key[-16:]
        try:
            row = self._store.catalog.row(session)
            last = self._store.journal.last(session)
        except _DAMAGE:
            return  # reported with the session
        if row is not None and last is not None and key in Catalog.index_keys(session, row, last[1][1]):
            return
        if row is None and session in staged_sessions(self._engine):
            return
        if self._engine.get(CF.INDEX, key) is None:
            return
        detail = f"has an index entry of kind {_kind(key)} that does not fit its row"
        found.add("index", session_id_of(session), detail, [(CF.INDEX, key, None)], "removed")

    def _artifact_entry(self, key: bytes, found: _Findings) -> None:
        """An entry that finds an artifact across sessions: it ends in session and number."""
        session, number = key[-24:-8], int.from_bytes(key[-8:], "big")
        try:
            record = self._store.artifacts.record(session, number)
        except _DAMAGE:
            return  # reported with the session
        if record is not None and key in artifact_entries(session, number, record):
            return
        if self._engine.get(CF.INDEX, key) is None:
            return
        detail = f"has an index entry of kind {_kind(key)} for artifact {number} that does not fit it"
        found.add("index", session_id_of(session), detail, [(CF.INDEX, key, None)], "removed")

    def _shared_entry(self, key: bytes, found: _Findings) -> None:
        """An entry from a grantee to what is shared with it: its owner must say so."""
        owner = key[17:33]
        try:
            state = load_state(self._store, session_id_of(owner))[0]
        except SessionNotFound:
            state = None
        except _DAMAGE:
            return  # reported with the session
        if state is not None and key in shared_keys(state):
            return
        if self._engine.get(CF.INDEX, key) is None:
            return
        detail = f"has an index entry of kind {_kind(key)} for what it does not share"
        found.add("index", session_id_of(owner), detail, [(CF.INDEX, key, None)], "removed")

    def _audit_record(self, key: bytes, found: _Findings) -> None:
        stored = self._engine.get(CF.META, key)
        if stored is None:
            return  # too old since
        place = key[-8:]
        try:
            entries = audit_entries(unseal(key, stored, "an audit record"), place)
        except IntegrityError as error:
            ops = [_quarantine(CF.META, key, stored), (CF.META, key, None)]
            found.add("audit", str(int.from_bytes(place, "big")), str(error), ops, "moved to quarantine")
            return
        missing: list[Op] = [(CF.META, each, b"") for each in entries if self._engine.get(CF.META, each) is None]
        if missing:
            found.add("audit", str(int.from_bytes(place, "big")), "is not in its index", missing, "written anew")

    def _audit_entry(self, key: bytes, found: _Findings) -> None:
        record_key = AUDIT + key[-8:]
        stored = self._engine.get(CF.META, record_key)
        try:
            if stored is not None and key in audit_entries(unseal(record_key, stored, "an audit record"), key[-8:]):
                return
        except _DAMAGE:
            return  # reported with the record
        if self._engine.get(CF.META, key) is not None:
            place = str(int.from_bytes(key[-8:], "big"))
            found.add("audit", place, "its index has an entry that does not fit it", [(CF.META, key, None)], "removed")

    def _event_entry(self, key: bytes, found: _Findings) -> None:
        """An entry that finds an event: it ends in session and sequence."""
        session, sequence = key[-24:-8], int.from_bytes(key[-8:], "big")
        record = self._engine.get(CF.JOURNAL, key[-24:])
        try:
            if record is not None and key in event_keys(session, sequence, unseal(key[-24:], record)):
                return
        except _DAMAGE:
            return  # reported with the session
        if self._engine.get(CF.INDEX, key) is None:
            return
        detail = f"has an index entry of kind {_kind(key)} for event {sequence} that does not fit it"
        found.add("index", session_id_of(session), detail, [(CF.INDEX, key, None)], "removed")

    def _reference(self, key: bytes, found: _Findings) -> None:
        digest, session, kind = key[1:33], key[33:49], key[49:50]
        sequence = int.from_bytes(key[50:58], "big")
        try:
            if kind == IMPORT:
                held = session in staged_imports(self._engine)
            elif kind == ARTIFACT:
                record = self._store.artifacts.record(session, sequence)
                held = record is not None and record[0] == digest
            elif kind == MESSAGE:
                stored = self._engine.get(CF.JOURNAL, sequence_key(session, sequence))
                held = (
                    stored is not None
                    and unseal(sequence_key(session, sequence), stored)[2].get("content_hash") == digest
                )
            else:
                return
        except _DAMAGE:
            return  # reported as such
        if not held and self._engine.get(CF.REFERENCES, key) is not None:
            detail = f"is held by {session_id_of(session)}, which does not refer to it"
            found.add("reference", digest.hex(), detail, [(CF.REFERENCES, key, None)], "released")

    # -- contents

    def _content(self, digest: bytes, found: _Findings) -> None:
        held = bool(
            self._engine.keys(
                CF.REFERENCES, _CONTENT_REFERENCE + digest, after_prefix(_CONTENT_REFERENCE + digest), limit=1
            )
        )
        stored = self._engine.get(CF.CONTENTS, digest)
        if stored is None:
            return
        if not held:
            found.add("content", digest.hex(), "nobody refers to it", self._contents.drop_ops(digest), "removed")
            return
        try:
            size, stored_size, blob, *marked = unseal(digest, stored)
        except SchemaTooNew as error:
            found.add("content", digest.hex(), str(error))
            return
        except IntegrityError:
            self._restore_content(digest, None, "its record is damaged", found)
            return
        if blob is not None:
            wrong = self._contents.wrong_chunk_references(blob, sizes=self._hashing, discredited=bool(marked))
            if wrong:
                detail = f"{len(wrong)} of its references to chunks are missing or wrong"
                found.add("reference", digest.hex(), detail, wrong, "written anew")
        if not self._hashing:
            return
        found.count("contents")
        try:
            self._contents.check(digest)
        except ArtifactNotFound:
            return  # deleted since
        except _DAMAGE as error:
            if marked:
                found.quarantined.append(digest.hex())
                return
            ops: list[Op] = [Contents.mark_damaged(digest, size, stored_size, blob)]
            if blob is not None:
                ops += self._contents.discredit_ops(blob)
            found.add("content", digest.hex(), str(error), ops, _MARKED)
            if self._repair:
                found.quarantined.append(digest.hex())
            return
        if marked and self._repair:
            ops = [self._contents.record_op(digest, size, stored_size, blob)]
            found.add("content", digest.hex(), "is marked as damaged and is whole", ops, "the mark is removed")

    def _pending(self, found: _Findings) -> None:
        for blob in self._contents.pending_blobs():
            if self._engine.read_only or blob in self._store.writing:
                continue
            found.add("blob", blob.hex(), "its writing was given up", self._contents.abort_blob_ops(blob), "removed")

    def _blobs(self) -> None:
        """Manifests and references to chunks must be of blobs that a content names, or that are being written."""
        owned_blobs = {blob for _, _, _, blob in self._known()} | set(self._contents.pending_blobs())
        suspects = {key[:16] for key in self._first_keys(CF.MANIFESTS)} - owned_blobs
        for key in self._counting("chunk references", self._keys(CF.REFERENCES, _CHUNK_REFERENCE)):
            if key[33:49] not in owned_blobs:
                suspects.add(key[33:49])
        if suspects:
            self._unit(partial(self._stray_blobs, suspects))

    def _known(self) -> Iterator[tuple[bytes, int, int, bytes | None]]:
        for digest, stored in readable(self._engine, CF.CONTENTS, b"", _END, []):
            try:
                size, stored_size, blob, *_ = unseal(digest, stored)
            except _DAMAGE:
                continue
            yield digest, size, stored_size, blob

    def _stray_blobs(self, suspects: set[bytes], found: _Findings) -> None:
        if any(
            self._engine.get(CF.CONTENTS, digest) is not None and self._unreadable(digest)
            for digest in self._keys(CF.CONTENTS)
        ):
            return  # one of them may belong to a content whose record is damaged
        stray = suspects - {blob for _, _, _, blob in self._known()} - set(self._contents.pending_blobs())
        ops = self._contents.drop_blobs_ops(stray)
        there = {key for _, key, _ in ops}
        for key in self._keys(CF.REFERENCES, _CHUNK_REFERENCE):
            if key[33:49] in stray and key not in there:
                ops.append((CF.REFERENCES, key, None))
        for blob in sorted(stray):
            mine = [op for op in ops if blob in (op[1][:16], op[1][33:49])]
            if mine:
                found.add("blob", blob.hex(), "is of no content", mine, "removed")
        found.ops = ops

    def _unreadable(self, digest: bytes) -> bool:
        try:
            self._contents.record(digest)
        except _DAMAGE:
            return True
        return False

    def _chunk(self, key: bytes, found: _Findings) -> None:
        if key[:1] == _WHOLE:
            try:
                record = self._contents.record(key[1:])
            except _DAMAGE:
                return
            stray = record is None or record[2] is not None
        else:
            prefix = _CHUNK_REFERENCE + key[1:]
            stray = not self._engine.keys(CF.REFERENCES, prefix, after_prefix(prefix), limit=1)
        if stray and self._engine.keys(CF.CHUNKS, key, key + b"\0", limit=1):
            found.add("chunk", key[1:].hex(), "is of no content", [(CF.CHUNKS, key, None)], "removed")


_PROBLEM_KINDS: Final = {
    CF.SESSIONS: "session",
    CF.ARTIFACTS: "artifact",
    CF.INDEX: "index",
    CF.REFERENCES: "reference",
}
_MARKED: Final = (
    "marked as damaged: who refers to it stays listed, reading it raises IntegrityError, storing it again heals all"
)


def _kind(key: bytes) -> str:
    return repr(key[:1].decode("latin-1"))


def _quarantine(cf: int, key: bytes, record: bytes) -> Op:
    """The operation that keeps a damaged record where nothing reads it: docs/format.md."""
    return CF.META, _QUARANTINE + bytes([cf]) + key, record


def _numbers(sequences: list[int]) -> str:
    shown = ", ".join(map(str, sequences[:8])) + (", …" if len(sequences) > 8 else "")
    return f"event{'s' if len(sequences) != 1 else ''} {shown}"
