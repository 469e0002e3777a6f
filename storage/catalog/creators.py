"""Count what each creator has in a store, and limit it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from greenroom.storage.errors import IntegrityError, ResourceLimitExceeded, SchemaTooNew, shown
from greenroom.storage.events.journal import Journal

from .catalog import Catalog

__all__ = ["QUOTAS", "Charge", "Creators", "Quota"]

QUOTAS: Final = "greenroom:quotas"
"""The scope that holds the quotas as variables, so that they are durable and journaled like everything else."""


class Charge(NamedTuple):
    """By how much one write changes what a creator has."""

    created_by: str
    sessions: int
    bytes: int


class Use(NamedTuple):
    """What a creator has: sessions in any status, and the bytes of their artifacts and records."""

    sessions: int
    bytes: int


class Quota(NamedTuple):
    """The limits of one creator. None: no limit."""

    max_sessions: int | None = None
    max_storage_bytes: int | None = None


class Creators:
    """Counts the sessions and bytes of creators that have a quota. What a creator has is counted when it is first
    asked for, and kept up to date from then on. Only the one writer, in its turn, changes the counts, so that no two
    writes can share the last free place."""

    def __init__(self, catalog: Catalog, journal: Journal) -> None:
        self._catalog = catalog
        self._journal = journal
        self._used: dict[str, Use] = {}
        self._counted = 0
        self.default: Quota | None = None
        """The quota of creators without one of their own."""
        self.own: dict[str, Quota] = {}
        self.record_bytes: Callable[[bytes], int] = lambda session: 0
        """Returns the bytes of the records of a session. Set by the floor that knows states."""

    @property
    def active(self) -> bool:
        """Whether any creator has a quota."""
        return self.default is not None or bool(self.own)

    def quota(self, created_by: str) -> Quota | None:
        """Return the quota of a creator; None if there is none."""
        return self.own.get(created_by, self.default)

    def take(self, charges: Iterable[Charge]) -> tuple[int, dict[str, Use]]:
        """Check that a write is within the quotas, and return the counts after it, for `give`. Until then the creators
        count as not counted. Raises ResourceLimitExceeded."""
        before: dict[str, Use] = {}
        after: dict[str, Use] = {}
        for created_by, sessions, size in charges:
            quota = self.quota(created_by)
            if quota is None:
                continue
            has = after.get(created_by)
            if has is None:
                has = before[created_by] = self.used(created_by)
            after[created_by] = found = Use(has.sessions + sessions, has.bytes + size)
            if sessions > 0:
                _require(created_by, "sessions", found.sessions, quota.max_sessions)
            if size > 0:
                _require(created_by, "storage_bytes", found.bytes, quota.max_storage_bytes)
        for created_by in before:
            del self._used[created_by]
        return self._counted, after

    def give(self, taken: tuple[int, dict[str, Use]]) -> None:
        """Note that the write has been made."""
        counted, after = taken
        if counted == self._counted:
            self._used.update(after)

    def forget(self) -> None:
        """Count anew: something has changed in a way that no charge tells."""
        self._counted += 1
        self._used = {}

    def used(self, created_by: str) -> Use:
        """Return what a creator has. Certain only in the writer's turn."""
        if self.quota(created_by) is None:
            return self._count(created_by)  # no charge keeps a count up to date
        found = self._used.get(created_by)
        if found is None:
            found = self._used[created_by] = self._count(created_by)
        return found

    def _count(self, created_by: str) -> Use:
        sessions = size = 0
        for session in self._catalog.created_by(created_by):
            sessions += 1
            with contextlib.suppress(IntegrityError, SchemaTooNew):
                last = self._journal.last(session)
                size += last[1].artifact_bytes + self.record_bytes(session) if last is not None else 0
        return Use(sessions, size)


def _require(created_by: str, what: str, value: int, limit: int | None) -> None:
    if limit is not None and value > limit:
        raise ResourceLimitExceeded(
            f"the creator {shown(created_by)} may have {limit} {what.replace('_', ' ')} and would have {value}: delete"
            " some, or raise the quota of the creator",
            resource=f"creator_{what}",
            limit=limit,
            value=value,
        )
