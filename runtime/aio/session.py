"""`AsyncSession`: a handle on one session actor, to be awaited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from greenroom.actors.messages.core import How
from greenroom.runtime.handles.session import Session
from greenroom.storage.events.model import Origin

from .listening import AsyncFollow
from .streaming import AsyncMessageStream

if TYPE_CHECKING:
    from .bridge import Bridge

__all__ = ["AsyncSession"]


class AsyncSession:
    """Sends messages to one session, from an event loop. The same as `Session`, with `await`."""

    __slots__ = ("_bridge", "_here", "id", "sync")

    def __init__(self, bridge: Bridge, session: Session) -> None:
        self.id = session.id
        self.sync = session
        """The handle for code on other threads."""
        self._bridge = bridge
        self._here = session.with_timeout(session._timeout)
        self._here._ask = bridge.ask_here

    def __repr__(self) -> str:
        return f"<AsyncSession {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncSession) and other.sync == self.sync

    def __hash__(self) -> int:
        return hash(self.sync)

    def follow(
        self,
        after: int | str = 0,
        *,
        pattern: str = "**",
        origin: Origin | str | None = None,
        timeout: float | None = None,
    ) -> AsyncFollow:
        """Follow the journal: past events, then new ones: see `Session.follow`."""
        follow = self.sync.follow(after, pattern=pattern, origin=origin, timeout=timeout)
        return AsyncFollow(self._bridge, follow)

    def stream_message(
        self,
        role: str,
        *,
        name: str | None = None,
        tool_call_id: str | None = None,
        metadata: Mapping[str, object] | None = None,
        **how: Unpack[How],
    ) -> AsyncMessageStream:
        """Begin a turn that is written piece by piece, with `async with`: see `Session.stream_message`.

        Example:
            ```py
            async with session.stream_message("assistant") as message:
                async for delta in model.stream(...):
                    await message.write(delta)
            ```
        """
        stream = self.sync.stream_message(role, name=name, tool_call_id=tool_call_id, metadata=metadata, **how)
        return AsyncMessageStream(self._bridge, stream)

    async def get(self, key: str, default: Any = None, as_: Any = None) -> Any:
        """Return a copy of the value of a variable, or `default`: see `Session.get`."""
        return await self._bridge.once(self._here, Session.get, key, default, as_)  # type: ignore[arg-type]

    async def set(self, key: str, value: object, **options: Any) -> None:
        """Set a variable: see `Session.set`."""
        await self._bridge.once(self._here, Session.set, key, value, **options)
