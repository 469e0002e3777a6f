"""The conversation of a session: its turns, read from the journal's message events."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final

from greenroom.storage.engine import CF
from greenroom.storage.errors import ArtifactNotFound, IntegrityError, SessionNotFound
from greenroom.storage.journal import Event, iso_time, utc_time
from greenroom.storage.keys import INDEX_MESSAGE, sequence_key
from greenroom.storage.records import Value, unpack_value

from .message_text import text_of_message
from .messages import AddMessage
from .store import ArtifactStore

__all__ = ["ARTIFACT", "INLINE_BYTES", "MESSAGE", "Turn", "read_turns", "turn_of"]

ARTIFACT: Final = b"a"
MESSAGE: Final = b"m"
"""Kinds of references to content."""

INLINE_BYTES: Final = 4096
"""A message's content of more encoded bytes than this is stored as deduplicated content."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation, known to users as `Message`.

    `sequence` is that of its event; `content` text, a list of parts, or None; `created_at` aware UTC.
    """

    sequence: int
    role: str
    content: str | list[Value] | None
    created_at: datetime
    name: str | None = None
    tool_calls: list[Value] | None = None
    tool_call_id: str | None = None
    metadata: dict[str, Value] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text of the turn: its content, or the texts of its parts put together with nothing between. Where the
        content has none, its refusal, its spoken words or its reasoning."""
        return text_of_message(self.content, self.metadata)

    def to_dict(self) -> dict[str, Value]:
        """Every field by name; the time in RFC 3339."""
        row: dict[str, Value] = {each.name: getattr(self, each.name) for each in fields(self)}
        row["created_at"] = iso_time(self.created_at)
        return row


def turn_of(sequence: int, time: int, command: AddMessage, content: Any) -> Turn:
    """The turn that a command has just added."""
    return Turn(
        sequence,
        command.role,
        content,
        utc_time(time),
        command.name,
        unpack_value(command.tool_calls) if command.tool_calls is not None else None,
        command.tool_call_id,
        unpack_value(command.metadata) if command.metadata is not None else {},
    )


def read_turns(store: ArtifactStore, session: bytes, before: int, limit: int | None) -> list[Turn]:
    """The newest `limit` turns with a sequence smaller than `before`, oldest first."""
    prefix = INDEX_MESSAGE + session
    try:
        return _read_turns(store, session, prefix, before, limit)
    except (IntegrityError, ArtifactNotFound):
        if store.journal.is_empty(session):
            raise SessionNotFound("the session has been deleted meanwhile") from None
        raise


def _read_turns(store: ArtifactStore, session: bytes, prefix: bytes, before: int, limit: int | None) -> list[Turn]:
    found = store.engine.scan(
        CF.INDEX, prefix, sequence_key(prefix, min(before, (1 << 64) - 1)), reverse=True, limit=limit
    )
    return [_turn(store, store.journal.event(session, int.from_bytes(key[-8:], "big"))) for key, _ in reversed(found)]


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
