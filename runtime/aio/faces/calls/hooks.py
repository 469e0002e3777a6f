"""`Hooks`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from greenroom.actors.hooks.hook import DEFAULT_TIMEOUT
from greenroom.actors.hooks.hooks import Hooks
from greenroom.runtime.aio.face import Face

if TYPE_CHECKING:
    from collections.abc import Iterable

    from greenroom.actors.hooks.hook import HookFunction, HookInfo, KeywordOptions
    from greenroom.actors.hooks.hooks import HookHandle
__all__ = ["HooksFace"]


class HooksFace(Face[Hooks]):
    """The methods of `Hooks` that can be awaited as they are."""

    async def register(
        self,
        point: str,
        fn: HookFunction,
        name: str | None = None,
        priority: str | int = "normal",
        replayable: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        tags: Iterable[str] = (),
        **options: Unpack[KeywordOptions],
    ) -> HookHandle:
        """Register `fn(context)` to be called at a point: see `Hooks.register`."""
        return await self._bridge.brief(
            self.sync.register, point, fn, name, priority, replayable, timeout, tags, **options
        )

    async def unregister(self, hook: HookHandle | str) -> bool:
        """Remove a hook, given by its handle or id, and return whether it was registered: see
        `Hooks.unregister`."""
        return await self._bridge.brief(self.sync.unregister, hook)

    async def enable(self, hook: HookHandle | str) -> None:
        """Enable a hook again and close its breaker: see `Hooks.enable`."""
        await self._bridge.brief(self.sync.enable, hook)

    async def disable(self, hook: HookHandle | str) -> None:
        """Skip a hook until it is enabled again: see `Hooks.disable`."""
        await self._bridge.brief(self.sync.disable, hook)

    async def info(self, hook: HookHandle | str) -> HookInfo:
        """Return the options and figures of a hook: see `Hooks.info`."""
        return await self._bridge.brief(self.sync.info, hook)

    async def list(
        self,
        point: str | None = None,
        tag: str | None = None,
        name: str | None = None,
        enabled: bool | None = None,
        session_id: str | None = None,
        language: str | None = None,
        priority: str | int | None = None,
    ) -> list[HookInfo]:
        """Return the hooks that match all given criteria, in the order of calling: see `Hooks.list`."""
        return await self._bridge.brief(self.sync.list, point, tag, name, enabled, session_id, language, priority)
