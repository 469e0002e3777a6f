"""Retention deletes artifacts, sessions and old events by age, count and size. A dry run shows them first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import pydantic
from annotated_types import Ge

from greenroom.actors import messages as m
from greenroom.actors.transfer.truncation import cut_journals
from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.catalog.model import STATUSES, SessionRow, SessionStatus
from greenroom.storage.common.session_ids import session_id_of
from greenroom.storage.common.validation import Checked
from greenroom.storage.errors import (
    ArtifactNotFound,
    HookCancelled,
    IntegrityError,
    InvalidSessionState,
    ResourceLimitExceeded,
    SchemaTooNew,
    SessionNotFound,
)

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore

__all__ = ["JournalCut", "Removal", "RetentionPolicy", "RetentionReport", "apply_retention"]

DAY = 86_400 * 1_000_000_000


class RetentionPolicy(Checked):
    """The limits of retention. None sets no limit. Whatever exceeds any limit is deleted."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    keep_versions: Annotated[int, Ge(1)] | None = None
    """The number of newest versions to keep of each artifact name."""
    max_age_days: Annotated[float, Ge(0)] | None = None
    """Delete older versions, except the latest of their name."""
    max_session_bytes: Annotated[int, Ge(0)] | None = None
    """Bytes of artifacts per session. Above it, delete the oldest versions, except the latest of their name."""
    ended_days: Annotated[float, Ge(0)] | None = None
    """Delete sessions that ended longer ago than this, with everything."""
    keep_journal_days: Annotated[float, Ge(0)] | None = None
    """Truncate journals before this age: earlier values of variables, tags and metadata, suspensions and deleted
    artifacts are removed. The conversation, existing artifacts and calls of tools and agents stay."""
    max_journal_events: Annotated[int, Ge(1)] | None = None
    """Truncate journals in the same way to this many newest events of a session."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One deletion: an artifact version, or a whole session (then `artifact` is None). Sizes are in bytes."""

    session_id: str
    artifact: str | None
    name: str | None
    version: int | None
    size: int
    reason: str

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class JournalCut:
    """The truncation of the journal of one session or scope: the events removed and the bytes of their records. Event
    `base` is the last one whose history is lost."""

    session_id: str
    events: int
    bytes: int
    base: int

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """What retention would delete, or has deleted. `skipped` were not deleted because their sessions take no writes."""

    removed: tuple[Removal, ...]
    skipped: tuple[Removal, ...]
    dry_run: bool
    journals: tuple[JournalCut, ...] = ()

    @property
    def bytes(self) -> int:
        """The logical bytes deleted. Content that others also use stays on disk."""
        return sum(each.size for each in self.removed)

    def to_dict(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "bytes": self.bytes,
            "removed": [each.to_dict() for each in self.removed],
            "skipped": [each.to_dict() for each in self.skipped],
            "journals": [each.to_dict() for each in self.journals],
        }


def apply_retention(core: RuntimeCore, policy: RetentionPolicy, now: int, *, dry_run: bool) -> RetentionReport:
    """Find what exceeds the policy and, unless `dry_run`, delete it by messages like any other deletion."""
    removed: list[Removal] = []
    skipped: list[Removal] = []
    for session, row in core.store.catalog.rows(tuple(SessionStatus)):
        session_id = session_id_of(session)
        whole = _whole_session(core, session_id, row, policy, now)
        for removal in [whole] if whole is not None else _versions(core, session, policy, now):
            # Only an active session takes writes.
            if removal.artifact is not None and STATUSES[row.status] is not SessionStatus.ACTIVE:
                skipped.append(removal)
                continue
            if not dry_run:
                try:
                    _remove(core, removal)
                except (SessionNotFound, ArtifactNotFound):
                    continue  # somebody else was first
                except (InvalidSessionState, ResourceLimitExceeded, IntegrityError, HookCancelled):
                    skipped.append(removal)
                    continue
            removed.append(removal)
    gone = {removal.session_id for removal in removed if removal.artifact is None}
    journals = [cut for cut in _journals(core, policy, now, dry_run=dry_run) if cut.session_id not in gone]
    return RetentionReport(tuple(removed), tuple(skipped), dry_run, tuple(journals))


def _journals(core: RuntimeCore, policy: RetentionPolicy, now: int, *, dry_run: bool) -> Iterator[JournalCut]:
    """Truncate the journals, also those of scopes."""
    days, most = policy.keep_journal_days, policy.max_journal_events
    before = now - int(min(days * DAY, now)) if days is not None else None
    for session, cut in cut_journals(core.store, before=before, most=most, dry_run=dry_run):
        yield JournalCut(session_id_of(session), cut.events, cut.bytes, cut.base)


def _remove(core: RuntimeCore, removal: Removal) -> None:
    if removal.artifact is None:
        core.ask(removal.session_id, m.DeleteSession())
    else:
        core.ask(removal.session_id, m.DeleteArtifact(ArtifactId.parse(removal.artifact)))


def _whole_session(
    core: RuntimeCore, session_id: str, row: SessionRow, policy: RetentionPolicy, now: int
) -> Removal | None:
    if policy.ended_days is None or row.ended_at is None or now - row.ended_at < policy.ended_days * DAY:
        return None
    try:
        size = core.store.catalog.info(session_id).total_artifact_size
    except (IntegrityError, SchemaTooNew, SessionNotFound):
        size = 0
    return Removal(session_id, None, row.name, None, size, f"ended more than {policy.ended_days:g} days ago")


def _versions(core: RuntimeCore, session: bytes, policy: RetentionPolicy, now: int) -> Iterator[Removal]:
    """Yield the versions of a session to delete, oldest first. The latest of a name always stays."""
    session_id = session_id_of(session)
    try:
        # Of many artifacts, without what they are described by.
        records = [
            (number, record._replace(tags=[], custom=b"", description=None))
            for number, record in core.store.artifacts.records(session)
        ]
    except (IntegrityError, SchemaTooNew):
        return  # damaged: repair it before deciding what to delete
    versions: dict[str, list[int]] = {}
    for _, record in records:
        versions.setdefault(record.name, []).append(record.version)
    ranks = {
        (name, version): rank
        for name, each in versions.items()
        for rank, version in enumerate(sorted(each, reverse=True))
    }
    total = sum(record.size for _, record in records)
    for number, record in records:
        rank = ranks[record.name, record.version]
        if rank == 0:
            continue
        reason = None
        if policy.keep_versions is not None and rank >= policy.keep_versions:
            reason = f"not among the newest {policy.keep_versions} versions"
        elif policy.max_age_days is not None and now - record.time >= policy.max_age_days * DAY:
            reason = f"older than {policy.max_age_days:g} days"
        elif policy.max_session_bytes is not None and total > policy.max_session_bytes:
            reason = f"the session has more than {policy.max_session_bytes} bytes"
        if reason is not None:
            total -= record.size
            artifact = str(ArtifactId(record.content_hash.hex(), session_id, number))
            yield Removal(session_id, artifact, record.name, record.version, record.size, reason)
