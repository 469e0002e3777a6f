"""`AsyncSession`: a handle on one session actor, to be awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from greenroom.actors import messages as m
from greenroom.actors.messages.core import How
from greenroom.runtime.handles.keywords import ArtifactOptions
from greenroom.runtime.handles.records import Records
from greenroom.runtime.handles.scope import Scope
from greenroom.runtime.handles.session import Session, SessionBatch
from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.common.session_ids import SessionHandle
from greenroom.storage.events.model import Origin

from .bridge import Bridge, through
from .face import Block, Way
from .faces.sessions.records import RecordsFace
from .faces.sessions.scope import ScopeFace
from .faces.sessions.session import SessionFace
from .files import AsyncArtifactReader, AsyncArtifactWriter
from .listening import AsyncFollow
from .streaming import AsyncMessageStream

if TYPE_CHECKING:
    from greenroom.runtime.handles.debugging.whatif import WhatIf

__all__ = ["AsyncBatch", "AsyncRecords", "AsyncScope", "AsyncSession"]

P = ParamSpec("P")
T = TypeVar("T")


class AsyncRecords(RecordsFace):
    """The records of a session, to be awaited: see `Records`."""


class AsyncScope(ScopeFace):
    """The variables of one scope, to be awaited: see `Scope`."""

    async def contains(self, key: str) -> bool:
        """Return whether there is a variable with this key."""
        return await self._bridge.once(self._here, Scope.__contains__, key)

    async def __aiter__(self) -> AsyncIterator[str]:
        for key in await self.keys():
            yield key


class AsyncSession(SessionFace, SessionHandle):
    """Sends messages to one session, from an event loop. The same as `Session`, with `await`.

    A property that asks the session is awaited too: `(await session.config).max_duration`. In the place of `"k" in s`
    there is `await s.contains("k")`; `s[k] = v` is `await s.set(k, v)`, and `del s[k]` is `await s.delete_variable(k)`.

    Example:
        ```py
        session = await rt.create_session(name="Analysis")
        await session.set("k", {"a": 1})
        async with session.batch() as batch:
            await batch.set("step", 2)
            await batch.add_message("user", "hi")
        ```
    """

    _bridge: Bridge

    def __init__(self, bridge: Bridge, session: Session) -> None:
        super().__init__(bridge, session, through(session, bridge.ask_here))
        self.id = session.id

    def _session(self, made: Session) -> Self:
        return type(self)(self._bridge, made)

    def with_timeout(self, seconds: float) -> Self:
        """Return a handle on the same session whose calls wait at most `seconds`: see `Session.with_timeout`."""
        return self._session(self.sync.with_timeout(seconds))

    async def contains(self, key: str) -> bool:
        """Return whether there is a variable with this key."""
        return await self._bridge.once(self._here, Session.__contains__, key)

    async def __aiter__(self) -> AsyncIterator[str]:
        for key in await self.variable_keys():
            yield key

    @property
    def records(self) -> AsyncRecords:
        """The records of the session: values under keys of bytes, outside its state."""
        return AsyncRecords(self._bridge, self.sync.records, Records(self._here))

    def batch(self, **how: Unpack[How]) -> AsyncBatch:
        """Begin a batch, for an `async with` block: see `Session.batch`."""
        return AsyncBatch(self._bridge, self.sync.batch(**how), self._here)

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

    def as_current(self) -> Block[Session]:
        """Make this the current session of the code inside: see `Session.as_current`."""
        return Block(self.sync.as_current())

    def create_artifact(self, type: str, name: str, **options: Unpack[ArtifactOptions]) -> AsyncArtifactWriter:
        """Begin an artifact that is written piece by piece, for an `async with` block: see `Session.create_artifact`.

        Example:
            ```py
            async with session.create_artifact("log", "run.log") as log:
                await log.write("done")
            log.info.size
            ```
        """
        return AsyncArtifactWriter(self._bridge, self.sync.create_artifact(type, name, **options))

    async def open_artifact(self, ref: ArtifactId | str, version: int | str | None = None) -> AsyncArtifactReader:
        """Return a stream over the content, for an `async with` block or `async for`: see `Session.open_artifact`."""
        return AsyncArtifactReader(self._bridge, await self._bridge.run(self.sync.open_artifact, ref, version))

    async def what_if(
        self,
        at: int | datetime | str | float | None = None,
        changes: Iterable[m.Change] | Mapping[str, object] | None = None,
        run: Callable[[Session], object] | None = None,
        *,
        timeout: float | None = None,
    ) -> WhatIf[Self]:
        """Fork the session at a moment with `changes`, have `run(fork)` go on from there, and compare: see
        `Session.what_if`. `run` is called on a thread, with a synchronous handle."""
        tried: Any = await self._bridge.run_abandoning(self.sync.what_if, at, changes, run, timeout=timeout)
        found: WhatIf[Self] = replace(tried, fork=self._session(tried.fork))
        return found


class _Collecting:
    """Stands for the bridge of a batch: what only collects is done at once."""

    def __init__(self, bridge: Way) -> None:
        self.run = bridge.run
        self.run_abandoning = bridge.run_abandoning

    async def once(
        self, here: Any, method: Callable[Concatenate[Any, P], T], /, *args: P.args, **options: P.kwargs
    ) -> T:
        return method(here, *args, **options)

    async def brief(self, fn: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        return fn(*args, **options)


class AsyncBatch(SessionFace):
    """Collects changes of a session for one write: see `Session.batch`. Its methods are awaited, and only collect."""

    def __init__(self, bridge: Way, batch: SessionBatch, sender: Session) -> None:
        """`sender` is the handle that sends the batch."""
        super().__init__(_Collecting(bridge), batch, batch)
        self._batch = batch
        self._sender = sender
        self._sending = bridge

    @property
    def records(self) -> AsyncRecords:
        """The records of the session."""
        return AsyncRecords(self._bridge, self.sync.records, self.sync.records)

    def scope(self, name: str) -> AsyncScope:
        """Return a handle on a scope ("global", "user:7") whose changes belong to the batch."""
        scope = self._batch.scope(name)
        return AsyncScope(self._bridge, scope, scope)

    @property
    def replies(self) -> list[Any]:
        """What the changes replied, in their order. Raises InvalidOperation before the end of the block."""
        return self._batch.replies

    async def __aenter__(self) -> Self:
        self._batch.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        message = self._batch._ended(failed=kind is not None)
        if message is not None:
            self._batch._replies = await self._sending.once(self._sender, Session._send, message)
