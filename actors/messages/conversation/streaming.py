"""The messages by which a turn is written piece by piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Unpack

from greenroom.actors.messages.checks import EMPTY_METADATA, MAX_NAME, MAX_ROLE, optional_text
from greenroom.actors.messages.core import Command, How, Points
from greenroom.actors.messages.permissions import WRITE
from greenroom.storage.common.arguments import as_flag, as_text

from .commands import turn_sequence
from .turn import Turn
from .turn_command import TurnCommand, packed_content, packed_metadata, packed_tool_calls

__all__ = ["MAX_DELTA", "ContinueMessage", "FinishMessage", "StartMessage"]

MAX_DELTA: Final = 1 << 20


class StartMessage(TurnCommand[Turn]):
    """Begin a turn whose text follows piece by piece. Replies the Message, which is empty and partial.

    A host uses `session.stream_message`, which sends these messages.
    """

    __slots__ = ("name", "role", "tool_call_id")
    points = Points("BeforeMessageAdd")

    def __init__(
        self,
        role: str,
        *,
        name: str | None = None,
        tool_call_id: str | None = None,
        metadata: Mapping[str, object] | None = None,
        **how: Unpack[How],
    ) -> None:
        super().__init__(**how)
        self.role = as_text("role", role, MAX_ROLE)
        self.name = optional_text("name", name, MAX_NAME)
        self.tool_call_id = optional_text("tool_call_id", tool_call_id, MAX_NAME)
        packed = packed_metadata(metadata) if metadata is not None else EMPTY_METADATA
        self.metadata = packed if packed != EMPTY_METADATA else None
        self.content = self.text = self.tool_calls = None
        self.sized(len(packed))

    def put_fields(self, data: dict[str, Any]) -> None:
        for name in ("role", "name", "tool_call_id"):
            if getattr(self, name) is not None:
                data[name] = getattr(self, name)
        super().put_fields(data)


class ContinueMessage(Command[None]):
    """Append text, at most 1 Mi characters, to a turn that was begun by `StartMessage`. `sequence` is the turn's. It
    meets no hooks, and is no operation of its own."""

    __slots__ = ("sequence", "text")
    whole = WRITE
    rate = None

    def __init__(self, sequence: int, text: str, **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.sequence = turn_sequence("sequence", sequence)
        self.text = as_text("text", text, MAX_DELTA)


class FinishMessage(TurnCommand[Turn]):
    """Complete a turn that was begun by `StartMessage`: it gets this content, whatever was appended to it. With
    `partial`, it is marked as broken off. Replies the Message."""

    __slots__ = ("partial", "sequence")
    rate = None

    def __init__(
        self,
        sequence: int,
        content: str | Sequence[object] | None,
        *,
        tool_calls: Sequence[object] | None = None,
        metadata: Mapping[str, object] | None = None,
        partial: bool = False,
        **how: Unpack[How],
    ) -> None:
        super().__init__(**how)
        self.sequence = turn_sequence("sequence", sequence)
        packed, self.text = packed_content(content)
        self.content = packed
        self.tool_calls = packed_tool_calls(tool_calls) if tool_calls is not None else None
        self.metadata = packed_metadata(metadata) if metadata is not None else None
        self.partial = as_flag("partial", partial)
        self.sized(len(packed) + len(self.tool_calls or b"") + len(self.metadata or b""))

    def put_fields(self, data: dict[str, Any]) -> None:
        data["sequence"] = self.sequence
        super().put_fields(data)
        if self.partial:
            data["partial"] = True
