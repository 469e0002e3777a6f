"""Messages about the conversation of a session: its turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from greenroom.storage.codec.records import Value, pack_value, unpack_value
from greenroom.storage.common.arguments import as_text
from greenroom.storage.common.message_text import text_of_message
from greenroom.storage.common.times import iso_time, utc_time
from greenroom.storage.engine.engine import Durability
from greenroom.storage.errors import ResourceLimitExceeded, ValidationError, shown

from .checks import (
    EMPTY_METADATA,
    MAX_MESSAGE_BYTES,
    MAX_NAME,
    MAX_ROLE,
    metadata_bytes,
    optional_text,
    whole_number,
)
from .core import Command, Points, Query, unpacked

if TYPE_CHECKING:
    from greenroom.storage.content.chunks import Encoded

__all__ = ["AddMessage", "GetMessages", "Turn", "turn_of"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation, known to users as `Message`.

    `sequence` is the sequence of its event, `content` is text, a list of parts, or None, and `created_at` is aware UTC.
    """

    sequence: int
    role: str
    content: str | list[Value] | None
    created_at: datetime
    name: str | None = None
    tool_calls: list[Value] | None = None
    tool_call_id: str | None = None
    metadata: dict[str, Value] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Message {self.sequence} {shown(self.role)}>"

    @property
    def text(self) -> str:
        """The text of the turn: its content, or the texts of its parts joined without separators. If the content has no
        text: the turn's refusal, spoken words or reasoning."""
        return text_of_message(self.content, self.metadata)

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name, with the time in RFC 3339."""
        row: dict[str, Value] = {each.name: getattr(self, each.name) for each in fields(self)}
        row["created_at"] = iso_time(self.created_at)
        return row


def turn_of(sequence: int, time: int, command: AddMessage, content: Any) -> Turn:
    """Return the turn that a command has just added."""
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


class AddMessage(Command[Turn]):
    """Add a turn to the conversation. Its content is text, a list of parts, or None. Replies Message."""

    __slots__ = ("content", "encoded", "metadata", "name", "role", "text", "tool_call_id", "tool_calls")
    rate = "message"
    preparation = "content"
    points = Points("BeforeMessageAdd", "MessageAdded")
    shown = {name: unpacked(name) for name in ("content", "tool_calls", "metadata")}

    def __init__(
        self,
        role: str,
        content: str | list[Value] | None,
        *,
        name: str | None = None,
        tool_calls: list[Value] | None = None,
        tool_call_id: str | None = None,
        metadata: Mapping[str, Value] | None = None,
        durability: Durability | str | None = None,
    ) -> None:
        super().__init__(durability=durability)
        self.role = as_text("role", role, MAX_ROLE)
        if content is not None and type(content) is not list:
            if not issubclass(type(content), str):
                raise ValidationError("content: a message is text, a list of parts, or None", field="content")
            content = str.__str__(content)
        self.text = content if type(content) is str else None
        self.content = pack_value(content, "content")
        self.name = optional_text("name", name, MAX_NAME)
        if tool_calls is not None and type(tool_calls) is not list:
            raise ValidationError("tool_calls: a list of objects", field="tool_calls")
        self.tool_calls = pack_value(tool_calls, "tool_calls") if tool_calls is not None else None
        size = len(self.content) + len(self.tool_calls or b"")
        if size > MAX_MESSAGE_BYTES:
            raise ResourceLimitExceeded(
                f"a message may have {MAX_MESSAGE_BYTES} bytes, this one has {size}: store an artifact",
                resource="message_bytes",
                limit=MAX_MESSAGE_BYTES,
                value=size,
            )
        self.tool_call_id = optional_text("tool_call_id", tool_call_id, MAX_NAME)
        packed = metadata_bytes(metadata) if metadata is not None else EMPTY_METADATA
        self.metadata = packed if packed != EMPTY_METADATA else None
        self.encoded: Encoded | None = None


class GetMessages(Query[list[Turn]]):
    """Replies the newest `limit` messages before event sequence `before`, oldest first."""

    __slots__ = ("before", "limit")

    def __init__(self, limit: int | None = None, before: int | None = None) -> None:
        self.limit = whole_number("limit", limit)
        self.before = whole_number("before", before)
