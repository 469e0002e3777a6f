"""`Replay`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.runtime.aio.face import Face
from greenroom.runtime.replay.controls.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from greenroom.runtime.handles.reading.past import PastState
    from greenroom.runtime.replay.controls.runner import ReplayPause
    from greenroom.runtime.replay.result import ReplayResult
__all__ = ["ReplayFace"]


class ReplayFace(Face[Replay]):
    """The methods of `Replay` that can be awaited as they are."""

    @property
    def state(self) -> Awaitable[PastState]:
        """The state at the position: see `Replay.state`."""
        return self._bridge.run(lambda: self.sync.state)

    async def pause(self, timeout: float | None = None) -> int:
        """Pause after the step that is being replayed, and return the position: see `Replay.pause`."""
        return await self._bridge.run_abandoning(self.sync.pause, timeout)

    async def resume(self) -> None:
        """Run on until a breakpoint or the end: see `Replay.resume`."""
        await self._bridge.brief(self.sync.resume)

    async def step(self, n: int = 1, *, timeout: float | None = None) -> int:
        """Replay the next `n` steps without waiting for recorded pauses, and return the position: see
        `Replay.step`."""
        return await self._bridge.run_abandoning(self.sync.step, n, timeout=timeout)

    async def step_back(self, n: int = 1) -> int:
        """Go back `n` steps, at most to the beginning, and return the position: see `Replay.step_back`."""
        return await self._bridge.run_abandoning(self.sync.step_back, n)

    async def run_to(self, sequence: int, *, timeout: float | None = None) -> int:
        """Go to the step with this sequence, forward or back, without waiting for recorded pauses: see
        `Replay.run_to`."""
        return await self._bridge.run_abandoning(self.sync.run_to, sequence, timeout=timeout)

    async def stop(self, timeout: float | None = None) -> None:
        """End the replay after the step that is being replayed: see `Replay.stop`."""
        await self._bridge.run_abandoning(self.sync.stop, timeout)

    async def wait(self, timeout: float | None = None) -> ReplayResult:
        """Wait until the replay has ended, and return its result: see `Replay.wait`."""
        return await self._bridge.run_abandoning(self.sync.wait, timeout)

    async def wait_paused(self, timeout: float | None = None) -> ReplayPause | None:
        """Wait until the replay is paused, and return why and where; None if it has ended: see
        `Replay.wait_paused`."""
        return await self._bridge.run_abandoning(self.sync.wait_paused, timeout)
