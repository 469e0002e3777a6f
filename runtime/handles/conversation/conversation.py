"""The conversation of a session: its turns are added, changed and read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO, Any, Final, Literal, Unpack, overload

from greenroom.actors import messages as m
from greenroom.actors.messages.conversation import Turn
from greenroom.actors.messages.core import How, Message, Reply
from greenroom.storage.codec.records import Value
from greenroom.storage.errors import ValidationError

from ..host import Host
from .anthropic import AnthropicMessages, anthropic_messages
from .export import exported, write_export
from .openai import openai_messages
from .stream import MessageStream

__all__ = ["Conversation"]


class Conversation:
    """Base of handles on a session: the methods about its turns. Each turn is a `Message`, known by its sequence."""

    __slots__ = ()

    id: str
    _runtime: Host
    _ask: Callable[..., Any]
    _timeout: float

    def _reply(self, message: Message[Reply]) -> Reply:
        reply: Reply = self._ask(self.id, message, self._timeout)
        return reply

    def add_message(
        self,
        role: str,
        content: str | Sequence[object] | None,
        *,
        name: str | None = None,
        tool_calls: Sequence[object] | None = None,
        tool_call_id: str | None = None,
        metadata: Mapping[str, object] | None = None,
        **how: Unpack[How],
    ) -> Turn:
        """Add a turn of the conversation. Content is text, a list of parts, or None (a pure tool call)."""
        message = m.AddMessage(
            role, content, name=name, tool_calls=tool_calls, tool_call_id=tool_call_id, metadata=metadata, **how
        )
        turn: Turn = self._ask(self.id, message, self._timeout)
        return turn

    def add_messages(self, messages: Iterable[Mapping[str, object] | Turn], **how: Unpack[How]) -> list[Turn]:
        """Add several turns in one write, all or none. Each is a Message, or an object with `role` and `content`, and
        optionally `name`, `tool_calls`, `tool_call_id` and `metadata`, as OpenAI's and Anthropic's are. Other keys are
        kept in the metadata."""
        return self._reply(m.AddMessages(messages, **how))

    def stream_message(
        self,
        role: str,
        *,
        name: str | None = None,
        tool_call_id: str | None = None,
        metadata: Mapping[str, object] | None = None,
        **how: Unpack[How],
    ) -> MessageStream:
        """Begin a turn that is written piece by piece, as a context manager. The turn's place is where it begins.

        What is written is kept after a crash; the turn is then `partial`. It is complete at the end of the block; an
        exception in the block leaves it partial.

        Example:
            ```py
            with session.stream_message("assistant") as message:
                for delta in model.stream(...):
                    message.write(delta)
            ```
        """
        start = m.StartMessage(role, name=name, tool_call_id=tool_call_id, metadata=metadata, **how)
        return MessageStream(self._runtime.core, self.id, self._timeout, start, how.get("durability"))

    def edit_message(
        self,
        sequence: int,
        *,
        content: str | Sequence[object] | m.Unchanged | None = m.UNCHANGED,
        metadata: Mapping[str, object] | m.Unchanged | None = m.UNCHANGED,
        **how: Unpack[How],
    ) -> Turn:
        """Replace the content or the metadata of a turn, or both, and return it. What it was before stays in the
        journal. `sequence` is the turn's; raises ValidationError if the conversation has no such turn."""
        edit = m.EditMessage(sequence, content=content, metadata=metadata, **how)
        return self._reply(edit)

    def retract_message(self, sequence: int, **how: Unpack[How]) -> Turn:
        """Take a turn out of the conversation and return it. Its past stays in the journal. Raises ValidationError if
        the conversation has no such turn."""
        return self._reply(m.RetractMessage(sequence, **how))

    def pop_message(self, **how: Unpack[How]) -> Turn:
        """Take the newest turn out of the conversation and return it. Raises InvalidOperation if there is none."""
        return self._reply(m.PopMessage(**how))

    def truncate_messages(self, after_sequence: int, **how: Unpack[How]) -> int:
        """Take all turns with a sequence greater than `after_sequence` out of the conversation, and return how many."""
        return self._reply(m.TruncateMessages(after_sequence, **how))

    def clear_messages(self, **how: Unpack[How]) -> int:
        """Take all turns out of the conversation, and return how many."""
        return self._reply(m.ClearMessages(**how))

    @overload
    def messages(self, limit: int | None = None, before: int | None = None, *, format: None = None) -> list[Turn]: ...
    @overload
    def messages(
        self, limit: int | None = None, before: int | None = None, *, format: Literal["openai"]
    ) -> list[dict[str, Value]]: ...
    @overload
    def messages(
        self, limit: int | None = None, before: int | None = None, *, format: Literal["anthropic"]
    ) -> AnthropicMessages: ...
    def messages(
        self,
        limit: int | None = None,
        before: int | None = None,
        *,
        format: Literal["openai", "anthropic"] | None = None,
    ) -> Any:
        """Return the newest `limit` turns with a sequence smaller than `before`, oldest first, as they are now: edited,
        and without those that were retracted.

        With `format`, return what the chat APIs of OpenAI and Anthropic take: lists of dicts. Anthropic's has the
        system prompt in its attribute `system`.
        """
        convert = _FORMATS.get(format) if format is None or type(format) is str else None
        if convert is None:
            raise ValidationError('format: "openai" or "anthropic" is needed, or none', field="format")
        return convert(self._reply(m.GetMessages(limit, before)))

    def export_messages(
        self,
        target: str | os.PathLike[str] | IO[Any],
        format: Literal["openai", "sharegpt", "markdown"] = "openai",
    ) -> int:
        """Write the conversation to a path or an open file, and return the number of turns.

        `openai` and `sharegpt` are one line of JSON, so that files can be put together. A file at a path appears whole
        or not at all. Raises ValidationError for an unknown format, StorageError.
        """
        turns = self._reply(m.GetMessages())
        write_export(target, exported(self._reply(m.GetInfo()), turns, format))
        return len(turns)


_FORMATS: Final[dict[str | None, Callable[[list[Turn]], Any]]] = {
    None: lambda turns: turns,
    "openai": openai_messages,
    "anthropic": anthropic_messages,
}
