"""Retention deletes artifacts, sessions and old events by age, count and size. A dry run shows them first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.session.state.timeout import CARE
from greenroom.actors.transfer.truncation import cut_journals
from greenroom.runtime.config.retention import RetentionPolicy
from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.catalog.model import STATUSES, SessionRow, SessionStatus
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.common.session_ids import session_bytes, session_id_of
from greenroom.storage.errors import (
    ArtifactNotFound,
    Conflict,
    HookCancelled,
    IntegrityError,
    InvalidSessionState,
    ResourceLimitExceeded,
    SchemaTooNew,
    SessionNotFound,
)

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore

__all__ = [
    "JournalCut",
    "Removal",
    "RetentionPolicy",
    "RetentionReport",
    "Skipped",
    "add_figures",
    "apply_retention",
    "retained",
]

DAY: Final = 86_400 * 1_000_000_000
LOOKS: Final = 5
"""How often a session that the runtime itself has written to is looked at, before it is left for the next run."""
ENDED: Final = (SessionStatus.COMPLETED, SessionStatus.FAILED, SessionStatus.ARCHIVED)


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
    journals: list[JournalCut] = []
    for each in retained(core, policy, now, dry_run=dry_run):
        if isinstance(each, JournalCut):
            journals.append(each)
        elif isinstance(each, Removal):
            removed.append(each)
        elif each is not None:
            skipped.append(each.removal)
    return RetentionReport(tuple(removed), tuple(skipped), dry_run, tuple(journals))


@dataclass(frozen=True, slots=True)
class Skipped:
    """A deletion that was not made, because the session takes no writes, or somebody refused."""

    removal: Removal


def retained(
    core: RuntimeCore, policy: RetentionPolicy, now: int, *, dry_run: bool
) -> Iterator[Removal | Skipped | JournalCut | None]:
    """Delete what exceeds the policy, step by step, and yield what each step has done; None for a session that stays.

    What no limit concerns is not read: without limits on artifacts no artifacts, without `ended_days` no row.
    """
    gone: set[str] = set()
    whole = [_idle_or_ended(core, now)] if policy.lifetimes else []
    whole += [_ended(core, policy.ended_days, now)] if policy.ended_days is not None else []
    artifacts = (policy.keep_versions, policy.max_age_days, policy.max_session_bytes) != (None, None, None)
    for found in [*whole, *([_all_versions(core, policy, now)] if artifacts else [])]:
        for candidate in found:
            if candidate is None or candidate.removal.session_id in gone:
                yield None
                continue
            removal = candidate.removal
            outcome: Removal | Skipped | None = removal
            if not candidate.possible:
                outcome = Skipped(removal)
            elif not dry_run:
                try:
                    _remove(core, candidate)
                except (SessionNotFound, ArtifactNotFound, Conflict):
                    outcome = None  # somebody else was first, or the session is in use
                except (InvalidSessionState, ResourceLimitExceeded, IntegrityError, HookCancelled):
                    outcome = Skipped(removal)
            if outcome is removal and removal.artifact is None:
                gone.add(removal.session_id)
            yield outcome
    if policy.keep_journal_days is not None or policy.max_journal_events is not None:
        yield from (cut for cut in _journals(core, policy, now, dry_run=dry_run) if cut.session_id not in gone)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Something that could be deleted."""

    removal: Removal
    possible: bool = True
    sequence: int | None = None
    """The sequence that the session must still have; None: any."""


def _ended(core: RuntimeCore, days: float, now: int) -> Iterator[_Candidate | None]:
    """Yield the sessions that ended longer ago."""
    for session, row in core.store.catalog.rows(ENDED):
        over = row.ended_at is not None and now - row.ended_at >= days * DAY
        yield _whole(core, session, row, f"ended more than {days:g} days ago") if over else None


def _idle_or_ended(core: RuntimeCore, now: int) -> Iterator[_Candidate | None]:
    """Return the sessions that are over the time that they set themselves."""
    return (_over_its_own_time(core, session, now) for session in core.store.catalog.with_lifetimes())


def _over_its_own_time(core: RuntimeCore, session: bytes, now: int) -> _Candidate | None:
    """Return a session if it is over the time that it set itself."""
    catalog, journal = core.store.catalog, core.store.journal
    try:
        row, last = catalog.row(session), journal.last(session)
        if row is None or row.config is None or last is None:
            return None
        settings = unpack_value(row.config)
        days, idle = settings.get("retention_days"), settings.get("delete_after_idle_days")
        if days is not None and row.ended_at is not None and now - row.ended_at >= days * DAY:
            return _whole(core, session, row, f"ended more than {days:g} days ago")
        if idle is not None and now - (journal.last_but(session, CARE) or last[1].time) >= idle * DAY:
            return _whole(core, session, row, f"nothing has happened in it for {idle:g} days", last[0])
    except (IntegrityError, SchemaTooNew):
        pass  # damaged: repair it before deciding what to delete
    return None


def _whole(core: RuntimeCore, session: bytes, row: SessionRow, reason: str, sequence: int | None = None) -> _Candidate:
    session_id = session_id_of(session)
    try:
        size = core.store.catalog.info(session_id).total_artifact_size
    except (IntegrityError, SchemaTooNew, SessionNotFound):
        size = 0
    return _Candidate(Removal(session_id, None, row.name, None, size, reason), sequence=sequence)


def _all_versions(core: RuntimeCore, policy: RetentionPolicy, now: int) -> Iterator[_Candidate | None]:
    for session, row in core.store.catalog.rows(tuple(SessionStatus)):
        active = STATUSES[row.status] is SessionStatus.ACTIVE  # only an active session takes writes
        yield None
        for removal in _versions(core, session, policy, now):
            yield _Candidate(removal, possible=active)


def _journals(core: RuntimeCore, policy: RetentionPolicy, now: int, *, dry_run: bool) -> Iterator[JournalCut]:
    """Truncate the journals, also those of scopes."""
    days, most = policy.keep_journal_days, policy.max_journal_events
    before = now - int(min(days * DAY, now)) if days is not None else None
    for session, cut in cut_journals(core.store, before=before, most=most, dry_run=dry_run):
        yield JournalCut(session_id_of(session), cut.events, cut.bytes, cut.base)


def _remove(core: RuntimeCore, candidate: _Candidate) -> None:
    removal = candidate.removal
    if removal.artifact is not None:
        core.ask(removal.session_id, m.DeleteArtifact(ArtifactId.parse(removal.artifact)))
        return
    looked_at = candidate.sequence
    for look in range(LOOKS):
        try:
            core.ask(removal.session_id, m.DeleteSession(expected_sequence=looked_at))
            return
        except Conflict:
            # The runtime's own care of the session, such as saving it when it leaves memory, is no use of it.
            again = _over_its_own_time(core, session_bytes(removal.session_id), core.clock.time_ns())
            if again is None or look == LOOKS - 1:
                raise
            looked_at = again.sequence


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


def add_figures(each: Removal | Skipped | JournalCut | None, figures: dict[str, int]) -> None:
    """Add what was done, or not done, to the figures of a run."""
    if isinstance(each, JournalCut):
        figures["journals"] += 1
        figures["events"] += each.events
    elif isinstance(each, Skipped):
        figures["skipped"] += 1
    elif each is not None:
        figures["sessions" if each.artifact is None else "artifacts"] += 1
        figures["bytes"] += each.size
