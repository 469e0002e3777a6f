"""`rt.analytics`: metrics of one session or of many, read from their journals."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import pydantic
from annotated_types import Ge, Gt

from greenroom.runtime.handles.session import Session, session_id_of
from greenroom.storage.catalog.query import SessionQuery, session_query
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.session_ids import is_session_id, session_bytes
from greenroom.storage.common.times import nanoseconds
from greenroom.storage.common.validation import Moment, validated
from greenroom.storage.errors import SessionNotFound, ValidationError

from .aggregate import AggregateMetrics, Aggregation
from .metrics import SessionMetrics, session_metrics
from .pseudonyms import Pseudonyms
from .tally import Window

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore
    from greenroom.runtime.events.events import Events

    from .exposition import EventCounts, RuntimeCollector

__all__ = ["Analytics"]

_DAY: Final = 86_400 * 1_000_000_000
_ALL_TIME: Final = (1 << 64) - 1
_PAGING: Final = ("sort_by", "descending", "limit", "offset", "cursor")


class _Wanted(pydantic.BaseModel):
    """The window of time and its resolution."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    since: Moment | None = None
    until: Moment | None = None
    bucket: Annotated[float, Gt(0), pydantic.Field(le=366 * 86400, allow_inf_nan=False)] = 3600.0
    top: Annotated[int, Ge(0), pydantic.Field(le=1000)] = 10


class Analytics:
    """Computes metrics from journals on request; nothing is counted while sessions work.

    Code that acts for a session sees only this session and its descendants.

    Example:
        ```py
        rt.analytics.session(s).tools.by_name["weather"].success_rate
        rt.analytics.aggregate(since="2026-01-01T00:00:00Z", tags=["nlp"]).top["cost"]
        ```
    """

    def __init__(self, core: RuntimeCore, events: Events) -> None:
        self._core = core
        self._events = events
        self._lock = threading.Lock()
        self._pseudonyms: Pseudonyms | None = None
        self._counts: EventCounts | None = None

    def __repr__(self) -> str:
        return "<Analytics>"

    # -- metrics

    @checked
    def session(
        self,
        session: Session | str,
        *,
        since: datetime | str | float | None = None,
        until: datetime | str | float | None = None,
        bucket: float = 3600.0,
        privacy: bool | None = None,
    ) -> SessionMetrics:
        """Return the metrics of one session, from one pass over its journal.

        since, until: a datetime, RFC 3339 text or seconds since the epoch; events from `since` on and before `until`
        count. bucket: the length of a bucket of `activity` in seconds. privacy: pseudonyms in place of ids and names
        (default: `analytics_privacy`). Raises SessionNotFound, IntegrityError where the journal is damaged,
        ValidationError.
        """
        core = self._core
        core.check_open()
        wanted = validated(_Wanted, {"since": since, "until": until, "bucket": bucket})
        session_id = session_id_of(session, "session") or ""
        core.security.require(session_id, "analytics.session")
        core.settle(session_id)
        key = session_bytes(session_id) if is_session_id(session_id) else b""
        row = core.store.catalog.row(key) if key else None
        if row is None:
            raise _not_found(session_id)
        try:
            return session_metrics(core.store, key, row, self._window(wanted), wanted.bucket, self.private(privacy))
        except SessionNotFound:
            raise _not_found(session_id) from None

    @checked
    def aggregate(
        self,
        *,
        since: datetime | str | float | None = None,
        until: datetime | str | float | None = None,
        bucket: float = 3600.0,
        top: int = 10,
        privacy: bool | None = None,
        on_progress: Callable[[str, int], None] | None = None,
        **query: Any,
    ) -> AggregateMetrics:
        """Return the metrics of all sessions that match a query, in any status unless the query names one.

        The keys of the query are those of `list_sessions`, without order and pages. The time taken grows with the
        number of events within the window: journals outside of it are not read. Damaged sessions are skipped, counted
        and named. `on_progress` gets "sessions" and the number read so far. Raises ValidationError.
        """
        core = self._core
        core.check_open()
        wanted = validated(_Wanted, {"since": since, "until": until, "bucket": bucket, "top": top})
        core.settle()
        found = Aggregation(self._window(wanted), wanted.bucket, wanted.top, self.private(privacy))
        principal = core.security.principal()
        family = core.family(principal) if principal is not None else None
        sessions = core.store.catalog.matching(_query(query), family, found.damaged)
        found.read(core.store, sessions, on_progress)
        return found.metrics()

    def _window(self, wanted: _Wanted) -> Window:
        low = nanoseconds(wanted.since) if wanted.since is not None else 0
        high = nanoseconds(wanted.until) if wanted.until is not None else _ALL_TIME
        days = self._core.config.analytics_retention_days
        if days is not None:
            low = max(low, self._core.clock.time_ns() - round(days * _DAY))
        return Window(low, high)

    def private(self, privacy: bool | None) -> Pseudonyms | None:
        """Return the pseudonyms if privacy is wanted; None means the runtime's setting. Raises ConfigurationError."""
        if privacy is not None and not isinstance(privacy, bool):
            raise ValidationError("privacy: true, false, or None for the runtime's setting", field="privacy")
        wanted = privacy if privacy is not None else self._core.config.analytics_privacy
        if not wanted:
            return None
        with self._lock:
            if self._pseudonyms is None:
                file = self._core.config.analytics_key_file
                self._pseudonyms = Pseudonyms.from_file(file) if file is not None else Pseudonyms()
            return self._pseudonyms

    # -- for Prometheus

    def prometheus(self) -> str:
        """Return the figures of this runtime in Prometheus' text format. Needs the extra `metrics`; for the host.

        Raises ConfigurationError without it.
        """
        return self.collector().text()

    def collector(self) -> RuntimeCollector:
        """Return a collector to register in a registry of prometheus_client. Needs the extra `metrics`; for the host.

        Raises ConfigurationError without it.
        """
        self._core.require_host("analytics.collector")
        from .exposition import RuntimeCollector

        return RuntimeCollector(self._core, lambda: self._counts)

    @checked
    def count_events(self, capacity: int = 50_000) -> None:
        """Count from now on also events, calls, errors and durations for Prometheus, until the runtime is closed.

        The events come from a subscription with a queue of `capacity`. When the queue is full, events are dropped and
        only their number is counted, so that no session waits. Idempotent. Raises what `events.subscribe` raises,
        ConfigurationError.
        """
        self._core.check_open()
        self._core.require_host("analytics.count_events")
        from .exposition import EventCounts

        with self._lock:
            if self._counts is None:
                counts = EventCounts(self._events.subscribe("**", capacity, "drop_newest"))
                self._core.timers.every(EventCounts.EVERY, counts.count)
                self._counts = counts


def _query(criteria: dict[str, Any]) -> SessionQuery:
    for name in _PAGING:
        if name in criteria:
            raise ValidationError(f"{name}: a query for figures has no order and no pages", field=name)
    return session_query({"status": "all"}, criteria)


def _not_found(session_id: str) -> SessionNotFound:
    return SessionNotFound(f"there is no session {session_id[:64]!r}", session_id=session_id[:64])
