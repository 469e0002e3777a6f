"""`AsyncRuntime`: a runtime for programs with an event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from greenroom.actors.events import Overflow
from greenroom.runtime.handles.session import Session
from greenroom.runtime.runtime import Runtime
from greenroom.storage.events.model import Event, Origin

from .bridge import Bridge
from .functions import in_loop
from .listening import AsyncFollow, AsyncSubscription
from .session import AsyncSession

__all__ = ["AsyncRuntime"]

P = ParamSpec("P")
T = TypeVar("T")


class AsyncRuntime:
    """A runtime whose methods are awaited and never block the event loop. It belongs to the loop that it was opened in.

    Example:
        ```py
        async with await AsyncRuntime.open("data") as rt:
            session = await rt.create_session()
            await session.set("k", 1)
        ```
    """

    def __init__(self, runtime: Runtime, *, owned: bool) -> None:
        """Use `open` or `over`."""
        self.runtime = runtime
        """The same runtime for code on other threads."""
        self._owned = owned
        self._bridge = Bridge(runtime.core)

    @classmethod
    async def open(cls, path: str | os.PathLike[str] | None = None, **options: Any) -> Self:
        """Open a store, with the arguments of `Runtime.open`, for the running event loop."""
        return cls(await asyncio.to_thread(Runtime.open, path, **options), owned=True)

    @classmethod
    def over(cls, runtime: Runtime) -> Self:
        """Return a face for the running event loop on a runtime that is open. Closing it leaves the runtime open."""
        return cls(runtime, owned=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the runtime, if it was opened here. Work that has begun is done to its end."""
        if self._owned:
            await asyncio.to_thread(self.runtime.close)
        self._bridge.close()

    def __repr__(self) -> str:
        return f"<AsyncRuntime {self.runtime.core.path}>"

    async def run(self, fn: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Call a synchronous function that uses the runtime, off the event loop, and return what it returns."""
        return await self._bridge.run(fn, *args, **options)

    def follow(
        self,
        pattern: str = "**",
        after: datetime | str | float | None = None,
        *,
        session: Session | str | None = None,
        origin: Origin | str | None = None,
        timeout: float | None = None,
    ) -> AsyncFollow:
        """Follow the events of all sessions, from a time or a cursor on: see `Runtime.follow`."""
        return AsyncFollow(
            self._bridge, self.runtime.follow(pattern, after, session=session, origin=origin, timeout=timeout)
        )

    def subscribe(
        self,
        pattern: str = "**",
        capacity: int = 1000,
        overflow: Overflow | str = Overflow.DROP_OLDEST,
        callback: Callable[[Event], object] | None = None,
        session: Session | str | None = None,
        *,
        block_timeout: float = 1.0,
        origin: Origin | str | None = None,
    ) -> AsyncSubscription:
        """Subscribe to future events: see `Events.subscribe`. A callback that is a coroutine function runs in this
        loop."""
        subscription = self.runtime.events.subscribe(
            pattern,
            capacity,
            overflow,
            in_loop(callback, self._bridge.loop),
            session,
            block_timeout=block_timeout,
            origin=origin,
        )
        return AsyncSubscription(self._bridge, subscription)

    async def create_session(self, name: str | None = None, **options: Any) -> AsyncSession:
        """Create a durable session: see `Runtime.create_session`."""
        core = self.runtime.core
        if core.hooks.creating or options.get("key") is not None or options.get("template") is not None:
            session = await self._bridge.run(self.runtime.create_session, name, **options)
        else:
            session = await self._bridge.brief(self.runtime.create_session, name, **options)
        return AsyncSession(self._bridge, session)
