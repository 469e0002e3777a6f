"""The metrics of many sessions together."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from greenroom.actors.store import ArtifactStore
from greenroom.storage.catalog.model import STATUSES, SessionRow
from greenroom.storage.common.session_ids import session_id_of
from greenroom.storage.common.times import utc_time
from greenroom.storage.errors import IntegrityError, SchemaTooNew, SessionNotFound

from .counts import Distribution, Values, counted
from .metrics import Facts, Figures, facts_of, figures_of
from .pseudonyms import Pseudonyms
from .tally import Tally, Window

__all__ = ["AggregateMetrics", "Aggregation", "Ranked"]

_NAMED_DAMAGED: Final = 100
_TELL_EVERY: Final = 64
_MICRO: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Ranked:
    """A session with the value that it is ranked by."""

    session_id: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateMetrics(Figures):
    """The metrics of all sessions that match the filter.

    sessions: the number of sessions; active_sessions: the number with events within the window. by_status and
    by_creator count sessions. durations (seconds), operations_per_session and state_bytes cover active sessions;
    artifacts and artifact_bytes cover what all sessions have now. top: the sessions with the most "operations",
    "tokens", "cost" (dollars), "bytes" (of artifacts now) and "errors", largest first. damaged: the number of
    unreadable sessions, which count nowhere else; damaged_sessions names up to 100 of them. since and until: the
    window, None where open.
    """

    since: datetime | None
    until: datetime | None
    sessions: int
    active_sessions: int
    by_status: dict[str, int]
    by_creator: dict[str, int]
    durations: Distribution
    operations_per_session: Distribution
    state_bytes: Distribution
    artifacts: int
    artifact_bytes: int
    top: dict[str, tuple[Ranked, ...]]
    damaged: int
    damaged_sessions: tuple[str, ...]


_RANKINGS: Final[dict[str, Callable[[Facts], float]]] = {
    "operations": lambda facts: facts.tally.operations,
    "tokens": lambda facts: facts.tally.tokens[2],
    "cost": lambda facts: facts.tally.cost / _MICRO,
    "bytes": lambda facts: facts.artifact_bytes,
    "errors": lambda facts: sum(facts.tally.errors.values()),
}


class Aggregation:
    """Adds up the figures of sessions one by one, in bounded memory."""

    def __init__(self, window: Window, bucket: float, top: int, pseudonyms: Pseudonyms | None) -> None:
        self._window = window
        self._bucket = bucket
        self._top = top
        self._pseudonyms = pseudonyms
        self._tally = Tally(bucket)
        self._sessions = self._active = 0
        self._statuses: dict[str, int] = {}
        self._creators: dict[str, int] = {}
        self._durations, self._operations, self._states = Values(), Values(), Values()
        self._artifacts = self._bytes = 0
        self._seconds = 0.0
        self._ranked: dict[str, list[tuple[float, str]]] = {name: [] for name in _RANKINGS}
        self._damaged = 0
        self._damaged_sessions: list[str] = []

    def read(
        self,
        store: ArtifactStore,
        sessions: Iterable[tuple[bytes, SessionRow]],
        on_progress: Callable[[str, int], None] | None,
    ) -> None:
        """Read and add these sessions. Count damaged sessions separately; skip sessions that were deleted meanwhile."""
        for number, (session, row) in enumerate(sessions, 1):
            try:
                facts = facts_of(store, session, row, self._window, self._bucket, if_active=True)
                self._add(session_id_of(session), facts)
            except (IntegrityError, SchemaTooNew):
                self.damaged(session)
            except SessionNotFound:
                pass
            if on_progress is not None and number % _TELL_EVERY == 0:
                on_progress("sessions", number)

    def damaged(self, session: bytes) -> None:
        """Count a session that cannot be read."""
        self._damaged += 1
        if len(self._damaged_sessions) < _NAMED_DAMAGED:
            self._damaged_sessions.append(session_id_of(session))

    def _add(self, session_id: str, facts: Facts) -> None:
        self._sessions += 1
        counted(self._statuses, str(STATUSES[facts.row.status]))
        if facts.row.created_by is not None:
            counted(self._creators, facts.row.created_by)
        self._artifacts += facts.artifacts
        self._bytes += facts.artifact_bytes
        for name, value_of in _RANKINGS.items():
            self._rank(name, value_of(facts), session_id)
        if not facts.tally.events:
            return
        self._active += 1
        self._tally.merge(facts.tally)
        self._seconds += facts.seconds
        self._durations.add(facts.duration)
        self._operations.add(facts.tally.operations)
        self._states.add(facts.state_bytes)

    def _rank(self, name: str, value: float, session_id: str) -> None:
        ranked = self._ranked[name]
        if value <= 0:
            return
        if len(ranked) < self._top:
            heapq.heappush(ranked, (value, session_id))
        elif ranked:
            heapq.heappushpop(ranked, (value, session_id))

    def metrics(self) -> AggregateMetrics:
        window, pseudonyms = self._window, self._pseudonyms
        name = pseudonyms.session if pseudonyms is not None else str
        creators = self._creators
        if pseudonyms is not None:
            creators = {pseudonyms.name(each): count for each, count in creators.items()}
        return AggregateMetrics(
            since=utc_time(window.low) if window.low else None,
            until=utc_time(window.high) if window.bounded else None,
            sessions=self._sessions,
            active_sessions=self._active,
            by_status=dict(sorted(self._statuses.items())),
            by_creator=dict(sorted(creators.items(), key=lambda each: (-each[1], each[0]))),
            durations=self._durations.distribution(),
            operations_per_session=self._operations.distribution(),
            state_bytes=self._states.distribution(),
            artifacts=self._artifacts,
            artifact_bytes=self._bytes,
            top={
                ranking: tuple(Ranked(name(each), value) for value, each in sorted(ranked, reverse=True))
                for ranking, ranked in self._ranked.items()
            },
            damaged=self._damaged,
            damaged_sessions=tuple(map(name, self._damaged_sessions)),
            **figures_of(self._tally, self._seconds, pseudonyms),
        )
