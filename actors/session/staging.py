"""What the commands of a batch look up while nothing of the batch is written yet."""

from __future__ import annotations

from typing import Protocol

from greenroom.actors.store import ArtifactStore
from greenroom.storage.artifacts.records import Artifacts
from greenroom.storage.engine.engine import Engine, Op
from greenroom.storage.engine.staged_view import StagedView
from greenroom.storage.events.journal import Journal
from greenroom.storage.records.records import Records

__all__ = ["Reading", "StagedStore"]


class Reading(Protocol):
    """The part of the store that decisions look up."""

    @property
    def engine(self) -> Engine:
        """The entries themselves."""

    @property
    def journal(self) -> Journal:
        """The events."""

    @property
    def artifacts(self) -> Artifacts:
        """The records of artifacts."""

    @property
    def records(self) -> Records:
        """The session's own records."""


class StagedStore:
    """The store as it will be once these operations are written."""

    def __init__(self, store: ArtifactStore, ops: list[Op]) -> None:
        self.engine = StagedView(store.engine, ops)
        self.journal = Journal(self.engine)
        self.artifacts = Artifacts(self.engine)
        self.records = Records(self.engine)
