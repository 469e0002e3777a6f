"""Derive from a session's journal what the store must hold: everything except the journal itself.

`verify` compares this with what the store holds, `gc` and repair write it where the two differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from greenroom.actors.session.projection import LOST, FoldedArtifacts, owned_prefixes, record_references, state_entries
from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.store import ArtifactStore
from greenroom.storage.artifacts.index import suffix_of
from greenroom.storage.artifacts.model import ArtifactRecord
from greenroom.storage.artifacts.words import present_entries
from greenroom.storage.codec.keys import INDEX_ARTIFACT_NAME, after_prefix, session_id_of
from greenroom.storage.content.chunks import Reference
from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.errors import IntegrityError
from greenroom.storage.records.model import StoredRecord
from greenroom.storage.records.records import RECORD_ENTRY

__all__ = ["Derived", "derive", "owned"]

Place = tuple[int, bytes]
"""(column family, key)"""


@dataclass(slots=True)
class Derived:
    """The fold of a journal, and what follows from it."""

    state: SessionState
    entries: dict[Place, bytes] = field(default_factory=dict)
    records: dict[int, ArtifactRecord] = field(default_factory=dict)
    """Artifact records by number."""
    contents: dict[bytes, tuple[int, int] | None] = field(default_factory=dict)
    """Content that is referred to, with its size and stored size if an artifact states them."""
    events: int = 0
    unknown: bool = False
    """Whether the fold has passed a lost event with unknown changes."""
    snapshots: int = 0
    differing: list[int] = field(default_factory=list)
    """Sequences of snapshots that differ from the fold."""
    kept: dict[bytes, StoredRecord] = field(default_factory=dict)
    """Records by key, without the values that are no contents. Their entries are not among `entries`."""
    lost_after: int = 0
    """The sequence of the last lost event of which nothing is known."""
    optional: set[Place] = field(default_factory=set)
    """Entries that older versions have left, of deleted versions that are not the newest of their name."""

    def add(self, ops: Iterable[Op]) -> None:
        for cf, key, value in ops:
            if value is not None:
                self.entries[cf, key] = value
            else:
                self.entries.pop((cf, key), None)
                if cf == CF.INDEX and key[:1] == INDEX_ARTIFACT_NAME:
                    self.optional.add((cf, key))


def derive(store: ArtifactStore, session: bytes) -> Derived:
    """Fold a session's journal from its beginning, or from its base. Raises IntegrityError or SchemaTooNew if it cannot
    be read."""
    derived = Derived(SessionState(session_id_of(session)))
    snapshots = set(store.journal.snapshot_sequences(session))
    base = store.journal.base(session)
    if base is not None:
        derived.state = SessionState.decode(derived.state.id, base[1])
        snapshot = _passed(store, session, base[0], snapshots)
        derived.snapshots += snapshot is not None
        if snapshot is not None and not derived.state.agrees(snapshot):
            derived.differing.append(base[0])
    begin = derived.state.sequence
    artifacts = FoldedArtifacts(session)
    for sequence, stored in store.journal.read(session):
        derived.events += 1
        derived.add(artifacts.project(sequence, stored).written())
        if sequence <= begin:
            continue  # its changes are in the base
        evolve(derived.state, sequence, stored)
        derived.unknown = derived.unknown or stored.type == LOST
        if stored.type == LOST and stored.data.get("was") is None:
            derived.lost_after = sequence
        snapshot = _passed(store, session, sequence, snapshots)
        if snapshot is None:
            continue
        derived.snapshots += 1
        if derived.unknown:
            # The snapshot contains the changes of the lost event.
            derived.state = SessionState.decode(derived.state.id, snapshot)
            derived.unknown = derived.state.certain is not None
        elif not derived.state.agrees(snapshot):
            derived.differing.append(sequence)
    derived.differing += sorted(snapshots)
    derived.records = artifacts.records
    for number, record in artifacts.records.items():
        derived.add(present_entries(store.engine, record, suffix_of(session, number, record.time)))
    derived.kept = artifacts.kept.live
    derived.add(record_references(session, derived.kept.values()).written())
    derived.contents = {Reference.parse(key)[0]: None for cf, key in derived.entries if cf == CF.REFERENCES}
    for record in artifacts.records.values():
        derived.contents[record.content_hash] = record.size, record.stored_size
    state = derived.state
    if derived.events == 0:  # not even the newest event, which no truncation removes
        raise IntegrityError(f"session {state.id} has no journal", session_id=state.id)
    derived.add(state_entries(state))
    return derived


def _passed(store: ArtifactStore, session: bytes, sequence: int, snapshots: set[int]) -> bytes | None:
    """Return the state in the valid snapshot at this sequence, if there is one, and take it out of those to come. They
    are read one by one, because together they may be as large as the journal."""
    if sequence not in snapshots:
        return None
    snapshots.discard(sequence)
    found = store.journal.snapshot(session, sequence)
    return found.state if found is not None else None


def owned(store: ArtifactStore, session: bytes) -> dict[Place, bytes]:
    """Return what the store holds under keys that begin with a session: its row, artifact records and index entries.
    Its records are left out: they are many, and large."""
    found: dict[Place, bytes] = {}
    row = store.engine.get(CF.SESSIONS, session)
    if row is not None:
        found[CF.SESSIONS, session] = row
    for cf, prefix in owned_prefixes(session):
        if cf == CF.INDEX and prefix[:1] == RECORD_ENTRY:
            continue
        for key, value in store.engine.pages(cf, prefix, after_prefix(prefix)):
            found[cf, key] = value
    return found
