"""The metrics of one session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from greenroom.actors.session.loading import load_state
from greenroom.actors.store import ArtifactStore
from greenroom.storage.catalog.model import STATUSES, SessionRow
from greenroom.storage.codec.keys import session_id_of
from greenroom.storage.common.times import nanoseconds, utc_time

from .metrics import Figures, figures_of
from .pseudonyms import Pseudonyms
from .reading import Window, read_session
from .tally import Tally

__all__ = ["Facts", "SessionMetrics", "facts_of", "session_metrics"]

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionMetrics(Figures):
    """What a session is now, and what its events within the window tell.

    Of now: status, created_by, the times of its beginning and its end, duration (seconds to its end, or to its newest
    event), artifacts and artifact_bytes that it has, state_bytes (of its state, as a snapshot keeps it). In privacy
    mode session_id and created_by are pseudonyms.
    """

    session_id: str
    status: str
    created_by: str | None
    created_at: datetime
    ended_at: datetime | None
    duration: float
    artifacts: int
    artifact_bytes: int
    state_bytes: int


@dataclass(frozen=True, slots=True)
class Facts:
    """One session as it was read: its row, what it is now, and the tally of its events.

    seconds: how long it has existed within the window.
    """

    row: SessionRow
    duration: float
    artifacts: int
    artifact_bytes: int
    state_bytes: int
    seconds: float
    tally: Tally


def facts_of(store: ArtifactStore, session: bytes, row: SessionRow, window: Window, bucket: float) -> Facts:
    """Read a session. Raises IntegrityError or SchemaTooNew where that cannot be done."""
    info = store.catalog.info_of(session, row)
    updated = nanoseconds(info.updated_at)
    if row.created_at < window.high and updated >= window.low:
        tally = read_session(store.journal, session, info.sequence, window, bucket)
    else:
        tally = Tally(bucket)
    begin, end = max(row.created_at, window.low), min(row.ended_at or updated, window.high)
    state = load_state(store, session_id_of(session))[0]
    return Facts(
        row,
        info.duration,
        info.artifact_count,
        info.total_artifact_size,
        len(state.encode()),
        max(0, end - begin) / _SECOND,
        tally,
    )


def session_metrics(
    store: ArtifactStore,
    session: bytes,
    row: SessionRow,
    window: Window,
    bucket: float,
    pseudonyms: Pseudonyms | None,
) -> SessionMetrics:
    """The metrics of a session. Raises what `facts_of` raises."""
    facts = facts_of(store, session, row, window, bucket)
    session_id, created_by = session_id_of(session), row.created_by
    if pseudonyms is not None:
        session_id = pseudonyms.session(session_id)
        created_by = pseudonyms.name(created_by) if created_by is not None else None
    return SessionMetrics(
        session_id=session_id,
        status=str(STATUSES[row.status]),
        created_by=created_by,
        created_at=utc_time(row.created_at),
        ended_at=utc_time(row.ended_at) if row.ended_at is not None else None,
        duration=facts.duration,
        artifacts=facts.artifacts,
        artifact_bytes=facts.artifact_bytes,
        state_bytes=facts.state_bytes,
        **figures_of(facts.tally, facts.seconds, pseudonyms),
    )
