"""Events that no other command causes: published events, links between events, and records of the runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.messages.events import LinkEvents, PublishEvent, RecordEvent
from greenroom.actors.session.state.model import ACTIVE, SessionState
from greenroom.storage.artifacts.model import ArtifactInfo
from greenroom.storage.errors import ValidationError
from greenroom.storage.events.index import LINKED, event_place
from greenroom.storage.events.model import PUBLISHED, PUBLISHED_HASH, published_type

from .draft import Limits, Lookup, require_writable

__all__ = ["EVENT_DECIDERS", "retrieval"]


def retrieval(info: ArtifactInfo) -> dict[str, Any]:
    """Return the data of `artifact.retrieved`, which is published when content has been read."""
    return {
        "sequence": info.id.sequence,
        "content_hash": info.id.content_hash,
        "name": info.name,
        "version": info.version,
        "type": info.artifact_type,
        "size": info.size,
    }


# -- deciding


def _publish(state: SessionState, command: PublishEvent, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    encoded = command.encoded
    data = {PUBLISHED: command.packed} if encoded is None else {PUBLISHED_HASH: encoded.hash}
    return [PendingEvent(published_type(command.type), data)]


def _link(state: SessionState, command: LinkEvents, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    place = event_place(command.from_id)
    if place is None or place[0] != state.session or place[1] > state.sequence:
        raise ValidationError(f"from_id: session {state.id} has no such event", field="from_id")
    return [PendingEvent(LINKED, {"from": command.from_id, "to": command.to_id, "kind": command.kind})]


def _record(state: SessionState, command: RecordEvent, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    # Recording an execution must never fail: reading works in every status.
    if state.status != ACTIVE or state.operation_count >= limits.max_operations:
        return []
    return [PendingEvent(command.type, command.data)]


EVENT_DECIDERS: Final[dict[type[m.Command[Any]], Callable[[SessionState, Any, Limits, Lookup], list[PendingEvent]]]] = {
    PublishEvent: _publish,
    LinkEvents: _link,
    RecordEvent: _record,
}
