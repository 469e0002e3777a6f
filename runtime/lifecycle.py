"""What a runtime is made of: putting it together, taking it down, and the checks that all it does begins with."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, cast

from greenroom.actors.access.audit_trail import AuditTrail
from greenroom.actors.access.security import Security
from greenroom.actors.hooks import Hooks
from greenroom.actors.hooks.library.composition import Middleware
from greenroom.actors.maintenance.opening import Follower, bring_up_to_date, close_store, older_format, open_store
from greenroom.actors.messages.permissions import AccessAttempt
from greenroom.actors.scheduling.clock import Clock
from greenroom.actors.scheduling.dispatcher import Dispatcher
from greenroom.actors.scheduling.threads import Elastic
from greenroom.actors.scheduling.timers import Timers
from greenroom.actors.session.preparation import Preparation
from greenroom.actors.session.redaction import Redaction
from greenroom.actors.session.services import SessionServices
from greenroom.actors.supervisor.supervisor import Supervisor
from greenroom.actors.supervisor.table import SessionTable
from greenroom.actors.transfer.fork import fork_session
from greenroom.runtime.calls.calls import Calls
from greenroom.runtime.config.config import RuntimeConfig
from greenroom.runtime.events.events import Events
from greenroom.storage.common.durability import Durability
from greenroom.storage.common.forking import abandon_in_children, runtime_closed
from greenroom.storage.common.logs import logger_of
from greenroom.storage.errors import GreenroomError, InvalidOperation, ValidationError

from . import signals
from .agents import Agents
from .analytics import Analytics
from .policies import Policies
from .tools import Tools

if TYPE_CHECKING:
    from greenroom.runtime.analytics.tracing import Noted

    from .runtime import Runtime

__all__ = ["Lifecycle", "open_runtimes"]

logger = logger_of("runtime")

_SYNC_SECONDS: Final = 1.0
_GRACE_SECONDS: Final = 1.0
"""How long closing waits for elastic threads that nobody else waits for."""
_TIMEOUT_SECONDS: Final = 1.0
_SAVING_SECONDS: Final = 1.0
_AUDIT_SECONDS: Final = 10.0
open_runtimes: weakref.WeakSet[Lifecycle] = weakref.WeakSet()


class Lifecycle:
    """The parts of a runtime, from its making to its end."""

    def __init__(
        self,
        path: Path,
        config: RuntimeConfig,
        *,
        read_only: bool,
        temporary: bool,
        clock: Clock,
        hooks: Callable[[Hooks], object] | None = None,
    ) -> None:
        """Use `Runtime.open`."""
        self._runtime: Final = cast("Runtime", self)  # these parts are only ever made as a whole runtime
        self.path = path
        self.config = config
        self.read_only = read_only
        self._temporary = temporary
        self._clock = clock
        self._closing = threading.Lock()
        self._refreshing = threading.Lock()
        self._lagging = False
        self._closed = False
        self._store = open_store(
            path,
            Durability(config.durability),
            read_only=read_only,
            write_buffer_bytes=config.write_buffer_bytes,
            block_cache_bytes=config.block_cache_bytes,
            artifact_cache_bytes=config.artifact_cache_bytes,
            compress_above=config.compress_above,
            max_artifact_bytes=config.max_artifact_bytes,
            max_store_bytes=config.max_store_bytes,
        )
        self._follower = Follower(self._store)
        self._dispatcher = Dispatcher(config.workers)
        self._trail = AuditTrail(
            self._store, clock, config.ask_timeout, most=config.audit_max_records, days=config.audit_retention_days
        )
        self._security = Security(self._store.catalog, self._trail)
        self._redaction = Redaction(config.redact) if config.redact else None
        """Takes secrets out of what is journaled; None where nothing is to be taken out."""
        table = SessionTable(
            config.max_resident_sessions,
            config.max_resident_bytes,
            self._redaction.creation if self._redaction is not None else None,
        )
        preparation = Preparation(self._store)
        services = SessionServices(
            store=self._store,
            dispatcher=self._dispatcher,
            clock=clock,
            limits=config.policies.limits(),
            durability=Durability(config.durability),
            mailbox_capacity=config.mailbox_capacity,
            store_timeout=config.ask_timeout,
            snapshot_every=config.snapshot_every,
            max_restarts=config.max_restarts,
            restart_window=config.restart_window,
            artifact_name_limit=config.max_artifact_name,
            owner=table,
            discard=preparation.discard,
            security=self._security,
            fork=fork_session,
        )
        self._supervisor = Supervisor(table, services, self._security, preparation, self._redaction)
        self.elastic = Elastic(config.max_elastic_threads)
        """Threads for callables of the host that may block or hang: hooks, tools, agents."""
        self.hooks = Hooks(self._supervisor.delivery, services, self.elastic, config.ask_timeout)
        self.middleware = Middleware(self.hooks)
        self._security.on_violation = self._tell_of_violation
        self._calls = Calls(self._runtime, self.elastic)
        self._supervisor.delivery.home.calls = self._calls
        self.policies = Policies(
            config.policies, self._supervisor, self.hooks, self.elastic, self._require_host, self._calls.at_work
        )
        """What sessions may use of time, rate and resources: see `Policies`."""
        self.events = Events(self._runtime)
        """The bus, links, queries and timelines: see `Events`."""
        self.tools = Tools(self._runtime, self._calls, config.tool_timeout)
        """Registers and calls tools: see `Tools`."""
        self.agents = Agents(self._runtime, self._calls, config.agent_timeout)
        """Registers and calls agents: see `Agents`."""
        self._analytics = Analytics(self._runtime)
        self._timers = Timers(clock)
        try:
            if hooks is not None:
                if not callable(hooks):
                    raise ValidationError("hooks: a function that takes the hooks is needed", field="hooks")
                hooks(self.hooks)
            if not read_only:
                formats = older_format(self._store)
                if formats is not None:
                    self.hooks.fire("StateMigration", {"path": str(path), **formats}, operation="OpenRuntime")
                bring_up_to_date(self._store)
        except BaseException:
            self.close()
            raise
        abandon_in_children(self)
        if read_only:
            self._timers.every(config.refresh_interval, self._follow)
        else:
            self._timers.every(config.passivate_after / 2, self._sweep)
            self._timers.every(_TIMEOUT_SECONDS, self.policies.timekeeper.tick)
            self._timers.every(_SAVING_SECONDS, self._supervisor.save_due)
            self._timers.every(_AUDIT_SECONDS, self._trail.tidy)
            if config.durability is Durability.FSYNC:
                # For what nobody waits for: tells.
                self._timers.every(_SYNC_SECONDS, self._store.sync)

    @property
    def _realm(self) -> object:
        """What operations of this runtime belong to."""
        return self._security

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Runtime {self.path}{' read-only' if self.read_only else ''}{' closed' if self._closed else ''}>"

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self, timeout: float | None = None) -> None:
        """Refuse new work, handle what waits, save the sessions in memory, release the store. Idempotent.

        Ends within `timeout` seconds (default: `close_timeout`) and what the disk takes to flush. Whatever was
        acknowledged is kept even when the deadline passes.
        """
        with self._closing:
            if self._closed:
                return
            deadline = self._clock.monotonic() + (timeout if timeout is not None else self.config.close_timeout)
            if self.hooks.at("SystemShutdown") is not None:
                with contextlib.suppress(GreenroomError):  # too late to refuse
                    self.hooks.fire(
                        "SystemShutdown",
                        {"path": str(self.path)},
                        timeout=self._remaining(deadline) / 2,
                        operation="CloseRuntime",
                    )
            self.hooks.close()
            self.events.hurry()
            self._timers.close(self._remaining(deadline))
            self._calls.close(self._remaining(deadline) / 2)
            self.agents.close(self._remaining(deadline) / 2)
            self._supervisor.close(deadline, save=not self.read_only)
            self._dispatcher.close(self._remaining(deadline))
            if not self.read_only:
                self._trail.flush()
            self.events.close(self._remaining(deadline))
            self.elastic.close(min(_GRACE_SECONDS, self._remaining(deadline)))
            close_store(self._store, lambda: self._remaining(deadline))
            self._closed = True
            signals.unwatch(self._runtime)
            if self._temporary:
                shutil.rmtree(self.path, ignore_errors=True)

    def abandon(self) -> None:
        """Refuse everything from now on: this is the copy that a fork has made, and only the parent may use and close
        the runtime."""
        self._closed = True
        self._closing = threading.Lock()  # a thread that does not exist here may have held it
        self._supervisor.abandon()
        signals.unwatch(self._runtime)

    def _remaining(self, deadline: float) -> float:
        return max(0.05, deadline - self._clock.monotonic())

    def _sweep(self) -> None:
        self._supervisor.sweep(self.config.passivate_after)
        if self.config.durability is Durability.MEMORY:
            self._store.flush()

    def refresh(self) -> None:
        """Read-only runtimes: see what the writing runtime has written since, and tell it to who listens. They do so
        by themselves every `refresh_interval`."""
        if not self.read_only:
            return
        with self._refreshing:
            if self._closed:
                return
            self._follower.catch_up()
            self._supervisor.forget()
            self.events.tell_changes()

    def _follow(self) -> None:
        """Refresh, if there is anything new."""
        try:
            if self._follower.is_behind():
                self.refresh()
        except GreenroomError as error:
            if not self._lagging:
                logger.warning("what was written to %s is not seen until it can be read: %s", self.path, error)
            self._lagging = True
        else:
            self._lagging = False

    def _span(
        self,
        operation: str,
        name: str | None = None,
        session_id: str | None = None,
        correlation_id: str | None = None,
    ) -> AbstractContextManager[Noted | None]:
        """The span of an operation that is no message to a session; nothing while there are no traces."""
        trace = self._supervisor.delivery.trace
        if trace is None:
            return contextlib.nullcontext()
        return trace.span(operation, name, session_id, correlation_id)

    def _tell_of_violation(self, attempt: AccessAttempt) -> None:
        if self.hooks.at("SecurityViolation") is not None:
            self.hooks.fire(
                "SecurityViolation", asdict(attempt), session_id=attempt.session, operation=attempt.operation
            )

    def _require_host(self, operation: str, access: str = "read") -> None:
        """Raises AccessDenied if the running code acts for a session: what it asks concerns all of them."""
        self._security.require_host(operation, access)

    def _check_open(self) -> None:
        if self._closed:
            raise runtime_closed()

    def _check_writable(self, purpose: str) -> None:
        if self.read_only:
            raise InvalidOperation(f"this runtime is open for reading only: open it without read_only {purpose}")


@atexit.register
def _close_all() -> None:
    for runtime in list(open_runtimes):
        # The process ends; what was acknowledged is in the log.
        with contextlib.suppress(GreenroomError):
            runtime.close()
