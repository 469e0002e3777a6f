"""Checks a whole store against itself: nothing here trusts one record without its witnesses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from greenroom.actors.conversation import ARTIFACT, MESSAGE
from greenroom.actors.state import SessionState, evolve
from greenroom.actors.store import ArtifactStore
from greenroom.storage.catalog import Catalog
from greenroom.storage.content import Reference
from greenroom.storage.engine import CF
from greenroom.storage.errors import ArtifactNotFound, IntegrityError, SchemaTooNew
from greenroom.storage.keys import session_id_of

__all__ = ["Problem", "VerifyReport", "verify_store"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One damaged or inconsistent thing: its kind, where it is, what is wrong. Never carries content."""

    kind: str
    where: str
    detail: str


@dataclass(slots=True)
class VerifyReport:
    """What `verify` found: how many things of each kind were checked, and every problem."""

    checked: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("sessions", "events", "snapshots", "artifacts", "contents"), 0)
    )
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def add(self, kind: str, where: str, detail: str) -> None:
        self.problems.append(Problem(kind, where, detail))


_TRIES: Final = 5


def verify_store(store: ArtifactStore) -> VerifyReport:
    """Check every session, then every content. The store may be in use meanwhile."""
    report = VerifyReport()
    for session in _journaled(store):
        _settled(report, partial(_verify_session, store, session), partial(_head, store, session))
    for session in store.catalog.sessions():
        _settled(report, partial(_verify_journaled, store, session), partial(_head, store, session))
    for digest, _ in store.engine.pages(CF.CONTENTS, b"", b"\xff" * 33):
        _settled(report, partial(_verify_content, store, digest), partial(_holders, store, digest))
    return report


def _settled(report: VerifyReport, check: Callable[[VerifyReport], None], version: Callable[[], object]) -> None:
    """Add what `check` finds, looking again while the thing it looks at changes under its eyes."""
    for _ in range(_TRIES):
        part = VerifyReport()
        before = version()
        try:
            check(part)
        except (IntegrityError, SchemaTooNew) as error:
            part.add("record", "", str(error))
        if part.ok:
            break
        again = VerifyReport()
        try:
            check(again)
        except (IntegrityError, SchemaTooNew) as error:
            again.add("record", "", str(error))
        if before == version() and again.problems == part.problems:
            break
    for kind, count in part.checked.items():
        report.checked[kind] += count
    report.problems += part.problems


def _head(store: ArtifactStore, session: bytes) -> object:
    return store.engine.last(CF.JOURNAL, session)


def _holders(store: ArtifactStore, digest: bytes) -> object:
    return store.engine.get(CF.CONTENTS, digest), list(store.contents.references(digest))


def _journaled(store: ArtifactStore) -> Iterator[bytes]:
    """Every session and scope that has a journal: one seek each."""
    position = b""
    while found := store.engine.scan(CF.JOURNAL, position, b"\xff" * 25, limit=1):
        session = found[0][0][:16]
        yield session
        position = session + b"\xff" * 9


def _verify_journaled(store: ArtifactStore, session: bytes, report: VerifyReport) -> None:
    if store.journal.is_empty(session) and store.engine.get(CF.SESSIONS, session) is not None:
        report.add("session", session_id_of(session), "has a catalog row and no journal")


def _verify_session(store: ArtifactStore, session: bytes, report: VerifyReport) -> None:
    session_id = session_id_of(session)
    report.checked["sessions"] += 1
    state = SessionState(session_id)
    artifacts: dict[int, bytes] = {}
    size = 0
    messages: list[tuple[int, bytes]] = []
    snapshots = {sequence: data for sequence, data, _ in store.journal.snapshots(session)}
    try:
        for sequence, stored in store.journal.read(session):
            evolve(state, sequence, stored)
            report.checked["events"] += 1
            data = stored[2]
            if stored[0] == "artifact.stored":
                artifacts[data["sequence"]] = data["content_hash"]
                size += data["size"]
            elif stored[0] == "artifact.deleted":
                artifacts.pop(data["sequence"], None)
            elif stored[0] == "message.added" and "content_hash" in data:
                messages.append((sequence, data["content_hash"]))
            # The same fold gives the same state: what a snapshot says must be what replaying says.
            snapshot = snapshots.pop(sequence, None)
            if snapshot is not None:
                report.checked["snapshots"] += 1
                if snapshot != state.encode():
                    report.add("snapshot", f"{session_id}/{sequence}", "differs from the replayed journal")
    except (IntegrityError, SchemaTooNew) as error:
        report.add("event", session_id, str(error))
        return
    for sequence in snapshots:
        report.add("snapshot", f"{session_id}/{sequence}", "is of a sequence that the journal does not have")
    stored_snapshots = len(store.engine.scan(CF.SNAPSHOTS, session, session + b"\xff" * 9))
    if stored_snapshots != sum(1 for _ in store.journal.snapshots(session)):
        report.add("snapshot", session_id, "a snapshot is damaged; it is skipped when the session is activated")
    if session[6] >> 4 == 4:
        _verify_row(store, session, state, report)
    _verify_artifacts(store, session, state, artifacts, report)
    for sequence, digest in messages:
        _verify_reference(store, digest, session, MESSAGE, sequence, report)


def _verify_row(store: ArtifactStore, session: bytes, state: SessionState, report: VerifyReport) -> None:
    try:
        row = store.catalog.row(session)
    except (IntegrityError, SchemaTooNew) as error:
        report.add("session", state.id, str(error))
        return
    if row is None or list(row) != list(state.row()):
        report.add("session", state.id, "its catalog row differs from its journal")
        return
    for key in Catalog.index_keys(session, row, state.updated_at):
        if store.engine.get(CF.INDEX, key) is None:
            report.add("index", state.id, f"lacks its entry of kind {key[:1].decode()!r}")


def _verify_artifacts(
    store: ArtifactStore,
    session: bytes,
    state: SessionState,
    expected: dict[int, bytes],
    report: VerifyReport,
) -> None:
    found: dict[int, int] = {}
    for sequence, digest in expected.items():
        report.checked["artifacts"] += 1
        where = f"{state.id} artifact {sequence}"
        try:
            record = store.artifacts.record(session, sequence)
        except (IntegrityError, SchemaTooNew) as error:
            report.add("artifact", where, str(error))
            continue
        if record is None or record[0] != digest:
            report.add("artifact", where, "its record is missing or is not what the journal says")
            continue
        found[sequence] = record[6]
        _verify_reference(store, digest, session, ARTIFACT, sequence, report)
    if len(found) == len(expected) and (
        state.artifact_count != len(found) or state.artifact_bytes != sum(found.values())
    ):
        report.add("session", state.id, "the artifact totals are wrong")


def _verify_reference(
    store: ArtifactStore, digest: bytes, session: bytes, kind: bytes, sequence: int, report: VerifyReport
) -> None:
    if store.engine.get(CF.REFERENCES, Reference(session, kind, sequence).key(digest)) is None:
        report.add("reference", f"{session_id_of(session)} {sequence}", f"no reference to content {digest.hex()}")
    try:
        if store.contents.record(digest) is None:
            report.add("content", digest.hex(), "is referenced and missing")
    except (IntegrityError, SchemaTooNew):
        pass  # reported with the contents


def _verify_content(store: ArtifactStore, digest: bytes, report: VerifyReport) -> None:
    report.checked["contents"] += 1
    try:
        store.contents.check(digest)
    except (IntegrityError, SchemaTooNew) as error:
        report.add("content", digest.hex(), str(error))
    except ArtifactNotFound:
        if store.engine.get(CF.CONTENTS, digest) is not None:
            report.add("content", digest.hex(), "nobody refers to it")
        return
    holders = 0
    for reference in store.contents.references(digest):
        holders += 1
        if not _holds(store, digest, reference.session, reference.kind, reference.sequence):
            report.add("reference", digest.hex(), f"held by {session_id_of(reference.session)}, which does not")
    if not holders:
        report.add("content", digest.hex(), "nobody refers to it")


def _holds(store: ArtifactStore, digest: bytes, session: bytes, kind: bytes, sequence: int) -> bool:
    try:
        if kind == ARTIFACT:
            record = store.artifacts.record(session, sequence)
            return record is not None and record[0] == digest
        return store.journal.event(session, sequence).data.get("content_hash") == digest.hex()
    except (IntegrityError, SchemaTooNew):
        return True  # it is damaged, and reported as such
