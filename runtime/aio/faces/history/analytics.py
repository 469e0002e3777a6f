"""`Analytics`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenroom.runtime.aio.face import Face, beneath
from greenroom.runtime.analytics.analytics import Analytics

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from greenroom.runtime.analytics.aggregate import AggregateMetrics
    from greenroom.runtime.analytics.exposition import RuntimeCollector
    from greenroom.runtime.analytics.metrics import SessionMetrics
    from greenroom.storage.common.session_ids import SessionHandle
__all__ = ["AnalyticsFace"]


class AnalyticsFace(Face[Analytics]):
    """The methods of `Analytics` that can be awaited as they are."""

    async def session(
        self,
        session: SessionHandle | str,
        *,
        since: datetime | str | float | None = None,
        until: datetime | str | float | None = None,
        bucket: float = 3600.0,
        privacy: bool | None = None,
    ) -> SessionMetrics:
        """Return the metrics of one session, from one pass over its journal: see `Analytics.session`."""
        return await self._bridge.run(
            self.sync.session, beneath(session), since=since, until=until, bucket=bucket, privacy=privacy
        )

    async def aggregate(
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
        """Return the metrics of all sessions that match a query, in any status unless the query names one: see
        `Analytics.aggregate`."""
        return await self._bridge.run(
            self.sync.aggregate,
            since=since,
            until=until,
            bucket=bucket,
            top=top,
            privacy=privacy,
            on_progress=on_progress,
            **query,
        )

    async def prometheus(self) -> str:
        """Return the figures of this runtime in Prometheus' text format: see `Analytics.prometheus`."""
        return await self._bridge.run(self.sync.prometheus)

    async def collector(self) -> RuntimeCollector:
        """Return a collector to register in a registry of prometheus_client: see `Analytics.collector`."""
        return await self._bridge.run(self.sync.collector)

    async def count_events(self, capacity: int = 50000) -> None:
        """Count from now on also events, calls, errors and durations for Prometheus, until the runtime is
        closed: see `Analytics.count_events`."""
        await self._bridge.run(self.sync.count_events, capacity)
