"""The values that globals take and return: plain Python data, the same for all script languages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from greenroom.runtime import (
    Approval,
    Artifact,
    ArtifactId,
    ArtifactInfo,
    Event,
    Message,
    SessionInfo,
    TimelineRow,
    ValidationError,
)
from greenroom.runtime.scripts import nearest, reply_as

from .conversions import as_text, as_texts, as_whole

__all__ = [
    "UNDEFINED",
    "Undefined",
    "approval_row",
    "artifact_row",
    "content_row",
    "defined",
    "event_row",
    "filled",
    "identity_row",
    "message_row",
    "options",
    "session_row",
    "stored_row",
    "timeline_row",
    "without_nothing",
]


_NONE: Final[Mapping[str, str]] = {}


class Undefined:
    """The type of `UNDEFINED`."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNDEFINED"


Undefined.__name__ = "nothing"  # so errors call it
UNDEFINED: Final = Undefined()
"""A missing argument or answer: nil in Lua, undefined in JavaScript. None is the null of JSON."""


def defined(value: Any, default: Any = None) -> Any:
    """Return an argument, or the default if the script has not given it."""
    return default if value is UNDEFINED else value


def filled(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without the fields that have no value."""
    return {key: value for key, value in row.items() if value is not None}


_TEXTS: Final = frozenset(
    (
        *("artifact_type", "causation_id", "content", "content_hash", "correlation_id", "created_by", "cursor"),
        *(
            "description",
            "idempotency_key",
            "key",
            "key_prefix",
            "label",
            "mime_type",
            "name",
            "name_pattern",
            "prefix",
        ),
        *("root_id", "search", "source", "target", "template", "text", "tool_call_id", "type"),
    )
)
"""The options that are texts."""
_LISTS: Final = frozenset(("tags", "without_tags"))
"""The options that are lists of texts."""


def options(value: Any, what: str, known: Iterable[str], same: Mapping[str, str] = _NONE) -> dict[str, Any]:
    """Return a script's table of options, without null values. `same` has other names of known options.

    Raises ValidationError for an unknown name, with the nearest known one.
    """
    if value is UNDEFINED or value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValidationError(f"{what} takes a table of options", field=what)
    given: dict[str, Any] = {}
    for name, each in value.items():
        key = same.get(name, name)
        if key not in known:
            shown = str(name)[:100]
            near = nearest(shown, (*known, *same))
            raise ValidationError(
                f"{what}: unknown option {shown!r}; the nearest known one is {near!r}", field=shown, nearest=near
            )
        if each is None:
            continue
        if key in given:
            names = " and ".join(sorted(each for each in value if same.get(each, each) == key))
            raise ValidationError(f"{what}: {names} are the same: give one", field=key)
        given[key] = as_text(each) if key in _TEXTS else as_texts(each) if key in _LISTS else as_whole(each)
    return given


HOW: Final = frozenset(("expected_sequence", "idempotency_key"))
"""Options of all functions that change a session."""


def how(given: Any, what: str) -> dict[str, Any]:
    """Return a script's options for how a change is made. Raises ValidationError."""
    return options(given, what, HOW)


def without_nothing(value: Any) -> Any:
    """Return a value without the fields that have none, in all its parts."""
    if isinstance(value, Mapping):
        return {key: without_nothing(each) for key, each in value.items() if each is not None}
    return [without_nothing(each) for each in value] if isinstance(value, list) else value


def session_row(info: SessionInfo) -> dict[str, Any]:
    """Return every field of SessionInfo by name, times in RFC 3339; fields without a value are left out."""
    info = reply_as(SessionInfo, info, "a session's facts")
    return filled(info.to_dict())


def stored_row(info: ArtifactInfo) -> dict[str, Any]:
    """Return the id of an artifact that was stored, as a table."""
    return identity_row(reply_as(ArtifactInfo, info, "an artifact's facts").id)


def content_row(artifact: Artifact) -> dict[str, Any]:
    """Return an artifact as a table: its id, content and facts."""
    artifact = reply_as(Artifact, artifact, "an artifact")
    row = artifact_row(artifact.info)
    return {"id": row["id"], "content": artifact.content, "metadata": row}


def identity_row(identity: ArtifactId) -> dict[str, Any]:
    """Return an artifact id as a table."""
    return {
        "content_hash": identity.content_hash,
        "session_id": identity.session_id,
        "sequence": identity.sequence,
    }


def artifact_row(info: ArtifactInfo) -> dict[str, Any]:
    """Return every field of ArtifactInfo by name, its ids as tables; fields without a value are left out."""
    info = reply_as(ArtifactInfo, info, "an artifact's facts")
    row = filled(info.to_dict())
    row["id"] = identity_row(info.id)
    return row


def approval_row(approval: Approval) -> dict[str, Any]:
    """Return every field of a question to people by name; fields without a value are left out."""
    approval = reply_as(Approval, approval, "a question")
    return filled(approval.to_dict())


def event_row(event: Event) -> dict[str, Any]:
    """Return every field of an event by name, its type also as `event_type`; fields without a value are left out."""
    event = reply_as(Event, event, "an event")
    row = filled(event.to_dict())
    row["event_type"] = event.type
    return row


def timeline_row(row: TimelineRow) -> dict[str, Any]:
    """Return an event of a timeline: its fields, and `depth` and `cause`."""
    found = {**event_row(row.event), "depth": row.depth}
    if row.cause is not None:
        found["cause"] = row.cause
    return found


def message_row(message: Message) -> dict[str, Any]:
    """Return every field of a message by name; fields without a value are left out."""
    message = reply_as(Message, message, "a message")
    return filled(message.to_dict())
