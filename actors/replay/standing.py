"""What a session had at a moment besides its state: its conversation, artifacts, records and questions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from greenroom.actors.session.projection import ARTIFACT_DELETED, ARTIFACT_STORED, LOST, artifact_record
from greenroom.storage.artifacts.model import ArtifactRecord
from greenroom.storage.events.index import APPROVAL_CLOSED, APPROVAL_REQUESTED
from greenroom.storage.events.journal import FAMILY
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.turns import ADDED, RETRACTED, STARTED, TURN_EVENTS, sequences_of
from greenroom.storage.records.model import RECORDS_CHANGED, RecordFold

__all__ = ["STANDING", "STANDING_FAMILIES", "Standing"]

STANDING: Final = frozenset(
    {
        *TURN_EVENTS,
        ARTIFACT_STORED,
        ARTIFACT_DELETED,
        RECORDS_CHANGED,
        LOST,
        APPROVAL_REQUESTED,
        *APPROVAL_CLOSED,
    }
)
"""Types of the events that change it."""
STANDING_FAMILIES: Final = frozenset(type_.encode()[:FAMILY] for type_ in STANDING)
"""How these types begin, by which the journal finds them quickly."""


@dataclass(slots=True)
class Standing:
    """The fold of a journal from its beginning that finds what is not in the state. The present session has the same in
    its indexes."""

    turns: dict[int, int] = field(default_factory=dict)
    """The turns of the conversation: the sequence that began each → the newest event about it."""
    artifacts: dict[int, ArtifactRecord] = field(default_factory=dict)
    """By number."""
    records: RecordFold = field(default_factory=RecordFold)
    approvals: dict[int, int | None] = field(default_factory=dict)
    """The questions: the sequence that asked each → the event that closed it."""

    def fold(self, events: Iterable[tuple[int, StoredEvent]]) -> Standing:
        """Take in the next events."""
        for sequence, stored in events:
            if stored.type in STANDING:
                self._fold(sequence, stored)
        return self

    def _fold(self, sequence: int, stored: StoredEvent) -> None:
        type_, data = stored.type, stored.data
        if type_ in (ADDED, STARTED):
            self.turns[sequence] = sequence
        elif type_ == RETRACTED:
            for turn in sequences_of(data):
                self.turns.pop(turn, None)
        elif type_ in TURN_EVENTS:
            self.turns[data["sequence"]] = sequence
        elif type_ == ARTIFACT_STORED:
            self.artifacts[data["sequence"]] = artifact_record(stored)
        elif type_ == ARTIFACT_DELETED:
            self.artifacts.pop(data["sequence"], None)
        elif type_ == APPROVAL_REQUESTED:
            self.approvals[sequence] = None
        elif type_ in APPROVAL_CLOSED:
            self.approvals[data["approval"]] = sequence
        elif type_ == RECORDS_CHANGED or data.get("was") == RECORDS_CHANGED:
            self.records.apply(sequence, data.get("changes", ()))
