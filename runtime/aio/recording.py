"""Record the code in an `async with` block, and answer it from a recording."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from .bridge import Bridge
from .session import AsyncSession

if TYPE_CHECKING:
    from greenroom.runtime.recording.scopes import RecordedBlock, ReplayedBlock, Replaying

__all__ = ["AsyncRecordedBlock", "AsyncReplayedBlock"]


class AsyncRecordedBlock:
    """A block whose code is recorded: see `Runtime.recording`. Tasks that it creates belong to it."""

    def __init__(self, bridge: Bridge, block: RecordedBlock) -> None:
        """Use `recording` of an AsyncRuntime."""
        self._bridge = bridge
        self._block = block

    async def __aenter__(self) -> AsyncSession:
        session = await self._bridge.run(self._block.begin)
        self._block.enter()
        return AsyncSession(self._bridge, session)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._block.leave()
        await self._bridge.run(self._block.finish, error)


class AsyncReplayedBlock:
    """A block that is answered from a recording: see `Runtime.replaying`."""

    def __init__(self, bridge: Bridge, block: ReplayedBlock) -> None:
        """Use `replaying` of an AsyncRuntime."""
        self._bridge = bridge
        self._block = block

    async def __aenter__(self) -> Replaying:
        replaying = await self._bridge.run(self._block.begin)
        self._block.enter()
        return replaying

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._block.leave(error)
