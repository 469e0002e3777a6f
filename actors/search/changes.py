"""What events have changed of the texts of a session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from greenroom.actors.store import ArtifactStore
from greenroom.storage.errors import SessionNotFound
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.turns import ADDED, RETRACTED, STARTED, TURN_EVENTS, sequences_of
from greenroom.storage.search.index import IndexFile
from greenroom.storage.search.model import Document
from greenroom.storage.search.writing import SessionChange

from .texts import added_documents, artifact_document, name_document, turn_documents

__all__ = ["ChangeBatch", "PendingChanges"]

_ARTIFACT_WEIGHT: Final = 20
"""For how many turns an artifact counts: its text may take a tenth of a second."""
_BATCH: Final = 8000
"""How many texts are written together; a session counts as one, too."""
_CHARACTERS: Final = 1000
"""How many characters count as one text more."""
_NAMED: Final = frozenset(
    {"session.created", "session.renamed", "session.described", "session.imported", "session.forked"}
)


class PendingChanges:
    """Which texts events have changed: turns, artifacts, and whether the name or the description."""

    def __init__(self) -> None:
        self._added: dict[int, StoredEvent] = {}
        self._turns: set[int] = set()
        self._artifacts: set[int] = set()
        self._named = False
        self._documents: list[Document] = []

    @property
    def weight(self) -> int:
        return len(self._added) + len(self._turns) + _ARTIFACT_WEIGHT * len(self._artifacts) + 1

    def take(self, sequence: int, stored: StoredEvent) -> None:
        """Note what an event has changed."""
        type_, data = stored.type, stored.data
        if type_ == ADDED:
            self._added[sequence] = stored
        elif type_ in TURN_EVENTS:
            if type_ == STARTED:
                self._turns.add(sequence)
            elif type_ == RETRACTED:
                self._turns.update(sequences_of(data))
            else:
                self._turns.add(data["sequence"])
        elif type_ in ("artifact.stored", "artifact.deleted"):
            self._artifacts.add(data["sequence"])
        elif type_ in _NAMED:
            self._named = True

    def read_added(self, store: ArtifactStore, session: bytes) -> None:
        """Read the texts of turns that were added, of which mostly their events tell all."""
        for turn in self._turns:
            self._added.pop(turn, None)
        self._documents, later = added_documents(store, session, self._added)
        self._turns.update(later)

    def documents(self, store: ArtifactStore, session: bytes) -> Iterator[Document]:
        """Yield the changed texts as they are now, after `read_added`. Raises SessionNotFound."""
        yield from self._documents
        yield from turn_documents(store, session, self._turns)
        for each in sorted(self._artifacts):
            yield artifact_document(store, session, each)
        if self._named:
            yield name_document(store, session)


class ChangeBatch:
    """Changes that wait to be written together."""

    def __init__(self, store: ArtifactStore, file: IndexFile) -> None:
        self._store = store
        self._file = file
        self._changes: list[SessionChange] = []
        self._weight = 0

    def add(self, session: bytes, pending: PendingChanges, position: int, mark: int) -> bool:
        """Add what is new in a session up to an event, and return whether the batch was written then."""
        try:
            documents = list(pending.documents(self._store, session))
        except SessionNotFound:
            documents, mark = [], 0  # deleted meanwhile, of which the writer tells
        self._changes.append(SessionChange(session, position, mark, documents))
        self._weight += pending.weight + sum(len(each.body) for each in documents) // _CHARACTERS
        if self._weight < _BATCH:
            return False
        self.write()
        return True

    def write(self) -> None:
        """Write what waits. Raises StorageError."""
        changes, self._changes, self._weight = self._changes, [], 0
        if changes:
            self._file.write(changes)
