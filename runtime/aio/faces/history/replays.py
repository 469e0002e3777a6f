"""`Replays`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.runtime.aio.face import Face, beneath
from greenroom.runtime.replay.controls.replays import Replays

if TYPE_CHECKING:
    import builtins
    from collections.abc import Mapping
    from datetime import datetime

    from greenroom.runtime.replay.config import ReplayConfig
    from greenroom.runtime.replay.controls.schedule import ReplaySchedule
    from greenroom.storage.common.session_ids import SessionHandle
__all__ = ["ReplaysFace"]


class ReplaysFace(Face[Replays]):
    """The methods of `Replays` that can be awaited as they are."""

    async def schedule(
        self,
        session: SessionHandle | str,
        config: ReplayConfig | Mapping[str, object] | None = None,
        *,
        once: datetime | str | float | None = None,
        interval: float | None = None,
        cron: str | None = None,
        timezone: str = "UTC",
        until: datetime | str | float | None = None,
        limit: int | None = None,
    ) -> ReplaySchedule:
        """Replay a session at a time (`once`), every `interval` seconds, or at the times of a `cron`
        expression: see `Replays.schedule`."""
        return await self._bridge.run(
            self.sync.schedule,
            beneath(session),
            config,
            once=once,
            interval=interval,
            cron=cron,
            timezone=timezone,
            until=until,
            limit=limit,
        )

    async def schedules(self, session: SessionHandle | str | None = None) -> builtins.list[ReplaySchedule]:
        """Return the schedules with runs ahead or under way: see `Replays.schedules`."""
        return await self._bridge.run(self.sync.schedules, beneath(session))
