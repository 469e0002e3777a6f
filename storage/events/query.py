"""Queries for events, and the test of one stored event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypedDict

import pydantic
from annotated_types import Ge, MaxLen, MinLen

from greenroom.storage.common.session_ids import SessionHandle
from greenroom.storage.common.times import nanoseconds
from greenroom.storage.common.validation import Moment, SessionId, validated
from greenroom.storage.errors import ValidationError

from .model import Origin, StoredEvent, event_ids, origin_of, shown_type
from .pattern import EventPattern

__all__ = ["EventFilter", "EventKeywords", "EventQuery", "event_query"]

_MOST: Final = (1 << 63) - 1
_Count = Annotated[int, Ge(0), pydantic.Field(le=_MOST)]
_Text = Annotated[str, MinLen(1), MaxLen(4096)]


class EventQuery(pydantic.BaseModel):
    """Selects events: all given criteria must match.

    `type` is a pattern; an event must have all `tags`. Times are datetimes, RFC 3339 text or epoch seconds, from
    `after` on and before `before`. The oldest come first, or, `descending`, the newest.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    session_id: SessionId | None = None
    type: _Text | None = None
    correlation_id: _Text | None = None
    causation_id: _Text | None = None
    root_id: _Text | None = None
    source: _Text | None = None
    tags: tuple[_Text, ...] = ()
    origin: Origin | None = None
    after: Moment | None = None
    before: Moment | None = None
    descending: bool = False
    limit: _Count | None = None
    offset: _Count = 0

    @property
    def low(self) -> int:
        """The first nanosecond of the wanted time."""
        return nanoseconds(self.after) if self.after is not None else 0

    @property
    def high(self) -> int:
        """The first nanosecond after the wanted time."""
        return nanoseconds(self.before) if self.before is not None else (1 << 64) - 1

    @property
    def named(self) -> str | None:
        """An id under which every wanted event is listed, or the id of the event itself."""
        return self.causation_id or self.root_id or self.correlation_id


class EventKeywords(TypedDict, total=False):
    """The criteria of `EventQuery` as callers give them by keyword."""

    session_id: SessionHandle | str | None
    type: str | None
    correlation_id: str | None
    causation_id: str | None
    root_id: str | None
    source: str | None
    tags: Iterable[str]
    origin: Origin | Literal["runtime", "published"] | None
    after: datetime | str | float | None
    before: datetime | str | float | None
    descending: bool
    limit: int | None
    offset: int


def event_query(criteria: Mapping[str, Any]) -> EventQuery:
    """Return a query from its criteria. Raises ValidationError."""
    if type(criteria.get("tags")) is str:
        raise ValidationError("tags: a list of texts is needed, not one text", field="tags")
    return validated(EventQuery, criteria)


class EventFilter:
    """Tests stored events, so that only matching ones are decoded any further."""

    def __init__(self, query: EventQuery) -> None:
        self.low, self.high = query.low, query.high
        pattern = EventPattern(query.type) if query.type is not None else None
        self._matches = pattern.matches if pattern is not None and query.type != "**" else None
        self._types: dict[str, bool] = {}
        self._source = query.source
        self._origin = query.origin
        self._tags = frozenset(query.tags)
        self._ids = (query.correlation_id, query.causation_id, query.root_id)
        self._any_ids = any(each is not None for each in self._ids)

    def accepts(self, session_id: str, sequence: int, stored: StoredEvent) -> bool:
        if not self.low <= stored.time < self.high or not (self._matches is None or self._fits(stored.type)):
            return False
        if self._origin is not None and origin_of(stored) is not self._origin:
            return False
        context = stored.context or {}
        if self._source is not None and context.get("source") != self._source:
            return False
        if self._tags and not self._tags <= set(context.get("tags", ())):
            return False
        if not self._any_ids:
            return True
        correlation, causation, root = event_ids(f"{session_id}/{sequence}", context)
        together, caused, below = self._ids
        # If nobody has given a correlation, the id of an event stands for everything that it began.
        began = together == root and correlation == root.partition("/")[0]
        return (
            (together is None or together == correlation or began)
            and (caused is None or caused == causation)
            and (below is None or below == root)
        )

    def _fits(self, type_: str) -> bool:
        assert self._matches is not None
        known = self._types.get(type_)
        if known is None:
            if len(self._types) >= 4096:
                self._types.clear()
            known = self._types[type_] = self._matches(shown_type(type_))
        return known
