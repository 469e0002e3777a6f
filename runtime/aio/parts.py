"""The parts of a runtime, to be awaited: its tools, agents, hooks, events and the like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from greenroom.actors.events import Overflow, Subscription
from greenroom.storage.common.session_ids import SessionHandle
from greenroom.storage.events.model import Event, Origin

from .bridge import Bridge
from .face import beneath
from .faces.calls.agents import AgentsFace
from .faces.calls.approvals import ApprovalsFace
from .faces.calls.hooks import HooksFace
from .faces.calls.middleware import MiddlewareFace
from .faces.calls.tools import ToolsFace
from .faces.history.analytics import AnalyticsFace
from .faces.history.events import EventsFace
from .faces.history.replay import ReplayFace
from .faces.history.replays import ReplaysFace
from .faces.installed_scripts import InstalledScriptsFace
from .faces.policies import PoliciesFace
from .faces.quotas import QuotasFace
from .faces.sessions.schemas import SchemasFace
from .faces.sessions.state_backups import StateBackupsFace
from .faces.sessions.templates import TemplatesFace
from .functions import in_loop
from .listening import AsyncFollow, AsyncSubscription

if TYPE_CHECKING:
    from datetime import datetime

    from greenroom.runtime.replay.config import ReplayConfig
    from greenroom.runtime.replay.controls.breakpoints import Breakpoint, Breakpoints
    from greenroom.runtime.replay.controls.progress import ReplayProgress
    from greenroom.runtime.replay.controls.runner import ReplayPause, ReplayStatus

__all__ = [
    "AsyncAgents",
    "AsyncAnalytics",
    "AsyncApprovals",
    "AsyncEvents",
    "AsyncHooks",
    "AsyncInstalledScripts",
    "AsyncMiddleware",
    "AsyncPolicies",
    "AsyncQuotas",
    "AsyncReplay",
    "AsyncReplays",
    "AsyncSchemas",
    "AsyncStateBackups",
    "AsyncTemplates",
    "AsyncTools",
]


class AsyncTools(ToolsFace):
    """Registers and calls tools: see `Tools`."""


class AsyncAgents(AgentsFace):
    """Registers and calls agents: see `Agents`."""


class AsyncHooks(HooksFace):
    """Calls functions of the host at hook points: see `Hooks`."""


class AsyncMiddleware(MiddlewareFace):
    """Puts chains of functions around operations: see `Middleware`."""


class AsyncEvents(EventsFace):
    """The bus, links, queries and timelines: see `Events`."""

    _bridge: Bridge

    def follow(
        self,
        pattern: str = "**",
        after: datetime | str | float | None = None,
        *,
        session: SessionHandle | str | None = None,
        origin: Origin | str | None = None,
        timeout: float | None = None,
    ) -> AsyncFollow:
        """Follow the events of all sessions: see `Events.follow`."""
        return AsyncFollow(
            self._bridge, self.sync.follow(pattern, after, session=beneath(session), origin=origin, timeout=timeout)
        )

    def subscribe(
        self,
        pattern: str = "**",
        capacity: int = 1000,
        overflow: Overflow | str = Overflow.DROP_OLDEST,
        callback: Callable[[Event], object] | None = None,
        session: SessionHandle | str | None = None,
        *,
        block_timeout: float = 1.0,
        origin: Origin | str | None = None,
    ) -> AsyncSubscription:
        """Subscribe to future events: see `Events.subscribe`. A callback that is a coroutine function runs in this
        loop."""
        subscription = self.sync.subscribe(
            pattern,
            capacity,
            overflow,
            in_loop(callback, self._bridge.loop),
            beneath(session),
            block_timeout=block_timeout,
            origin=origin,
        )
        return AsyncSubscription(self._bridge, subscription)

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """The open subscriptions, also those of synchronous code."""
        return self.sync.subscriptions


class AsyncApprovals(ApprovalsFace):
    """The questions that sessions ask people: see `Approvals`."""


class AsyncPolicies(PoliciesFace):
    """Limits of time, rate and resources: see `Policies`."""


class AsyncSchemas(SchemasFace):
    """What variables must look like, and their migrations: see `Schemas`."""


class AsyncStateBackups(StateBackupsFace):
    """Backups of scopes and sessions: see `StateBackups`."""


class AsyncQuotas(QuotasFace):
    """What the sessions of one creator may have together: see `Quotas`."""


class AsyncTemplates(TemplatesFace):
    """Presets for new sessions: see `Templates`."""


class AsyncAnalytics(AnalyticsFace):
    """Metrics of one session or of many: see `Analytics`."""


class AsyncInstalledScripts(InstalledScriptsFace):
    """Scripts that stay, as hooks and event handlers: see `InstalledScripts`."""


class AsyncReplay(ReplayFace):
    """A replay that goes on in the background: see `Replay`."""

    @property
    def id(self) -> str:
        """The id of the replay."""
        return self.sync.id

    @property
    def breakpoints(self) -> Breakpoints:
        """Where the replay pauses. They never wait."""
        return self.sync.breakpoints

    @property
    def status(self) -> ReplayStatus:
        """What the replay is doing."""
        return self.sync.status

    @property
    def pause_reason(self) -> ReplayPause | None:
        """Why the replay is paused."""
        return self.sync.pause_reason

    @property
    def position(self) -> int:
        """The sequence of the event up to which the replay has come."""
        return self.sync.position

    @property
    def last(self) -> int:
        """The sequence of the last event."""
        return self.sync.last

    @property
    def time(self) -> datetime | None:
        """The time of the event up to which the replay has come."""
        return self.sync.time

    @property
    def progress(self) -> ReplayProgress:
        """How far the replay has come."""
        return self.sync.progress

    @property
    def speed(self) -> float | None:
        """How fast the replay goes: see `Replay.speed`."""
        return self.sync.speed

    @speed.setter
    def speed(self, speed: float | None) -> None:
        self.sync.speed = speed


class AsyncReplays(ReplaysFace):
    """Replays that go on in the background: see `Replays`."""

    async def start(
        self,
        session: SessionHandle | str,
        config: ReplayConfig | Mapping[str, object] | None = None,
        *,
        on_progress: Callable[[ReplayProgress], object] | None = None,
        breakpoints: Iterable[Breakpoint | Mapping[str, object]] = (),
        paused: bool = False,
    ) -> AsyncReplay:
        """Begin a replay: see `Replays.start`."""
        begun = await self._bridge.run(
            self.sync.start,
            beneath(session),
            config,
            on_progress=on_progress,
            breakpoints=breakpoints,
            paused=paused,
        )
        return AsyncReplay(self._bridge, begun)

    async def get(self, id: str) -> AsyncReplay:
        """Return a replay: see `Replays.get`."""
        return AsyncReplay(self._bridge, await self._bridge.run(self.sync.get, id))

    async def list(self, session: SessionHandle | str | None = None) -> list[AsyncReplay]:
        """Return the replays: see `Replays.list`."""
        found = await self._bridge.run(self.sync.list, beneath(session))
        return [AsyncReplay(self._bridge, each) for each in found]
