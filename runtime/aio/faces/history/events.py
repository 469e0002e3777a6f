"""`Events`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO, Unpack

from greenroom.runtime.aio.face import Face, beneath
from greenroom.runtime.events.events import Events
from greenroom.runtime.handles.reading.timeline import MAX_TIMELINE

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from greenroom.actors.messages.core import How
    from greenroom.runtime.events.events import Link
    from greenroom.runtime.handles.reading.timeline import TimelineRow
    from greenroom.storage.common.page import Page
    from greenroom.storage.common.session_ids import SessionHandle
    from greenroom.storage.events.model import Event
    from greenroom.storage.events.query import EventKeywords
__all__ = ["EventsFace"]


class EventsFace(Face[Events]):
    """The methods of `Events` that can be awaited as they are."""

    async def stats(self) -> dict[str, Any]:
        """Return figures of all subscriptions as JSON values: see `Events.stats`."""
        return await self._bridge.brief(self.sync.stats)

    async def publish(
        self,
        type: str,
        data: object = None,
        session: SessionHandle | str | None = None,
        *,
        correlation_id: str | None = None,
        source: str | None = None,
        target: str | None = None,
        tags: Iterable[str] = (),
        language: str | None = None,
        ttl_seconds: float | None = None,
        **how: Unpack[How],
    ) -> Event:
        """Publish an event and return it: see `Events.publish`."""
        return await self._bridge.run(
            self.sync.publish,
            type,
            data,
            beneath(session),
            correlation_id=correlation_id,
            source=source,
            target=target,
            tags=tags,
            language=language,
            ttl_seconds=ttl_seconds,
            **how,
        )

    async def link(self, from_event: Event | str, to_event: Event | str, kind: str, **how: Unpack[How]) -> Link:
        """Link an event to another one as caused_by, part_of, related_to, response_to, follows_from or
        concurrent_with: see `Events.link`."""
        return await self._bridge.run(self.sync.link, from_event, to_event, kind, **how)

    async def links(self, event: Event | str) -> list[Link]:
        """Return the links from and to an event: see `Events.links`."""
        return await self._bridge.run(self.sync.links, event)

    async def get(self, event_id: str) -> Event:
        """Return the journaled event with this id: see `Events.get`."""
        return await self._bridge.run(self.sync.get, event_id)

    async def query(self, **criteria: Unpack[EventKeywords]) -> Page[Event]:
        """Return the journaled events that match, by time, as a page with the `total` before pagination: see
        `Events.query`."""
        return await self._bridge.run(self.sync.query, **criteria)

    async def timeline(self, correlation_id: str, limit: int = MAX_TIMELINE) -> Page[TimelineRow]:
        """Return the events of all sessions with this correlation id, in causal order, else by time: see
        `Events.timeline`."""
        return await self._bridge.run(self.sync.timeline, correlation_id, limit)

    async def export(self, target: str | os.PathLike[str] | TextIO, **criteria: Unpack[EventKeywords]) -> int:
        """Write the events that match, with every field, as JSON lines to a path or a text file: see
        `Events.export`."""
        return await self._bridge.run(self.sync.export, target, **criteria)
