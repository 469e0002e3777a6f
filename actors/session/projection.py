"""Project events: the one place that says what the store holds because of a session's events.

An event has entries of its own (`add_event`); an artifact has others as long as it exists (`add_artifact`); the present
session has its row, its listings and its grants (`state_entries`). `project` returns what one more event changes of all
this. A commit, an import and a fork write what `project` returns, deletion removes the entries, truncation removes
those of the events that it takes, and `verify` compares with them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from operator import itemgetter
from typing import Final, Protocol

from greenroom.actors.session.state.approvals import entry_changed, pending_entries
from greenroom.actors.session.state.grants import shared_key, shared_keys
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.session.state.shares import whole_entries, whole_entry
from greenroom.actors.store import ArtifactStore
from greenroom.storage.artifacts.index import IN_SESSION, suffix_of
from greenroom.storage.artifacts.model import LABEL, ArtifactRecord, new_record
from greenroom.storage.artifacts.records import Artifacts
from greenroom.storage.artifacts.words import word_entries
from greenroom.storage.catalog.catalog import Catalog
from greenroom.storage.codec.keys import INDEX_APPROVAL, INDEX_ARTIFACT_NAME, INDEX_MESSAGE, INDEX_SCOPE, sequence_key
from greenroom.storage.content.chunks import ARTIFACT, EVENT, MESSAGE, RECORD, Reference
from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.events.calls import CALL_FIELDS, call_contents
from greenroom.storage.events.index import APPROVAL_EVENTS, LISTED, event_keys
from greenroom.storage.events.model import PUBLISHED_HASH, StoredEvent
from greenroom.storage.events.turns import (
    ADDED,
    DELTA,
    EDITED,
    FINISHED,
    RETRACTED,
    STARTED,
    TURN_EVENTS,
    Head,
    held_contents,
    sequences_of,
)
from greenroom.storage.records.model import IN_CONTENT, RECORDS_CHANGED, RecordFold, StoredRecord
from greenroom.storage.records.records import RECORD_ENTRY, record_entry, record_key

__all__ = [
    "ARTIFACT_DELETED",
    "ARTIFACT_STORED",
    "LOST",
    "OWNED_INDEXES",
    "PROJECTED",
    "Change",
    "FoldedArtifacts",
    "KnownArtifacts",
    "add_artifact",
    "add_event",
    "add_record",
    "add_stored_artifact",
    "artifact_record",
    "brought_by",
    "found_by",
    "is_session",
    "owned_prefixes",
    "project",
    "record_references",
    "state_entries",
]

ARTIFACT_STORED: Final = "artifact.stored"
ARTIFACT_DELETED: Final = "artifact.deleted"
LOST: Final = "event.lost"
"""Stands in a journal for an event that damage has destroyed."""
_told: Final = itemgetter(*ArtifactRecord._fields[:-2])
"""The fields of a record that the event which stored the artifact always has, besides its own time."""
_WITH_CONTENT: Final = frozenset({ADDED, FINISHED, EDITED, LOST})
"""Types of the events that may refer to contents. A message with a lost event has left its text."""
OWNED_INDEXES: Final = (INDEX_MESSAGE, INDEX_ARTIFACT_NAME, INDEX_SCOPE, INDEX_APPROVAL, RECORD_ENTRY, *IN_SESSION)
"""First bytes of the index keys that continue with the session."""

_NO_VALUES: Final[Mapping[bytes, bytes]] = {}


class Change:
    """The changes of events to the store besides the journal: operations, and the contents that they hold or
    release."""

    __slots__ = ("held", "ops", "records", "released", "values")

    def __init__(self, ops: list[Op] | None = None) -> None:
        self.ops: list[Op] = [] if ops is None else ops
        self.held: list[tuple[bytes, Reference]] = []
        """(hash, reference to it)"""
        self.released: list[tuple[bytes, Reference]] = []
        self.records: list[ArtifactRecord] = []
        """The records of the artifacts that were stored."""
        self.values: Mapping[bytes, bytes] = _NO_VALUES
        """The values of records that are no contents, by their hash."""

    def written(self) -> list[Op]:
        """Return all operations, for a writer that takes care of the contents itself."""
        return [
            *self.ops,
            *((CF.REFERENCES, reference.key(digest), b"") for digest, reference in self.held),
            *((CF.REFERENCES, reference.key(digest), None) for digest, reference in self.released),
        ]

    def removed(self) -> list[Op]:
        """Return the operations that remove everything that was added."""
        return [(cf, key, None) for cf, key, _ in self.written()]


class KnownArtifacts(Protocol):
    """The artifacts that earlier events have left, as a projection must know them. `Artifacts` knows those of a
    store."""

    def record(self, session: bytes, number: int, /) -> ArtifactRecord | None:
        """Return the record of an existing artifact."""

    def is_newest(self, session: bytes, name: str, version: int, /) -> bool:
        """Return whether no later version of a name was ever stored."""

    def is_gone(self, session: bytes, name: str, version: int, /) -> bool:
        """Return whether a version was deleted and has left an entry that says so."""


class FoldedArtifacts:
    """The artifacts that a journal has left, for a reader that begins at its first event. Serves as `KnownArtifacts`.

    `live` are the numbers of the artifacts that exist in the end, if known beforehand. Nothing is added for any other
    artifact, and no records are kept.
    """

    def __init__(self, session: bytes, live: Container[int] | None = None) -> None:
        self.records: dict[int, ArtifactRecord] = {}
        self._session = session
        self._live = live
        self._newest: dict[str, tuple[int, bool]] = {}
        self.kept = RecordFold()
        """The records that the events have left. They follow from the whole journal: nothing is added for an event."""

    def project(self, sequence: int, stored: StoredEvent) -> Change:
        """Return what the next event changes, except grants, which follow from the state like the row."""
        change = Change()
        add_event(change, self._session, sequence, stored)
        data = stored.data
        if stored.type in TURN_EVENTS:
            _turn_changed(self, change, self._session, sequence, stored)
        elif stored.type == ARTIFACT_STORED:
            _artifact_stored(self, change, self._session, sequence, stored, self._live)
            there = self._live is None or data["sequence"] in self._live
            self._newest[data["name"]] = data["version"], there
            if self._live is None:
                self.records[data["sequence"]] = change.records[0]
        elif stored.type == ARTIFACT_DELETED:
            _artifact_deleted(self, change, self._session, sequence, stored)
            self.records.pop(data["sequence"], None)
            if self.is_newest(self._session, data["name"], data["version"]):
                self._newest[data["name"]] = data["version"], False
        elif stored.type == RECORDS_CHANGED or (stored.type == LOST and data.get("was") == RECORDS_CHANGED):
            self.kept.apply(sequence, data.get("changes", ()))
        return change

    def record(self, session: bytes, number: int) -> ArtifactRecord | None:
        return self.records.get(number)

    def is_newest(self, session: bytes, name: str, version: int) -> bool:
        return self._newest.get(name, (0, False))[0] <= version

    def is_gone(self, session: bytes, name: str, version: int) -> bool:
        return self._newest.get(name) == (version, False)


def is_session(session: bytes) -> bool:
    """Return whether this is a session, and not the state of a scope, which has no row."""
    return session[6] >> 4 == 4


def owned_prefixes(session: bytes) -> list[tuple[int, bytes]]:
    """Return (column family, prefix) of the artifact records and index entries with keys that begin with the
    session."""
    return [(CF.ARTIFACTS, session), *((CF.INDEX, kind + session) for kind in OWNED_INDEXES)]


# -- what is there because of an event, an artifact, a state


def found_by(session: bytes, sequence: int, stored: StoredEvent) -> list[Op]:
    """Return the entries by which an event with a context, or a link, is found. Events of types not in `PROJECTED` have
    no other entries."""
    return [(CF.INDEX, key, b"") for key in event_keys(session, sequence, stored)]


def add_event(change: Change, session: bytes, sequence: int, stored: StoredEvent) -> None:
    """Add what an event has as long as it is in the journal: the entries by which it is found, and its contents."""
    type_, data = stored.type, stored.data
    if stored.context is not None or type_ in LISTED:
        change.ops += found_by(session, sequence, stored)
    if type_ in _WITH_CONTENT:
        for digest in held_contents(data):
            change.held.append((digest, Reference(session, MESSAGE, sequence)))
    elif type_ in CALL_FIELDS:
        change.held += [(digest, Reference(session, EVENT, sequence)) for digest in call_contents(type_, data)]
    elif PUBLISHED_HASH in data:
        change.held.append((data[PUBLISHED_HASH], Reference(session, EVENT, sequence)))


def add_artifact(change: Change, session: bytes, number: int, record: ArtifactRecord) -> None:
    """Add what an artifact has as long as it exists: its record, its index entries, and its content."""
    change.ops += Artifacts.add(session, number, record)
    change.held.append((record.content_hash, Reference(session, ARTIFACT, number)))


def add_stored_artifact(change: Change, session: bytes, number: int, record: ArtifactRecord) -> None:
    """Add what an artifact in the store may have by now: also the entries of its words, which a search adds."""
    add_artifact(change, session, number, record)
    words = word_entries(record, suffix_of(session, number, record.time))
    change.ops += [(CF.INDEX, key, b"") for key in words or ()]


def add_record(change: Change, session: bytes, key: bytes, record: StoredRecord) -> None:
    """Add what a record has as long as it exists: its entry, and its content if its value is one."""
    change.ops.append(record_entry(session, key, record))
    if record.flags & IN_CONTENT:
        change.held.append((record.hash, Reference(session, RECORD, record.number)))


def record_references(session: bytes, records: Iterable[StoredRecord]) -> Change:
    """Return the contents that records hold, without their entries."""
    change = Change()
    change.held += [held for record in records if (held := record.holds(session)) is not None]
    return change


def brought_by(store: ArtifactStore, family: int, session: bytes, number: int) -> Change:
    """Return what an artifact or an event in the store has added to it; `family` is the family of its record. Return an
    empty change if it does not exist. Raises IntegrityError, SchemaTooNew."""
    change = Change()
    if family == CF.ARTIFACTS:
        record = store.artifacts.record(session, number)
        if record is not None:
            add_stored_artifact(change, session, number, record)
    elif family == CF.JOURNAL and store.journal.holds(session, number):
        add_event(change, session, number, store.journal.stored(session, number))
    return change


def state_entries(state: SessionState) -> list[Op]:
    """Return the entries of the present session: its row and listings, and its grants by their grantees."""
    session = state.session
    entries: list[Op] = [(CF.INDEX, key, b"") for key in shared_keys(state)]
    entries += [(CF.INDEX, key, value) for key, value in whole_entries(state)]
    entries += [(CF.INDEX, key, value) for key, value in pending_entries(state)]
    return [*Catalog.create(session, state.row(), state.updated_at), *entries] if is_session(session) else entries


# -- what one more event changes


def project(known: KnownArtifacts, change: Change, session: bytes, sequence: int, stored: StoredEvent) -> None:
    """Add to `change` what an event changes that is being committed, after the artifacts in `known`. The session's row
    is left out: it follows from the state."""
    add_event(change, session, sequence, stored)
    changed = _CHANGED.get(stored.type)
    if changed is not None:
        changed(known, change, session, sequence, stored)


def _turn_changed(known: KnownArtifacts, change: Change, session: bytes, sequence: int, stored: StoredEvent) -> None:
    """Add the changes to the index of messages, which has the current turns and their heads."""
    type_, data, prefix = stored.type, stored.data, INDEX_MESSAGE + session
    if type_ == ADDED:
        change.ops.append((CF.INDEX, sequence_key(prefix, sequence), b""))
    elif type_ == RETRACTED:
        change.ops += [(CF.INDEX, sequence_key(prefix, turn), None) for turn in sequences_of(data)]
    else:
        turn = sequence if type_ == STARTED else data["sequence"]
        head = Head(sequence, type_ in (STARTED, DELTA))
        change.ops.append((CF.INDEX, sequence_key(prefix, turn), head.encode()))


def _artifact_stored(
    known: KnownArtifacts,
    change: Change,
    session: bytes,
    sequence: int,
    stored: StoredEvent,
    live: Container[int] | None = None,
) -> None:
    data = stored.data
    number, name, version = data["sequence"], data["name"], data["version"]
    if version > 1 and known.is_gone(session, name, version - 1):
        # From now on the later version shows that this one was given out.
        change.ops.append(Artifacts.name_entry(session, name, version - 1, None))
    if live is not None and number not in live:
        change.ops.append(Artifacts.name_entry(session, name, version, b""))
        return
    record = artifact_record(stored)
    change.records.append(record)
    add_artifact(change, session, number, record)


def artifact_record(stored: StoredEvent) -> ArtifactRecord:
    """Return the record of the artifact that an event has stored."""
    data = stored.data
    return new_record((*_told(data), stored.time, data.get(LABEL)))


def _artifact_deleted(
    known: KnownArtifacts, change: Change, session: bytes, sequence: int, stored: StoredEvent
) -> None:
    data = stored.data
    number, name, version = data["sequence"], data["name"], data["version"]
    record = known.record(session, number)
    if record is not None:
        there = Change()
        add_stored_artifact(there, session, number, record)
        change.ops += [(cf, key, None) for cf, key, _ in there.ops]
    # A version never means two things: the newest one leaves an entry to show that it was given out.
    left = b"" if known.is_newest(session, name, version) else None
    change.ops.append(Artifacts.name_entry(session, name, version, left))
    change.released.append((data["content_hash"], Reference(session, ARTIFACT, number)))


def _artifact_shared(known: KnownArtifacts, change: Change, session: bytes, sequence: int, stored: StoredEvent) -> None:
    data = stored.data
    there = b"" if stored.type == "artifact.shared" else None
    change.ops.append((CF.INDEX, shared_key(data["session"], session, data["sequence"]), there))


def _whole_shared(known: KnownArtifacts, change: Change, session: bytes, sequence: int, stored: StoredEvent) -> None:
    change.ops.append((CF.INDEX, *whole_entry(session, stored.type, stored.data)))


def _approval_changed(
    known: KnownArtifacts, change: Change, session: bytes, sequence: int, stored: StoredEvent
) -> None:
    change.ops.append((CF.INDEX, *entry_changed(session, sequence, stored.type, stored.data, stored.time)))


def _records_changed(known: KnownArtifacts, change: Change, session: bytes, sequence: int, stored: StoredEvent) -> None:
    values = change.values
    for position, fields in enumerate(stored.data["changes"]):
        key, digest, size, flags, _ = fields[:5]
        if len(fields) > 5:
            number, before = fields[5]
            change.released.append((before, Reference(session, RECORD, number)))
        if digest is None:
            change.ops.append((CF.INDEX, record_key(session, key), None))
            continue
        data = None if flags & IN_CONTENT else values[digest]
        add_record(change, session, key, StoredRecord(sequence, position, flags, size, digest, data))


_CHANGED: Final[Mapping[str, Callable[[KnownArtifacts, Change, bytes, int, StoredEvent], None]]] = {
    **dict.fromkeys(TURN_EVENTS, _turn_changed),
    ARTIFACT_STORED: _artifact_stored,
    ARTIFACT_DELETED: _artifact_deleted,
    "artifact.shared": _artifact_shared,
    "artifact.revoked": _artifact_shared,
    **dict.fromkeys(("session.shared", "session.unshared", "scope.granted", "scope.revoked"), _whole_shared),
    **dict.fromkeys(APPROVAL_EVENTS, _approval_changed),
    RECORDS_CHANGED: _records_changed,
}
"""What an event of each type changes besides its own entries."""

PROJECTED: Final = frozenset({*_CHANGED, *LISTED})
"""Types of the events that change more than the journal and the row. Events of other types do so only by the ids in
their context, and by large data."""
