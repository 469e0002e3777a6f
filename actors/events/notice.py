"""An event on its way to subscribers."""

from __future__ import annotations

from typing import Any

from greenroom.storage.codec.records import seal, unseal
from greenroom.storage.events.model import TTL, Event, Load, Origin, StoredEvent, event_of, event_view, origin_of

__all__ = ["Notice"]


class Notice:
    """An event on its way to subscribers. Each makes a view of its own, so none sees what another does with it."""

    __slots__ = ("_load", "_sequence", "_stored", "session_id", "size", "told_id")

    def __init__(
        self,
        session_id: str,
        sequence: int,
        stored: StoredEvent,
        told_id: str | None = None,
        load: Load | None = None,
    ) -> None:
        self._load = load
        self.session_id = session_id
        self.told_id = told_id
        self._sequence = sequence
        self._stored = stored
        size = 0
        for value in stored.data.values():
            kind = value.__class__
            if kind is bytes or kind is str:
                size += len(value)
            elif kind is dict or kind is list:
                size += len(seal(b"", value))
        self.size = size

    @property
    def type(self) -> str:
        """The type as it is stored."""
        return self._stored.type

    @property
    def origin(self) -> Origin:
        return origin_of(self._stored)

    @property
    def time(self) -> int:
        return self._stored.time

    @property
    def expires(self) -> float | None:
        """The time, in ns since the epoch, from which on nobody gets it any more."""
        context = self._stored.context
        ttl = context.get(TTL) if context is not None else None
        return None if ttl is None else self._stored.time + ttl * 1e9

    @property
    def parent(self) -> str | None:
        """The parent of a deleted session: no other record names it any more."""
        parent: str | None = self._stored.data.get("parent")
        return parent

    @property
    def data(self) -> dict[str, Any]:
        """The data as stored. They are shared with the session and must not be changed."""
        return self._stored.data

    def event(self) -> Event:
        # The actor's state shares lists with the events that it has journaled.
        stored = event_of(unseal(b"", seal(b"", self._stored.fields())))
        return event_view(self.session_id, self._sequence, stored, self.told_id, self._load)
