"""The rows that globals return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from greenroom.runtime import (
    Approval,
    Artifact,
    ArtifactId,
    ArtifactInfo,
    Event,
    Message,
    SearchHit,
    SessionConfig,
    SessionInfo,
    TimelineRow,
)
from greenroom.runtime.scripts import reply_as

__all__ = [
    "approval_row",
    "artifact_row",
    "config_row",
    "content_row",
    "event_row",
    "filled",
    "identity_row",
    "message_row",
    "search_row",
    "session_row",
    "stored_row",
    "timeline_row",
    "without_nothing",
]


def filled(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without the fields that have no value."""
    return {key: value for key, value in row.items() if value is not None}


def without_nothing(value: Any) -> Any:
    """Return a value without the fields that have none, in all its parts."""
    if isinstance(value, Mapping):
        return {key: without_nothing(each) for key, each in value.items() if each is not None}
    return [without_nothing(each) for each in value] if isinstance(value, list) else value


def session_row(info: SessionInfo) -> dict[str, Any]:
    """Return every field of SessionInfo by name, times in RFC 3339; fields without a value are left out."""
    info = reply_as(SessionInfo, info, "a session's facts")
    return filled(info.to_dict())


def config_row(config: SessionConfig) -> dict[str, Any]:
    """Return the settings of a session; limits that are not set are left out."""
    row: dict[str, Any] = without_nothing(
        reply_as(SessionConfig, config, "a session's settings").model_dump(mode="json")
    )
    return row


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
    row["data"] = event.payload
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


def search_row(hit: SearchHit) -> dict[str, Any]:
    """Return every field of a hit by name, and its snippet with marks as `marked`; fields without a value are left
    out."""
    hit = reply_as(SearchHit, hit, "a hit of a search")
    row = filled(hit.to_dict())
    row["marked"] = hit.marked()
    if hit.artifact is not None:
        row["artifact"] = identity_row(hit.artifact)
    return row
