"""The base of messages that carry the fields of a turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from greenroom.actors.messages.checks import MAX_MESSAGE_BYTES
from greenroom.actors.messages.core import Command, Points, unpacked
from greenroom.actors.messages.permissions import WRITE
from greenroom.storage.codec.records import pack_value
from greenroom.storage.common.arguments import as_mapping, kind_of
from greenroom.storage.errors import ResourceLimitExceeded, ValidationError

if TYPE_CHECKING:
    from greenroom.storage.content.chunks import Encoded

__all__ = ["INLINE_BYTES", "TurnCommand", "packed_content", "packed_metadata", "packed_tool_calls"]

INLINE_BYTES: Final = 4096
"""A field of a turn with more encoded bytes than this is stored as deduplicated content."""
Reply = TypeVar("Reply")


class TurnCommand(Command[Reply]):
    """A command with fields of a turn, encoded. A field that it does not have is None."""

    __slots__ = ("content", "encoded", "metadata", "more", "small", "text", "tool_calls")
    whole = WRITE
    rate: ClassVar[str | None] = "message"
    preparation = "content"
    points = Points("BeforeMessageAdd", "MessageAdded")
    shown = {name: unpacked(name) for name in ("content", "tool_calls", "metadata")}

    content: bytes | None
    tool_calls: bytes | None
    metadata: bytes | None
    text: str | None
    """The content, if it is text."""
    encoded: Encoded | None
    """The content on its way into the store, if it is large."""
    more: dict[str, Encoded] | None
    """The other large fields on their way into the store, in the order of the fields."""
    small: bool
    """Whether no field is so large that it is stored as content."""

    def sized(self, size: int) -> None:
        """Complete a new message with these many bytes in its fields. Raises ResourceLimitExceeded if they are more
        than a message may have."""
        if size > MAX_MESSAGE_BYTES:
            raise ResourceLimitExceeded(
                f"a message may have {MAX_MESSAGE_BYTES} bytes, this one has {size}: store an artifact",
                resource="message_bytes",
                limit=MAX_MESSAGE_BYTES,
                value=size,
            )
        self.small = size <= INLINE_BYTES
        self.encoded = None
        self.more = None

    @property
    def content_bytes(self) -> int:
        return 0 if self.small else sum(len(each) for each in (self.content, self.tool_calls, self.metadata) if each)

    def large_fields(self) -> Iterator[tuple[str, bytes]]:
        """Yield the fields that are stored as content, with the bytes of that content."""
        text = self.text
        if self.content is not None and len(self.content) > INLINE_BYTES:
            # Long text is stored as the bytes of an artifact with the same text, so that both share one content.
            yield "content", text.encode("utf-8", "surrogatepass") if text is not None else self.content
        if self.tool_calls is not None and len(self.tool_calls) > INLINE_BYTES:
            yield "tool_calls", self.tool_calls
        if self.metadata is not None and len(self.metadata) > INLINE_BYTES:
            yield "metadata", self.metadata

    def carried(self) -> list[tuple[Encoded, Any]]:
        encoded = {**({"content": self.encoded} if self.encoded is not None else {}), **(self.more or {})}
        return [(encoded[name], content) for name, content in self.large_fields()] if encoded else []

    def put_fields(self, data: dict[str, Any]) -> None:
        """Put the fields into the data of an event."""
        if self.encoded is not None:
            data["content_hash"] = self.encoded.hash
            data["text"] = self.text is not None
        elif self.content is not None:
            data["content"] = self.content
        more = self.more
        if self.tool_calls is not None:
            if more is not None and "tool_calls" in more:
                data["tool_calls_hash"] = more["tool_calls"].hash
            else:
                data["tool_calls"] = self.tool_calls
        if self.metadata is not None:
            if more is not None and "metadata" in more:
                data["metadata_hash"] = more["metadata"].hash
            else:
                data["metadata"] = self.metadata


def packed_content(content: object) -> tuple[bytes, str | None]:
    """Return a content encoded, and its text if it is text. Raises ValidationError."""
    if type(content) is str:
        return pack_value(content, "content"), content
    if content is not None and type(content) is not list:
        if not issubclass(type(content), str):
            raise ValidationError("content: a message is text, a list of parts, or None", field="content")
        content = str.__str__(content)
    return pack_value(content, "content"), content if type(content) is str else None


def packed_tool_calls(tool_calls: Sequence[object]) -> bytes:
    """Return tool calls encoded. Raises ValidationError."""
    if type(tool_calls) is not list:
        raise ValidationError(f"tool_calls: a list is needed, not {kind_of(tool_calls)}", field="tool_calls")
    return pack_value(tool_calls, "tool_calls")


def packed_metadata(metadata: Mapping[str, object]) -> bytes:
    """Return the metadata of a turn encoded. Raises ValidationError."""
    return pack_value(metadata if type(metadata) is dict else as_mapping("metadata", metadata), "metadata")
