"""A message that grows, written from an event loop."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from greenroom.actors.messages.conversation import Turn
from greenroom.runtime.handles.conversation.stream import MessageStream

if TYPE_CHECKING:
    from .bridge import Bridge

__all__ = ["AsyncMessageStream"]


class AsyncMessageStream:
    """A turn that is written piece by piece. Use it with `async with`; see `Session.stream_message`.

    An exception in the block leaves the turn partial, a cancelled task too.
    """

    def __init__(self, bridge: Bridge, sync: MessageStream) -> None:
        """Use `stream_message` of an AsyncSession."""
        self.sync: Final = sync
        """The same stream for code on other threads."""
        self._bridge = bridge

    def __repr__(self) -> str:
        return f"<Async{repr(self.sync)[1:]}"

    @property
    def message(self) -> Turn:
        """The turn, as it was begun or completed. Raises InvalidOperation before the beginning."""
        return self.sync.message

    @property
    def sequence(self) -> int:
        """The sequence of the turn."""
        return self.sync.sequence

    @property
    def finished(self) -> bool:
        """Whether the message is complete: see `MessageStream.finished`."""
        return self.sync.finished

    @property
    def text(self) -> str:
        """What was written so far."""
        return self.sync.text

    @property
    def tool_calls(self) -> Sequence[object] | None:
        """The calls of tools that the turn ends with. May be set until the end."""
        return self.sync.tool_calls

    @tool_calls.setter
    def tool_calls(self, calls: Sequence[object] | None) -> None:
        self.sync.tool_calls = calls

    @property
    def metadata(self) -> dict[str, object]:
        """May be set and changed until the end."""
        return self.sync.metadata

    @metadata.setter
    def metadata(self, metadata: dict[str, object]) -> None:
        self.sync.metadata = metadata

    async def write(self, delta: str) -> None:
        """Append text: see `MessageStream.write`. Most pieces wait for others, and take no thread."""
        if self.sync.busy:
            await self._bridge.run(self.sync.write, delta)
        elif self.sync.add(delta):
            await self._bridge.run(self.sync.tell)

    async def __aenter__(self) -> Self:
        await self._bridge.run(self.sync.__enter__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._bridge.run(self.sync.__exit__, kind, error, trace)
