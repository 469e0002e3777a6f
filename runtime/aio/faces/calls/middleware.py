"""`Middleware`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from greenroom.actors.hooks.library.composition import Middleware
from greenroom.runtime.aio.face import Face

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.actors.hooks.context import HookContext
    from greenroom.actors.hooks.hook import UnnamedOptions
    from greenroom.actors.hooks.hooks import HookHandle
__all__ = ["MiddlewareFace"]


class MiddlewareFace(Face[Middleware]):
    """The methods of `Middleware` that can be awaited as they are."""

    async def use(
        self,
        chain: str,
        *members: Callable[[HookContext], Any],
        pattern: str = "sequential",
        threshold: float = 0.5,
        when: str = "before",
        name: str | None = None,
        **options: Unpack[UnnamedOptions],
    ) -> HookHandle:
        """Add hooks to a chain: see `Middleware.use`."""
        return await self._bridge.brief(
            self.sync.use, chain, *members, pattern=pattern, threshold=threshold, when=when, name=name, **options
        )
