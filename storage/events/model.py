"""Events as the journal stores them and as users see them."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

from greenroom.storage.codec.records import SCHEMA_VERSION, Json, Value, unpack_value
from greenroom.storage.common.times import iso_time, utc_time
from greenroom.storage.errors import ValidationError

from .calls import (
    CALL_FIELDS,
    LZ4,
    RAW_FIELDS,
    RECORDING_CROSSING,
    RECORDING_ENDED,
    RECORDING_READS,
    RECORDING_STARTED,
    RESULT_CHANGED,
    SHARED_FIELDS,
    call_value,
)

__all__ = [
    "ENCODED_FIELDS",
    "PUBLISHED",
    "PUBLISHED_HASH",
    "RESULT_CHANGED",
    "TTL",
    "BareData",
    "Event",
    "Load",
    "Origin",
    "StoredEvent",
    "Totals",
    "as_origin",
    "event_ids",
    "event_of",
    "event_view",
    "new_event",
    "origin_of",
    "published_type",
    "shown_type",
]

Totals = tuple[int, int, int]

"""(operation_count, artifact_count, total_artifact_size) after an event. Every event carries them, so that the facts
which change with each write are read with one seek and need no second record."""


class StoredEvent(NamedTuple):
    """An event as the journal stores it. `time` is ns since the epoch; `context` has the ids, source, target, tags and
    language of an `Event`. An event without a context is stored without that field."""

    type: str
    time: int
    data: dict[str, Any]
    operation_count: int
    artifact_count: int
    artifact_bytes: int
    context: dict[str, Any] | None = None

    @property
    def totals(self) -> Totals:
        return self.operation_count, self.artifact_count, self.artifact_bytes

    def fields(self) -> tuple[Any, ...]:
        """Return the fields as they are stored."""
        return self if self.context is not None else self[:6]


new_event: Final[Callable[[Iterable[Any]], StoredEvent]] = partial(tuple.__new__, StoredEvent)
"""Make an event from its seven fields. A commit does this for each event, at two thirds of the usual cost."""


def event_of(fields: list[Any]) -> StoredEvent:
    """Return the event from its fields as they are stored. The list must not be used afterwards."""
    if len(fields) == 6:
        fields.append(None)
    return new_event(fields)


# User values inside event data are stored encoded, so that folding need not decode them.
ENCODED_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "session.created": ("metadata", "config"),
    "metadata.updated": ("metadata",),
    "session.configured": ("config",),
    "variable.set": ("value",),
    "message.added": ("content", "tool_calls", "metadata"),
    "message.started": ("metadata",),
    "message.finished": ("content", "tool_calls", "metadata"),
    "message.edited": ("content", "metadata"),
    "artifact.stored": ("custom",),
    "approval.requested": ("schema", "metadata"),
    "approval.answered": ("value",),
    "tool.called": ("input",),
    "tool.returned": ("result",),
    RESULT_CHANGED: ("result",),
    "agent.called": ("input", "parameters"),
    "agent.returned": ("result",),
    "workflow.started": ("definition", "given"),
    "workflow.stage": ("result",),
    "workflow.decided": ("value",),
    "hook.executed": ("data", "result"),
    "script.started": ("arguments",),
    "script.finished": ("value", "transcript"),
    RECORDING_STARTED: ("about",),
    RECORDING_CROSSING: ("input", "outcome", "flow"),
    RECORDING_READS: ("reads",),
    RECORDING_ENDED: ("about",),
    "command.answered": ("reply",),
}

_HASHES: Final = (
    "content_hash",
    "tool_calls_hash",
    "metadata_hash",
    "previous_hash",
    "published_hash",
    "input_hash",
    "system_prompt_hash",
    "parameters_hash",
    "result_hash",
    "source_hash",
    "arguments_hash",
    "value_hash",
    "output_hash",
    "transcript_hash",
    "about_hash",
    "body_hash",
    "outcome_hash",
    "chunks_hash",
    "flow_hash",
    "reads_hash",
)

PUBLISHED: Final = "published"

"""The entry in the data of published events that holds all data of the host or script, encoded."""

PUBLISHED_HASH: Final = "published_hash"

"""The entry in its place if the data are large: the hash of the content that holds them."""

TTL: Final = "ttl"

"""The entry in the context of a published event with the seconds after which subscribers do not get it any more."""

_MARK: Final = "~"
"""Begins the stored type of a published event, unless the type is in the family that is for published events only. No
fold, index or policy knows such a type, so nothing published is taken for a fact. Types do not contain it."""
_OWN_FAMILY: Final = "custom."


class BareData(dict[str, Any]):
    """The data of an event that was published with a value that is no object: its one entry, `value`, has it."""


class Origin(enum.StrEnum):
    """Where an event comes from."""

    RUNTIME = "runtime"
    """greenroom itself journaled it: it is a fact."""
    PUBLISHED = "published"
    """A host or a script published it, under a type of its choice."""


def as_origin(value: object) -> Origin | None:
    """Return the origin that an argument names, if any. Raises ValidationError."""
    if value is None or type(value) is Origin:
        return value
    if type(value) is str and value in _ORIGINS:
        return Origin(value)
    raise ValidationError(f"origin: one of {', '.join(Origin)} is needed", field="origin")


_ORIGINS: Final = frozenset(each.value for each in Origin)


def published_type(type_: str) -> str:
    """Return the type that a published event is stored with."""
    return type_ if type_.startswith(_OWN_FAMILY) else _MARK + type_


def shown_type(stored: str) -> str:
    """Return the type that an event was published or journaled with, from the type that is stored."""
    return stored[1:] if stored.startswith(_MARK) else stored


def origin_of(stored: StoredEvent) -> Origin:
    data = stored.data
    return Origin.PUBLISHED if PUBLISHED in data or PUBLISHED_HASH in data else Origin.RUNTIME


@dataclass(frozen=True, slots=True)
class Event:
    """An event that was journaled, or one that was only published to subscribers: such an event has `sequence` 0 and a
    UUID as id.

    `data` holds JSON values and bytes; `timestamp` is aware UTC. `session_id` is empty if no session is concerned.
    `origin` is "runtime" for facts, and "published" for what a host or a script published, under whatever type.
    """

    id: str
    type: str
    session_id: str
    sequence: int
    timestamp: datetime
    data: dict[str, Json] = field(default_factory=dict)
    correlation_id: str | None = None
    causation_id: str | None = None
    root_id: str | None = None
    source: str | None = None
    target: str | None = None
    tags: tuple[str, ...] = ()
    language: str | None = None
    schema_version: int = SCHEMA_VERSION
    origin: Origin = Origin.RUNTIME

    def __repr__(self) -> str:
        return f"<Event {self.id} {self.type}>"

    @property
    def payload(self) -> Json:
        """What was published: `data`, or the value that is no object, which `data` has in its one entry."""
        return self.data["value"] if type(self.data) is BareData else self.data

    def to_dict(self) -> dict[str, Json]:
        """Return every field by name, with the time in RFC 3339. Bytes in `data` stay bytes."""
        row: dict[str, Value] = {each.name: getattr(self, each.name) for each in fields(self)}
        row["timestamp"] = iso_time(self.timestamp)
        row["tags"] = list(self.tags)
        row["origin"] = self.origin.value
        return row


Load = Callable[[bytes], bytes | None]
"""Returns the content with a hash; None if it cannot be read."""


def event_view(
    session_id: str, sequence: int, stored: StoredEvent, told_id: str | None = None, load: Load | None = None
) -> Event:
    """Return a stored event as users see it; `told_id` is the id of an event that is not journaled. `load` reads large
    data; without them, the event has their hash.

    An event that names no root has the root of its cause, or is its own root. An event that names no correlation has
    the correlation of its cause, or else of its session, which is the session's id unless its creator has given
    another.
    """
    type_, time, data = shown_type(stored.type), stored.time, dict(stored.data)
    origin = origin_of(stored)
    for name in ENCODED_FIELDS.get(stored.type, ()):
        encoded = data.get(name)
        if encoded is not None:
            data[name] = unpack_value(encoded)
    if stored.type in CALL_FIELDS:
        data.pop("source_form", None)
        for name in RAW_FIELDS:
            if data.get(f"{name}_form") == LZ4:
                data[name] = call_value(stored.data, name, None)
                del data[f"{name}_form"]
        if load is not None:
            _load_fields(stored, data, load)
    packed = data.get(PUBLISHED)
    if PUBLISHED_HASH in data and load is not None:
        packed = load(data[PUBLISHED_HASH])
    if packed is not None:
        published = unpack_value(packed)
        data = published if isinstance(published, dict) else BareData(value=published)
    elif type_ == "records.changed" and origin is Origin.RUNTIME:
        data["changes"] = [_change_view(*fields) for fields in data["changes"]]
    else:
        for name in _HASHES:
            if isinstance(data.get(name), bytes):
                data[name] = data[name].hex()
    context = stored.context or {}
    own = told_id or f"{session_id}/{sequence}"
    correlation, causation, root = event_ids(own, context)
    return Event(
        id=own,
        type=type_,
        session_id=session_id,
        sequence=sequence,
        timestamp=utc_time(time),
        data=data,
        correlation_id=correlation,
        causation_id=causation,
        root_id=root,
        source=context.get("source"),
        target=context.get("target"),
        tags=tuple(context.get("tags", ())),
        language=context.get("language"),
        origin=origin,
    )


def _load_fields(stored: StoredEvent, data: dict[str, Any], load: Load) -> None:
    """Put the large fields of an event about a call into its data, but not those that `ScriptRun` reads."""
    for name in CALL_FIELDS[stored.type]:
        if f"{name}_hash" in data and name not in SHARED_FIELDS:
            value = call_value(stored.data, name, load)
            if value is not None:
                del data[f"{name}_hash"]
                data.pop(f"{name}_form", None)
                data[name] = value


def _change_view(key: bytes, digest: bytes | None, size: int, flags: int, replaced: int | None, *_: Any) -> Value:
    """Return the change of a record as users see it."""
    return {
        "key": key,
        "hash": digest.hex() if digest is not None else None,
        "size": size if digest is not None else None,
        "replaced_size": replaced,
    }


def event_ids(own: str, context: dict[str, Any]) -> tuple[str, str | None, str]:
    """Return the correlation, causation and root id of the event with the id `own`."""
    causation = context.get("causation_id")
    cause = context.get("root_id") or causation
    # An event without a cause belongs to its session; one that is not journaled and concerns no session, to itself.
    return context.get("correlation_id") or cause or own.partition("/")[0], causation, cause or own
