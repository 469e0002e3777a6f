"""Stage sessions: write them ahead where nobody sees them, and publish them in one batch. Imports and forks use this.

Content, journals and artifact records are written under a pending marker (`storage.staging`). The batch that adds the
sessions to the catalog also changes the marker, so that a reader sees all of the sessions or none, and so does the next
opening after a crash.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.scheduling.operation import require_run
from greenroom.actors.session.projection import (
    Change,
    FoldedArtifacts,
    add_record,
    brought_by,
    owned_prefixes,
    record_references,
    state_entries,
)
from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.session.state.records import kept
from greenroom.actors.store import Append, ArtifactStore, Repair
from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.catalog.creators import Charge
from greenroom.storage.codec.keys import after_prefix
from greenroom.storage.common.logs import logger_of
from greenroom.storage.content import staging
from greenroom.storage.content.chunks import Encoded, Reference
from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.errors import GreenroomError, IntegrityError, SchemaTooNew, ValidationError
from greenroom.storage.events.index import LINKED
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.snapshots import SnapshotTrail
from greenroom.storage.records.model import StoredRecord
from greenroom.storage.records.records import RECORD_ENTRY

if TYPE_CHECKING:
    from greenroom.actors.session.services import SessionServices

__all__ = ["StagedSessions", "recover_staged", "with_new_ids"]

logger = logger_of("staged")

_BATCH_OPS: Final = 1024
_BATCH_BYTES: Final = 1 << 20
_PAGE: Final = 256


class StagedSessions:
    """Whole sessions on their way into the store, with ids that nobody else can use meanwhile."""

    def __init__(self, services: SessionServices, sessions: list[bytes]) -> None:
        self._services = services
        self._store = services.store
        self._sessions = sessions
        self._id = os.urandom(16)
        self._store.staging[self._id] = self
        self._marked = False
        self._held = 0
        self._trails: dict[bytes, SnapshotTrail] = {}
        self._ops: list[Op] = []
        self._bytes = 0

    # -- content: held under the mark until the sessions hold it

    def add(self, content: Encoded) -> None:
        """Hold a prepared content, and add it to the store if it is not there.

        Raises ContentGone, as storing known content does, and ResourceLimitExceeded.
        """
        note, reference = staging.hold(self._id, self._held, content.hash)
        self._commit([note], contents=((content, reference),))
        self._held += 1

    def hold(self, digests: Iterable[bytes]) -> set[bytes]:
        """Hold content that is in the store, so that it stays there. Return the hashes of content that is not there
        (any more)."""
        missing: set[bytes] = set()
        engine = self._store.engine
        wanted = list(digests)
        for at in range(0, len(wanted), _PAGE):
            page = wanted[at : at + _PAGE]

            def look(page: list[bytes] = page) -> list[Op]:
                ops = self._mark_ops()
                for digest in page:
                    if engine.get(CF.CONTENTS, digest) is None:
                        missing.add(digest)
                        continue
                    note, reference = staging.hold(self._id, self._held, digest)
                    ops += [note, (CF.REFERENCES, reference.key(digest), b"")]
                    self._held += 1
                return ops

            self._store.ask(Repair(look), ArtifactStore.WRITE_TIMEOUT)
            self._marked = True
        return missing

    # -- journals

    def event(self, state: SessionState, stored: StoredEvent, artifacts: FoldedArtifacts) -> None:
        """Write the next event of a session, with what follows from it, and evolve the state."""
        trail = self._trails.get(state.session)
        if trail is None:
            trail = self._trails[state.session] = SnapshotTrail(state.sequence)
        sequence = state.sequence + 1
        trail.bytes += self.kept(state.session, sequence, stored, artifacts)
        trail.events += 1
        evolve(state, sequence, stored)
        if trail.bytes > trail.due:
            self._snapshot(trail, state)

    def base(self, session: bytes, sequence: int, state: bytes) -> None:
        """Begin a session with the base of a truncated journal."""
        self._write(Journal.rebase(session, sequence, state))

    def kept(self, session: bytes, sequence: int, stored: StoredEvent, artifacts: FoldedArtifacts) -> int:
        """Write an event that a truncation has kept: its changes to the state are in the base. Return the bytes of its
        record."""
        event = Journal.append(session, sequence, stored)
        self._write(event)
        for op in artifacts.project(sequence, stored).written():
            self._write(op)
        return len(event[2] or b"")

    def record(self, session: bytes, key: bytes, record: StoredRecord) -> None:
        """Write the entry of a record, and the reference to its content, which is held already."""
        change = Change()
        add_record(change, session, key, record)
        for op in change.written():
            self._write(op)

    def finish(self, state: SessionState) -> None:
        """Write a snapshot if folding the journal, which is complete now, would take long."""
        trail = self._trails.pop(state.session)
        if trail.events > self._services.snapshot_every:
            self._snapshot(trail, state)

    def _snapshot(self, trail: SnapshotTrail, state: SessionState) -> None:
        for op in trail.write(self._store.journal, state.session, state.sequence, state.encode()):
            self._write(op)

    def flush(self) -> None:
        """Write what was staged so far, so that it can be looked up."""
        ops, self._ops, self._bytes = self._ops, [], 0
        self._commit(ops)

    def decided(self, append: Append) -> int:
        """Write what a session that is staged has decided itself, and return the commit number."""
        also = Append(self._mark_ops() + append.ops, contents=append.contents, released=append.released)
        number = self._store.commit(also, self._services.store_timeout)
        self._marked = True
        return number

    def _write(self, op: Op) -> None:
        self._ops.append(op)
        self._bytes += len(op[2] or b"")
        if len(self._ops) >= _BATCH_OPS or self._bytes >= _BATCH_BYTES:
            self.flush()

    def _commit(self, ops: list[Op], contents: tuple[tuple[Encoded, Reference], ...] = ()) -> None:
        append = Append(self._mark_ops() + ops, contents=contents)
        append.refers = True
        self._store.commit(append, self._services.store_timeout)
        self._marked = True

    def _mark_ops(self) -> list[Op]:
        return [] if self._marked else [staging.mark(self._id, staging.STAGING, self._sessions)]

    # -- the end, one or the other

    def publish(self, states: list[SessionState], write: Callable[[Append], object] | None = None) -> None:
        """Publish the sessions: write what is left, the rows, the index entries and the changed marker in one batch.
        `write` writes it in place of the store, together with something else."""
        require_run()
        ops, self._ops = self._ops, []
        if self._marked:
            ops.append(staging.mark(self._id, staging.PUBLISHED, self._sessions))
        for state in states:
            ops += state_entries(state)
        append = Append(ops, tuple((None, each.status) for each in states))
        append.refers = True
        append.charges = tuple(
            Charge(each.created_by, 1, each.artifact_bytes + kept(each).bytes)
            for each in states
            if each.created_by is not None
        )
        if write is not None:
            write(append)
        else:
            self._store.commit(append, self._services.store_timeout)
        # From here on the sessions exist. The next opening would do the rest as well.
        if self._marked:
            try:
                _tidy(self._store, self._id, self._services.store_timeout)
            except GreenroomError as error:
                logger.warning("the marks of new sessions stay until the next opening: %s", error)
        self._store.await_synced(self._services.store_timeout)

    def undo(self) -> None:
        """Remove what was written ahead. If even this fails (a full disk), the next opening does it."""
        try:
            # After this, writes that have timed out have been made or never will be.
            self._store.commit(Append([]), self._services.store_timeout)
            for mark_id, phase, sessions in list(staging.marks(self._store.engine)):
                if mark_id == self._id and phase == staging.STAGING:
                    _drop(self._store, mark_id, sessions, self._services.store_timeout)
        except GreenroomError as error:
            logger.warning("content written ahead stays until the next opening: %s", error)


def with_new_ids(stored: StoredEvent, ids: Mapping[str, str]) -> StoredEvent:
    """Return the event, changed in place, with new ids where it names events and artifacts of these sessions."""
    data = stored.data
    if stored.type == "artifact.stored" and data["parent_artifact"] is not None:
        with contextlib.suppress(ValidationError):  # it may be a name
            artifact = ArtifactId.parse(data["parent_artifact"])
            owner = ids.get(artifact.session_id, artifact.session_id)
            data["parent_artifact"] = str(ArtifactId(artifact.content_hash, owner, artifact.sequence))
    elif stored.type == LINKED:
        for name in ("from", "to"):
            data[name] = ids.get(data[name][:36], data[name][:36]) + data[name][36:]
    if stored.context is not None:
        for name in ("correlation_id", "causation_id", "root_id"):
            value = stored.context.get(name)
            if value is not None and value[:36] in ids and value[36:37] in ("", "/"):
                stored.context[name] = ids[value[:36]] + value[36:]
    return stored


def recover_staged(store: ArtifactStore) -> int:
    """Finish what interrupted imports and forks have left: remove what was never published, clean up after what was.
    Return how many there were."""
    left = {mark_id for mark_id, _, _ in staging.marks(store.engine) if mark_id not in store.staging}
    if not left:
        return 0
    # Nobody continues these. After this commit, what they have sent to the writer is written or never will be. They are
    # read only now, since one of them may have ended meanwhile.
    store.commit(Append([]), ArtifactStore.WRITE_TIMEOUT)
    found = [entry for entry in staging.marks(store.engine) if entry[0] in left]
    for mark_id, phase, sessions in found:
        if phase == staging.STAGING:
            _drop(store, mark_id, sessions, ArtifactStore.WRITE_TIMEOUT)
        else:
            _tidy(store, mark_id, ArtifactStore.WRITE_TIMEOUT)
    return len(found)


def _tidy(store: ArtifactStore, mark_id: bytes, timeout: float) -> None:
    """Release the content that is held under a marker, then remove the marker."""
    while True:
        held = list(_first(staging.held_contents(store.engine, mark_id), _PAGE))
        ops = [staging.unhold(mark_id, number) for number, _ in held]
        if len(held) < _PAGE:
            ops.append(staging.unmark(mark_id))
        released = tuple((digest, Reference(mark_id, staging.IMPORT, number)) for number, digest in held)
        store.commit(Append(ops, released=released), timeout)
        if len(held) < _PAGE:
            return


def _drop(store: ArtifactStore, mark_id: bytes, sessions: list[bytes], timeout: float) -> None:
    """Remove what was written ahead. Can be interrupted and begun again at any point."""
    for session in sessions:
        for family, prefix in [*owned_prefixes(session), (CF.JOURNAL, session), (CF.SNAPSHOTS, session)]:
            while found := store.engine.scan(family, prefix, after_prefix(prefix), limit=_PAGE):
                ops: list[Op] = []
                released: list[tuple[bytes, Reference]] = []
                for key, _ in found:
                    change = _entries(store, family, key)
                    ops += [(cf, other, None) for cf, other, _ in change.ops]
                    ops.append((family, key, None))
                    released += change.held
                # Contents that were copied are still held under the marker; those that changes brought go now.
                store.commit(Append(ops, released=tuple(released)), timeout)
    _tidy(store, mark_id, timeout)


def _entries(store: ArtifactStore, family: int, key: bytes) -> Change:
    """Return what the record of an artifact, an event or an entry of a record has added to the store."""
    try:
        if family == CF.INDEX and key[:1] == RECORD_ENTRY:
            record = store.records.get(key[1:17], key[17:])
            return record_references(key[1:17], [record]) if record is not None else Change()
        return brought_by(store, family, key[:16], int.from_bytes(key[16:], "big"))
    except (IntegrityError, SchemaTooNew) as error:
        logger.warning("an abandoned import or fork has left something behind: %s", error)
        return Change()


def _first(items: Iterator[Any], count: int) -> Iterator[Any]:
    for _, item in zip(range(count), items, strict=False):
        yield item
