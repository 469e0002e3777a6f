"""The commands that add, edit and retract turns, and the query that reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Unpack

from greenroom.actors.messages.checks import EMPTY_METADATA, MAX_BATCH, MAX_NAME, MAX_ROLE, optional_text, whole_number
from greenroom.actors.messages.core import Command, How, Query, unpacked
from greenroom.actors.messages.permissions import WRITE
from greenroom.storage.common.arguments import as_items, as_mapping, as_text
from greenroom.storage.errors import ValidationError

from .turn import Turn
from .turn_command import TurnCommand, packed_content, packed_metadata, packed_tool_calls

if TYPE_CHECKING:
    from greenroom.storage.content.chunks import Encoded

__all__ = [
    "UNCHANGED",
    "AddMessage",
    "AddMessages",
    "ClearMessages",
    "EditMessage",
    "GetMessages",
    "PopMessage",
    "RetractMessage",
    "TruncateMessages",
    "Unchanged",
    "turn_sequence",
]


class Unchanged(Enum):
    """Stands for a field that an edit leaves as it is."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


class AddMessage(TurnCommand[Turn]):
    """Add a turn to the conversation. Its content is text, a list of parts, or None. Replies Message."""

    __slots__ = ("name", "role", "tool_call_id")

    def __init__(
        self,
        role: str,
        content: str | Sequence[object] | None,
        *,
        name: str | None = None,
        tool_calls: Sequence[object] | None = None,
        tool_call_id: str | None = None,
        metadata: Mapping[str, object] | None = None,
        **how: Unpack[How],
    ) -> None:
        super().__init__(**how)
        self.role = as_text("role", role, MAX_ROLE)
        self.content, self.text = packed_content(content)
        size = len(self.content)
        self.name = optional_text("name", name, MAX_NAME) if name is not None else None
        self.tool_calls = self.tool_call_id = self.metadata = None
        if tool_calls is not None:
            self.tool_calls = packed_tool_calls(tool_calls)
            size += len(self.tool_calls)
        if tool_call_id is not None:
            self.tool_call_id = optional_text("tool_call_id", tool_call_id, MAX_NAME)
        if metadata is not None:
            packed = packed_metadata(metadata)
            self.metadata = packed if packed != EMPTY_METADATA else None
            size += len(packed)
        self.sized(size)

    def stored_fields(self) -> dict[str, Any]:
        data: dict[str, Any] = {"role": self.role}
        self.put_fields(data)
        if self.name is not None:
            data["name"] = self.name
        if self.tool_call_id is not None:
            data["tool_call_id"] = self.tool_call_id
        return data


_MESSAGE_KEYS: Final = ("role", "content", "name", "tool_calls", "tool_call_id", "metadata")
_SPEAKING: Final = frozenset({"function_call", "refusal", "audio"})
"""Other keys with which a message of OpenAI's needs no content."""
_TOLD_OF_TURNS: Final = ("sequence", "created_at", "edited_at", "partial")


class AddMessages(Command[list[Turn]]):
    """Add several turns in one write, all or none. Replies the list of Messages.

    Each is an object with `role` and `content`, and optionally `name`, `tool_calls`, `tool_call_id` and `metadata`.
    Other keys are kept in the metadata.
    """

    __slots__ = ("messages",)
    whole = WRITE
    rate = "message"
    preparation = "content"
    points = AddMessage.points

    def __init__(
        self,
        messages: Iterable[Mapping[str, object] | Turn | AddMessage],
        **how: Unpack[How],
    ) -> None:
        super().__init__(**how)
        items = as_items("messages", messages, MAX_BATCH, "a list of messages")
        self.messages = [_message(number, each) for number, each in enumerate(items)]

    @property
    def operations(self) -> int:
        return len(self.messages)

    @property
    def content_bytes(self) -> int:
        return sum(each.content_bytes for each in self.messages)

    def carried(self) -> list[tuple[Encoded, Any]]:
        return [pair for each in self.messages for pair in each.carried()]


def _message(number: int, item: object) -> AddMessage:
    """Return the message of one item. Raises ValidationError that names the item."""
    if isinstance(item, AddMessage):
        return item
    try:
        if isinstance(item, Turn):
            return AddMessage(
                item.role,
                item.content,
                name=item.name,
                tool_calls=item.tool_calls,
                tool_call_id=item.tool_call_id,
                metadata=item.metadata,
            )
        fields = as_mapping("message", item)
        own = {name: fields.pop(name) for name in _MESSAGE_KEYS if name in fields}
        if "role" not in own:
            raise ValidationError("an object with `role` and `content` is needed: it has no role")
        if "content" not in own and own.get("tool_calls") is None and not _SPEAKING.intersection(fields):
            raise ValidationError("an object with `role` and `content` is needed: it has no content")
        if "sequence" in fields and "created_at" in fields:  # it was made by `Turn.to_dict`
            for name in _TOLD_OF_TURNS:
                fields.pop(name, None)
        if fields:
            metadata = dict(as_mapping("metadata", own.get("metadata") or {}))
            for name, value in fields.items():
                while name in metadata:
                    name += "_"
                metadata[name] = value
            own["metadata"] = metadata
        return AddMessage(own.pop("role"), own.pop("content", None), **own)
    except ValidationError as error:
        raise ValidationError(f"messages[{number}]: {error}", field=f"messages[{number}]") from None


def _shown(name: str) -> Callable[[Any], Any]:
    read = unpacked(name)
    return lambda message: read(message) if getattr(message, name) is not None else UNCHANGED


class EditMessage(TurnCommand[Turn]):
    """Change the content or the metadata of a turn, which keeps its place. Replies Message.

    `sequence` is the turn's. What it was before stays in the journal.
    """

    __slots__ = ("sequence",)
    shown = {name: _shown(name) for name in ("content", "metadata")}

    def __init__(
        self,
        sequence: int,
        *,
        content: str | Sequence[object] | Unchanged | None = UNCHANGED,
        metadata: Mapping[str, object] | Unchanged | None = UNCHANGED,
        **how: Unpack[How],
    ) -> None:
        super().__init__(**how)
        self.sequence = turn_sequence("sequence", sequence)
        self.tool_calls = None
        self.content = self.text = self.metadata = None
        if content is not UNCHANGED:
            self.content, self.text = packed_content(content)
        if metadata is not UNCHANGED:
            self.metadata = packed_metadata(metadata) if metadata is not None else EMPTY_METADATA
        if self.content is None and self.metadata is None:
            raise ValidationError("content: new content or new metadata is needed", field="content")
        self.sized(len(self.content or b"") + len(self.metadata or b""))


class RetractMessage(Command[Turn]):
    """Take a turn out of the conversation. Its past stays in the journal. Replies the Message that it was."""

    __slots__ = ("sequence",)
    whole = WRITE
    rate = "message"

    def __init__(self, sequence: int, **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.sequence = turn_sequence("sequence", sequence)


class PopMessage(Command[Turn]):
    """Take the newest turn out of the conversation. Replies the Message that it was."""

    __slots__ = ()
    whole = WRITE
    rate = "message"


class TruncateMessages(Command[int]):
    """Take all turns with a greater sequence than `after_sequence` out of the conversation. Replies how many."""

    __slots__ = ("after_sequence",)
    whole = WRITE
    rate = "message"

    def __init__(self, after_sequence: int, **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.after_sequence = turn_sequence("after_sequence", after_sequence)


class ClearMessages(Command[int]):
    """Take all turns out of the conversation. Replies how many."""

    __slots__ = ()
    whole = WRITE
    rate = "message"


class GetMessages(Query[list[Turn]]):
    """Replies the newest `limit` messages before event sequence `before`, oldest first."""

    __slots__ = ("before", "limit")

    def __init__(self, limit: int | None = None, before: int | None = None) -> None:
        self.limit = whole_number("limit", limit)
        self.before = whole_number("before", before)


def turn_sequence(field: str, value: object) -> int:
    """Return the sequence of a turn. Raises ValidationError."""
    number = whole_number(field, value)
    if number is None:
        raise ValidationError(f"{field}: the sequence of a message is needed", field=field)
    return min(number, (1 << 63) - 1)
