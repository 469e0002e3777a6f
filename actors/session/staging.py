"""What the commands of a batch look up while nothing of the batch is written yet."""

from __future__ import annotations

from functools import cached_property
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
        self._store = store
        self._ops = ops

    # Made when something is looked up: most commands decide by the state alone.

    @cached_property
    def engine(self) -> Engine:
        return StagedView(self._store.engine, self._ops)

    @cached_property
    def journal(self) -> Journal:
        return Journal(self.engine)

    @cached_property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.engine)

    @cached_property
    def records(self) -> Records:
        return Records(self.engine)
