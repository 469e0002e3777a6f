"""Messages that publish, link, record and read events."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Unpack

from greenroom.actors.scheduling.operation import CURRENT
from greenroom.storage.codec.plain import plain
from greenroom.storage.codec.records import Value, checked_data, pack_value, unpack_value
from greenroom.storage.common.arguments import as_seconds, as_text
from greenroom.storage.engine.engine import Durability
from greenroom.storage.errors import ResourceLimitExceeded, ValidationError
from greenroom.storage.events.index import event_place
from greenroom.storage.events.model import TTL, Event

from .calls import Called
from .checks import EMPTY_METADATA, MAX_NAME, tag_list, whole_number
from .core import Command, How, Points, Query
from .permissions import WRITE

if TYPE_CHECKING:
    from greenroom.storage.content.chunks import Encoded

__all__ = [
    "INLINE_EVENT_BYTES",
    "LINK_KINDS",
    "MAX_EVENT_BYTES",
    "RESERVED_FAMILIES",
    "GetEvents",
    "LinkEvents",
    "PublishEvent",
    "RecordEvent",
]

MAX_EVENT_BYTES: Final = 16 << 20
INLINE_EVENT_BYTES: Final = 64 << 10
"""Data of an event with more encoded bytes than this are stored as deduplicated content."""

LINK_KINDS: Final = ("caused_by", "part_of", "related_to", "response_to", "follows_from", "concurrent_with")

RESERVED_FAMILIES: Final = frozenset(
    {
        "agent",
        "approval",
        "artifact",
        "command",
        "event",
        "hook",
        "journal",
        "losses",
        "message",
        "metadata",
        "policy",
        "recording",
        "records",
        "replay",
        "retention",
        "scope",
        "script",
        "session",
        "state",
        "system",
        "tags",
        "tool",
        "variable",
        "workflow",
    }
)

"""First segments of the types of events that the runtime itself produces."""

_TYPE: Final = re.compile(r"[\w:-]+(\.[\w:-]+)*")


class PublishEvent(Command[Event]):
    """Journal an event of the sender's own. Replies the Event.

    `type` is dotted (`custom.step_done`); `data` is any JSON value of at most 16 MiB; one that is no object is seen in
    the data of the event as `value`. `correlation_id`, `language` and, if the host sends it, `source` override those
    of the sender's operation. Subscribers that are slower than `ttl_seconds` do not get it; the journal keeps it. The
    event's origin is "published", whatever its type.
    """

    __slots__ = ("correlation_id", "encoded", "language", "packed", "source", "tags", "target", "ttl_seconds", "type")
    preparation = "content"
    whole = WRITE
    rate = "event"
    points = Points("BeforeEventEmit", "AfterEventEmit")

    def __init__(
        self,
        type: str,
        data: object = None,
        *,
        correlation_id: str | None = None,
        source: str | None = None,
        target: str | None = None,
        tags: Iterable[str] = (),
        language: str | None = None,
        ttl_seconds: float | None = None,
        **how: Unpack[How],
    ) -> None:
        super().__init__(**how)
        self.type = _published_type(type)
        self.packed = _packed_data(data) if data is not None else EMPTY_METADATA
        if len(self.packed) > MAX_EVENT_BYTES:
            raise ResourceLimitExceeded(
                f"the data of an event may have {MAX_EVENT_BYTES} bytes, these have {len(self.packed)}: "
                "store an artifact and name it",
                resource="event_bytes",
                limit=MAX_EVENT_BYTES,
                value=len(self.packed),
            )
        self.correlation_id = _maybe_name("correlation_id", correlation_id)
        self.source = _maybe_name("source", source)
        self.target = _maybe_name("target", target)
        self.tags = tag_list(tags)
        self.language = _maybe_name("language", language)
        self.ttl_seconds = as_seconds("ttl_seconds", ttl_seconds) if ttl_seconds is not None else None
        self.encoded: Encoded | None = None

    @property
    def content_bytes(self) -> int:
        return len(self.packed)

    def carried(self) -> list[tuple[Encoded, Any]]:
        return [(self.encoded, self.packed)] if self.encoded is not None else []

    @property
    def data(self) -> Value:
        return unpack_value(self.packed)

    def in_context(self, context: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return the context of the event, made from the context of the operation. Code that acts for a session cannot
        choose its source: nobody may pass for somebody else."""
        operation = CURRENT.get()
        chosen = self.source if operation is None or operation.principal is None else None
        own = {
            "correlation_id": self.correlation_id,
            "source": chosen,
            "target": self.target,
            "tags": self.tags or None,
            "language": self.language,
            TTL: self.ttl_seconds,
        }
        mine = {name: value for name, value in own.items() if value is not None}
        return {**(context or {}), **mine} or None


class LinkEvents(Command[Event]):
    """Journal a link from an event of this session to any event: "this one was `kind` that one". Replies the Event."""

    __slots__ = ("from_id", "kind", "to_id")
    rate = "event"

    def __init__(self, from_id: str, to_id: str, kind: str, **how: Unpack[How]) -> None:
        super().__init__(**how)
        for field, value in (("from_id", from_id), ("to_id", to_id)):
            if event_place(value) is None:
                raise ValidationError(
                    f"{field}: the id of a journaled event is needed, a session's id, a slash and a sequence",
                    field=field,
                )
        if type(kind) is not str or kind not in LINK_KINDS:
            raise ValidationError(f"kind: one of {', '.join(LINK_KINDS)} is needed", field="kind")
        if from_id == to_id:
            raise ValidationError("an event cannot be linked with itself", field="to_id")
        self.from_id = from_id
        self.to_id = to_id
        self.kind = kind


class RecordEvent(Command[Called | None]):
    """Journal a fact that the runtime itself has found. Replies Called, or None if the session takes no events any
    more.

    `data` are plain values that the runtime has made.
    """

    __slots__ = ("data", "type")
    batched = False
    note = True
    rate = None

    def __init__(self, type: str, data: dict[str, Any]) -> None:
        # Nobody waits for the disk because of a record like this.
        super().__init__(durability=Durability.WAL)
        self.type = type
        self.data = checked_data(data)


def _published_type(value: object) -> str:
    value = as_text("type", value, MAX_NAME)
    if _TYPE.fullmatch(value) is None:
        raise ValidationError(
            f"type: 1 to {MAX_NAME} letters, digits, '_', '-' and ':' in segments between dots are needed, "
            "as in custom.step_done",
            field="type",
        )
    return value


def _packed_data(data: object) -> bytes:
    return pack_value(data if type(data) is dict else plain(data, "data"), "data")


def _maybe_name(field: str, value: object) -> str | None:
    return as_text(field, value, MAX_NAME) if value is not None else None


class GetEvents(Query[list[Event]]):
    """Replies a list of at most `limit` events with a sequence greater than `after`."""

    __slots__ = ("after", "limit")

    def __init__(self, after: int = 0, limit: int | None = None) -> None:
        self.after = whole_number("after", after) or 0
        self.limit = whole_number("limit", limit)
