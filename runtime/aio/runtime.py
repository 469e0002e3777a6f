"""`AsyncRuntime`: a runtime for programs with an event loop."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar, Unpack

from greenroom.actors.clock import Clock
from greenroom.actors.hooks import Hooks
from greenroom.actors.messages.calls import Call
from greenroom.actors.messages.core import Message, Reply
from greenroom.runtime.config.config import RuntimeConfig, SessionConfig
from greenroom.runtime.handles.session import Session, required_session_id
from greenroom.runtime.model.script import StreamOptions
from greenroom.runtime.runtime import Runtime
from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.common.arguments import as_seconds
from greenroom.storage.common.session_ids import SessionHandle
from greenroom.storage.errors import InvalidOperation
from greenroom.storage.events.model import Origin

from .bridge import Bridge, through
from .face import beneath
from .faces.runtime import RuntimeFace
from .listening import AsyncFollow
from .parts import (
    AsyncAgents,
    AsyncAnalytics,
    AsyncApprovals,
    AsyncEvents,
    AsyncHooks,
    AsyncInstalledScripts,
    AsyncMiddleware,
    AsyncPolicies,
    AsyncQuotas,
    AsyncReplays,
    AsyncSchemas,
    AsyncStateBackups,
    AsyncTemplates,
    AsyncTools,
)
from .recording import AsyncRecordedBlock, AsyncReplayedBlock
from .scripts import AsyncScriptStream
from .session import AsyncScope, AsyncSession

if TYPE_CHECKING:
    from greenroom.actors.maintenance.backup import BackupReport
    from greenroom.actors.maintenance.salvage import SalvageReport

__all__ = ["AsyncRuntime"]

P = ParamSpec("P")
T = TypeVar("T")


class AsyncRuntime(RuntimeFace[AsyncSession]):
    """A runtime whose methods are awaited. It belongs to the event loop that it was opened in.

    Example:
        ```py
        async with await AsyncRuntime.open("data") as rt:
            session = await rt.create_session()
            await session.set("k", 1)
        ```
    """

    _bridge: Bridge

    def __init__(self, runtime: Runtime, *, owned: bool) -> None:
        """Use `open` or `over`."""
        super().__init__(Bridge(runtime.core), runtime)
        self.runtime = runtime
        """The same runtime for code on other threads."""
        self._owned = owned

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        config: RuntimeConfig | Mapping[str, object] | None = None,
        read_only: bool = False,
        clock: Clock | None = None,
        hooks: Callable[[Hooks], object] | None = None,
    ) -> Self:
        """Open a store for the running event loop: see `Runtime.open`."""
        opening = partial(Runtime.open, path, config=config, read_only=read_only, clock=clock, hooks=hooks)
        opened = asyncio.get_running_loop().run_in_executor(None, opening)
        try:
            return cls(await asyncio.shield(opened), owned=True)
        except asyncio.CancelledError:
            opened.add_done_callback(_close)
            raise

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

    async def close(self, timeout: float | None = None) -> None:
        """Close the runtime, if it was opened here: see `Runtime.close`. Work that has begun is done to its end."""
        try:
            if self._owned:
                closing = asyncio.get_running_loop().run_in_executor(None, self.runtime.close, timeout)
                await asyncio.shield(closing)
        finally:
            self._bridge.close()

    def __repr__(self) -> str:
        return f"<AsyncRuntime {self.runtime.core.path}>"

    @classmethod
    async def restore(
        cls,
        backup: str | os.PathLike[str],
        path: str | os.PathLike[str],
        *,
        verify: bool = True,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> BackupReport:
        """Create a store from a backup: see `Runtime.restore`."""
        return await asyncio.to_thread(Runtime.restore, backup, path, verify=verify, on_progress=on_progress)

    @classmethod
    async def salvage(
        cls, path: str | os.PathLike[str], *, on_progress: Callable[[str, int], None] | None = None
    ) -> SalvageReport:
        """Repair a closed store whose files are damaged: see `Runtime.salvage`."""
        return await asyncio.to_thread(Runtime.salvage, path, on_progress=on_progress)

    async def run(self, fn: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Call a synchronous function that uses the runtime, off the event loop, and return what it returns."""
        return await self._bridge.run(fn, *args, **options)

    # -- what it is

    @property
    def path(self) -> Path:
        """Where the store is."""
        return self.runtime.path

    @property
    def config(self) -> RuntimeConfig:
        """The configuration."""
        return self.runtime.config

    @property
    def read_only(self) -> bool:
        """Whether the store is open for reading only."""
        return self.runtime.read_only

    @property
    def closed(self) -> bool:
        """Whether the runtime is closed."""
        return self.runtime.closed

    # -- its parts

    @cached_property
    def hooks(self) -> AsyncHooks:
        """Calls functions of the host at hook points: see `Hooks`."""
        return AsyncHooks(self._bridge, self.runtime.hooks)

    @cached_property
    def middleware(self) -> AsyncMiddleware:
        """Puts chains of functions around operations: see `Middleware`."""
        return AsyncMiddleware(self._bridge, self.runtime.middleware)

    @cached_property
    def policies(self) -> AsyncPolicies:
        """Limits of time, rate and resources: see `Policies`."""
        return AsyncPolicies(self._bridge, self.runtime.policies)

    @cached_property
    def events(self) -> AsyncEvents:
        """The bus, links, queries and timelines: see `Events`."""
        return AsyncEvents(self._bridge, self.runtime.events)

    @cached_property
    def approvals(self) -> AsyncApprovals:
        """The questions that sessions ask people: see `Approvals`."""
        return AsyncApprovals(self._bridge, self.runtime.approvals)

    @cached_property
    def tools(self) -> AsyncTools:
        """Registers and calls tools: see `Tools`."""
        return AsyncTools(self._bridge, self.runtime.tools)

    @cached_property
    def agents(self) -> AsyncAgents:
        """Registers and calls agents: see `Agents`."""
        return AsyncAgents(self._bridge, self.runtime.agents)

    @cached_property
    def schemas(self) -> AsyncSchemas:
        """What variables must look like, and their migrations: see `Schemas`."""
        return AsyncSchemas(self._bridge, self.runtime.schemas)

    @cached_property
    def state_backups(self) -> AsyncStateBackups:
        """Backups of scopes and sessions: see `StateBackups`."""
        return AsyncStateBackups(self._bridge, self.runtime.state_backups)

    @cached_property
    def quotas(self) -> AsyncQuotas:
        """What the sessions of one `created_by` may have together: see `Quotas`."""
        return AsyncQuotas(self._bridge, self.runtime.quotas)

    @property
    def templates(self) -> AsyncTemplates:
        """Presets for new sessions: see `Templates`."""
        return AsyncTemplates(self._bridge, self.runtime.templates)

    @cached_property
    def analytics(self) -> AsyncAnalytics:
        """Metrics of one session or of many: see `Analytics`."""
        return AsyncAnalytics(self._bridge, self.runtime.analytics)

    @cached_property
    def scripts(self) -> AsyncInstalledScripts:
        """Scripts that stay, as hooks and event handlers: see `InstalledScripts`."""
        return AsyncInstalledScripts(self._bridge, self.runtime.scripts)

    @cached_property
    def replays(self) -> AsyncReplays:
        """Replays that go on in the background: see `Replays`."""
        return AsyncReplays(self._bridge, self.runtime.replays)

    def follow(
        self,
        pattern: str = "**",
        after: datetime | str | float | None = None,
        *,
        session: SessionHandle | str | None = None,
        origin: Origin | str | None = None,
        timeout: float | None = None,
    ) -> AsyncFollow:
        """Follow the events of all sessions, from a time or a cursor on: see `Runtime.follow`."""
        return self.events.follow(pattern, after, session=session, origin=origin, timeout=timeout)

    # -- messages

    async def ask(
        self, session_id: SessionHandle | str, message: Message[Reply], timeout: float | None = None
    ) -> Reply:
        """Send a message and return the reply, or raise what the session raised: see `Runtime.ask`."""
        if not issubclass(type(message), Message):
            raise InvalidOperation("messages are objects of the classes in greenroom.runtime.messages")
        if timeout is not None:
            limit = as_seconds("timeout", timeout, endless=True)
        else:
            limit = math.inf if isinstance(message, Call) else self.config.ask_timeout
        reply: Reply = await self._bridge.ask(required_session_id(session_id), message, limit)
        return reply

    # -- sessions

    def _session(self, made: Session) -> AsyncSession:
        return AsyncSession(self._bridge, made)

    async def create_session(
        self,
        name: str | None = None,
        description: str | None = None,
        created_by: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, object] | None = None,
        parent: SessionHandle | str | None = None,
        config: SessionConfig | Mapping[str, object] | None = None,
        correlation_id: str | None = None,
        template: str | None = None,
        key: str | None = None,
    ) -> AsyncSession:
        """Create a durable session: see `Runtime.create_session`."""
        core = self.runtime.core
        waits = core.hooks.creating or core.config.durability == "fsync" or not (key is template is parent is None)
        run = self._bridge.run if waits else self._bridge.brief
        made = await run(
            self.runtime.create_session,
            name,
            description,
            created_by,
            tags,
            metadata,
            beneath(parent),
            config,
            correlation_id,
            template,
            key,
        )
        return AsyncSession(self._bridge, made)

    def recording(
        self,
        name: str | None = None,
        *,
        session: SessionHandle | str | None = None,
        key: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, object] | None = None,
        created_by: str | None = None,
        redact: str | Iterable[str] | None = None,
    ) -> AsyncRecordedBlock:
        """Record the code in an `async with` block into a session: see `Runtime.recording`.

        Example:
            ```py
            async with rt.recording("request") as session:
                await answer(request)
            ```
        """
        into = beneath(session)
        block = self.runtime.recording(
            name, session=into, key=key, tags=tags, metadata=metadata, created_by=created_by, redact=redact
        )
        return AsyncRecordedBlock(self._bridge, block)

    def replaying(
        self, session: SessionHandle | str, *, run: int | None = None, strict: bool = False
    ) -> AsyncReplayedBlock:
        """Answer the code in an `async with` block from what was recorded in a session: see `Runtime.replaying`."""
        block = self.runtime.replaying(required_session_id(session), run=run, strict=strict)
        return AsyncReplayedBlock(self._bridge, block)

    def state_scope(self, name: str, timeout: float | None = None) -> AsyncScope:
        """Return the state of a scope that is not a session: see `Runtime.state_scope`."""
        scope = self.runtime.state_scope(name, timeout)
        return AsyncScope(self._bridge, scope, through(scope, self._bridge.ask_here))

    def stream_script(
        self,
        source: str | os.PathLike[str] | ArtifactId | None = None,
        language: str | None = None,
        profile: str = "sandboxed",
        session: SessionHandle | str | None = None,
        args: Sequence[object] = (),
        timeout: float | None = None,
        **options: Unpack[StreamOptions],
    ) -> AsyncScriptStream:
        """Run a script, and return an iterator of the pieces that it gives: see `Runtime.stream_script`.

        Example:
            ```py
            async with rt.stream_script("return Streaming.create(function() Streaming.yield(1) end)") as pieces:
                async for piece in pieces:
                    print(piece)
            ```
        """
        given = (source, language, profile, beneath(session), args, timeout)
        return AsyncScriptStream(self._bridge, partial(self.runtime.stream_script, *given, **options))


def _close(opened: asyncio.Future[Runtime]) -> None:
    """Close a runtime for which nobody waits any more."""
    if not opened.cancelled() and opened.exception() is None:
        asyncio.get_running_loop().run_in_executor(None, opened.result().close)
