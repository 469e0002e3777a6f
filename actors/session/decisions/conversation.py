"""The conversation of a session: its turns, read from the journal's message events."""

from __future__ import annotations

from typing import Any, Final

from greenroom.actors.messages.conversation import Turn
from greenroom.actors.store import ArtifactStore
from greenroom.storage.codec.keys import INDEX_MESSAGE, sequence_key
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.common.metering import ROW, counted
from greenroom.storage.engine.engine import CF
from greenroom.storage.events.model import Event

__all__ = ["INLINE_BYTES", "read_turns"]

INLINE_BYTES: Final = 4096
"""Content of a message with more encoded bytes than this is stored as deduplicated content."""


def read_turns(store: ArtifactStore, session: bytes, before: int, limit: int | None) -> list[Turn]:
    """Return the newest `limit` turns with a sequence smaller than `before`, oldest first."""
    prefix = INDEX_MESSAGE + session
    return store.journal.settled(session, lambda: _read_turns(store, session, prefix, before, limit))


def _read_turns(store: ArtifactStore, session: bytes, prefix: bytes, before: int, limit: int | None) -> list[Turn]:
    found = store.engine.scan(
        CF.INDEX, prefix, sequence_key(prefix, min(before, (1 << 64) - 1)), reverse=True, limit=limit
    )
    events = (store.journal.event(session, int.from_bytes(key[-8:], "big")) for key, _ in reversed(found))
    return [*counted((_turn(store, event) for event in events), _facts)]


def _facts(turn: Turn) -> list[Any]:
    return [turn.content, turn.tool_calls, turn.metadata, ROW]


def _turn(store: ArtifactStore, event: Event) -> Turn:
    data = event.data
    content = data.get("content")
    if "content_hash" in data:
        stored = store.contents.read(bytes.fromhex(data["content_hash"]))
        content = stored.decode("utf-8", "surrogatepass") if data["text"] else unpack_value(stored)
    return Turn(
        event.sequence,
        data["role"],
        content,
        event.timestamp,
        data.get("name"),
        data.get("tool_calls"),
        data.get("tool_call_id"),
        data.get("metadata") or {},
    )
