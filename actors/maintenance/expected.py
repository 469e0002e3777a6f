"""What a session's journal says that the store must hold: everything but the journal itself is derived from it.

`verify` compares this with what is there, `gc` and repair write it where the two differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from greenroom.actors.session.decisions.conversation import ARTIFACT, MESSAGE
from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.grants import shared_keys
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.store import ArtifactStore
from greenroom.storage.artifacts.index import IN_SESSION
from greenroom.storage.artifacts.records import RECORD_FIELDS, Artifacts
from greenroom.storage.catalog.catalog import Catalog
from greenroom.storage.codec.keys import INDEX_ARTIFACT_NAME, INDEX_MESSAGE, after_prefix, sequence_key, session_id_of
from greenroom.storage.content.chunks import Reference
from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.errors import IntegrityError
from greenroom.storage.events.index import LINKED, event_keys
from greenroom.storage.events.model import StoredEvent

__all__ = ["LOST", "OWNED_INDEXES", "Derived", "derive", "is_session", "owned"]

LOST: Final = "event.lost"
_NAME: Final = INDEX_ARTIFACT_NAME

OWNED_INDEXES: Final = (INDEX_MESSAGE, INDEX_ARTIFACT_NAME, *IN_SESSION)
"""First bytes of index keys in which the session follows at once."""

Place = tuple[int, bytes]
"""(column family, key)"""


@dataclass(slots=True)
class Derived:
    """The fold of a journal, and what follows from it."""

    state: SessionState
    entries: dict[Place, bytes] = field(default_factory=dict)
    records: dict[int, list[Any]] = field(default_factory=dict)
    """Artifact records by number."""
    contents: dict[bytes, tuple[int, int] | None] = field(default_factory=dict)
    """Content that is referred to, with its size and stored size where an artifact tells them."""
    events: int = 0
    unknown: bool = False
    """Whether the fold has passed a lost event of which it is not known what it changed."""
    snapshots: int = 0
    differing: list[int] = field(default_factory=list)
    """Sequences of snapshots that are not what the fold gives there."""
    optional: set[Place] = field(default_factory=set)
    """Entries that may be there and need not: of deleted versions that are not the newest of their name."""

    def add(self, ops: Iterable[Op]) -> None:
        for cf, key, value in ops:
            if value is None:
                self.entries.pop((cf, key), None)
            else:
                self.entries[cf, key] = value


def is_session(session: bytes) -> bool:
    """Whether it is a session, and not the state of a scope, which has no row."""
    return session[6] >> 4 == 4


def derive(store: ArtifactStore, session: bytes) -> Derived:
    """Fold a session's journal from its beginning, or from its base. Raises IntegrityError, or SchemaTooNew, where it
    cannot be read."""
    derived = Derived(SessionState(session_id_of(session)))
    snapshots = {sequence: data for sequence, data, _ in store.journal.snapshots(session)}
    base = store.journal.base(session)
    if base is not None:
        derived.state = SessionState.decode(derived.state.id, base[1])
        snapshot = snapshots.pop(base[0], None)
        derived.snapshots += snapshot is not None
        if snapshot is not None and not derived.state.agrees(snapshot):
            derived.differing.append(base[0])
    begin = derived.state.sequence
    for sequence, stored in store.journal.read(session):
        derived.events += 1
        _add_event(derived, session, sequence, stored)
        if sequence <= begin:
            continue  # what it did is in the base
        evolve(derived.state, sequence, stored)
        derived.unknown = derived.unknown or stored[0] == LOST
        snapshot = snapshots.pop(sequence, None)
        if snapshot is None:
            continue
        derived.snapshots += 1
        if derived.unknown:
            # What the lost event did is in the snapshot.
            derived.state = SessionState.decode(derived.state.id, snapshot)
            derived.unknown = derived.state.certain is not None
        elif not derived.state.agrees(snapshot):
            derived.differing.append(sequence)
    derived.differing += list(snapshots)
    _drop_optional(derived)
    held = {key[1:33] for cf, key in derived.entries if cf == CF.REFERENCES}
    derived.contents = {digest: sizes for digest, sizes in derived.contents.items() if digest in held}
    state = derived.state
    if derived.events == 0:  # not even the newest event, which no cut removes
        raise IntegrityError(f"session {state.id} has no journal", session_id=state.id)
    if is_session(session):
        row = state.row()
        derived.add([Catalog.put(session, row)])
        derived.add((CF.INDEX, key, b"") for key in Catalog.index_keys(session, row, state.updated_at))
    derived.add((CF.INDEX, key, b"") for key in shared_keys(state))
    return derived


def _add_event(derived: Derived, session: bytes, sequence: int, stored: StoredEvent) -> None:
    type_, time, data = stored[0], stored[1], stored[2]
    if len(stored) > 6 or type_ == LINKED:
        derived.add((CF.INDEX, key, b"") for key in event_keys(session, sequence, stored))
    if type_ == "message.added":
        derived.add([(CF.INDEX, sequence_key(INDEX_MESSAGE + session, sequence), b"")])
        if "content_hash" in data:
            _refer(derived, data["content_hash"], Reference(session, MESSAGE, sequence), None)
    elif type_ == LOST:
        if "content_hash" in data:  # a message whose event is lost has left its text
            _refer(derived, data["content_hash"], Reference(session, MESSAGE, sequence), None)
    elif type_ == "artifact.stored":
        number = data["sequence"]
        record = derived.records[number] = artifact_record(data, time)
        derived.add(Artifacts.add(session, number, record))
        sizes = data["size"], data["stored_size"]
        _refer(derived, data["content_hash"], Reference(session, ARTIFACT, number), sizes)
    elif type_ == "artifact.deleted":
        number = data["sequence"]
        record_then = derived.records.pop(number, None)
        derived.add(Artifacts.remove(session, number, data["name"], data["version"], record_then))
        derived.entries.pop((CF.REFERENCES, Reference(session, ARTIFACT, number).key(data["content_hash"])), None)


def _drop_optional(derived: Derived) -> None:
    newest: dict[bytes, bytes] = {}
    versions = [(key, value) for (cf, key), value in derived.entries.items() if cf == CF.INDEX and key[:1] == _NAME]
    for key, _ in versions:
        newest[key[:-4]] = max(newest.get(key[:-4], b""), key)
    for key, value in versions:
        if not value and newest[key[:-4]] != key:
            del derived.entries[CF.INDEX, key]
            derived.optional.add((CF.INDEX, key))


def artifact_record(data: dict[str, Any], time: int) -> list[Any]:
    """The record of an artifact, from the event that stored it."""
    return [time if name == "time" else data[name] for name in RECORD_FIELDS]


def _refer(derived: Derived, digest: bytes, reference: Reference, sizes: tuple[int, int] | None) -> None:
    derived.entries[CF.REFERENCES, reference.key(digest)] = b""
    if sizes is not None or digest not in derived.contents:
        derived.contents[digest] = sizes


def owned(store: ArtifactStore, session: bytes) -> dict[Place, bytes]:
    """What the store holds under keys that begin with a session: its row, artifact records and index entries."""
    found: dict[Place, bytes] = {}
    row = store.engine.get(CF.SESSIONS, session)
    if row is not None:
        found[CF.SESSIONS, session] = row
    ranges = [(CF.ARTIFACTS, session)]
    ranges += [(CF.INDEX, kind + session) for kind in OWNED_INDEXES]
    for cf, prefix in ranges:
        for key, value in store.engine.pages(cf, prefix, after_prefix(prefix)):
            found[cf, key] = value
    return found
