"""Opens and closes a runtime: creates and closes all its parts in order."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.actors.access.audit_trail import AuditTrail
from greenroom.actors.access.security import Security
from greenroom.actors.clock import Clock
from greenroom.actors.hooks import Hooks
from greenroom.actors.maintenance.opening import Follower, bring_up_to_date, close_store, older_format, open_store
from greenroom.actors.messages.permissions import AccessAttempt
from greenroom.actors.scheduling.dispatcher import Dispatcher
from greenroom.actors.scheduling.threads import Elastic
from greenroom.actors.scheduling.timers import Timers
from greenroom.actors.session.preparation import Preparation
from greenroom.actors.session.redaction import Redaction
from greenroom.actors.session.services import SessionServices
from greenroom.actors.supervisor.supervisor import Supervisor
from greenroom.actors.supervisor.table import SessionTable
from greenroom.runtime.events.events import Events
from greenroom.runtime.handles.host import Host
from greenroom.runtime.handles.session import Session
from greenroom.runtime.retention.schedule import RetentionRuns
from greenroom.storage.common.arguments import as_function
from greenroom.storage.common.durability import Durability
from greenroom.storage.common.late import late
from greenroom.storage.common.logs import logger_of
from greenroom.storage.concurrency.forking import abandon_in_children, runtime_closed
from greenroom.storage.errors import GreenroomError, RuntimeClosed
from greenroom.storage.search.place import index_path

from .core import Background, RuntimeCore, backups_beside
from .policies import Policies
from .signals import unwatch

if TYPE_CHECKING:
    from greenroom.actors.messages.forking import ForkSession
    from greenroom.runtime.calls.calls import Calls
    from greenroom.runtime.config.config import RuntimeConfig

    from .agents import Agents
    from .analytics import Analytics
    from .search.search import Search
    from .tools import Tools

__all__ = ["Parts", "open_runtimes"]

logger = logger_of("runtime")

_SYNC_SECONDS: Final = 1.0
_GRACE_SECONDS: Final = 1.0
"""How long closing waits for elastic threads that no caller waits for."""
_TIMEOUT_SECONDS: Final = 1.0
_SAVING_SECONDS: Final = 1.0
_AUDIT_SECONDS: Final = 10.0
_LISTING_SECONDS: Final = 1.0
_OWED_SECONDS: Final = 1.0
_INDEX_SECONDS: Final = 1.0
open_runtimes: weakref.WeakSet[Parts] = weakref.WeakSet()


class Callers(NamedTuple):
    """What a runtime makes calls with."""

    calls: Calls
    tools: Tools
    agents: Agents


class Parts:
    """All parts of a runtime, from its opening to its end."""

    def __init__(
        self,
        host: Host,
        path: Path,
        config: RuntimeConfig,
        *,
        read_only: bool,
        temporary: bool,
        clock: Clock,
        hooks: Callable[[Hooks], object] | None = None,
    ) -> None:
        """Open the store and start all parts. Handles on sessions are made with `host`. `hooks` is called with the
        hooks before anything else happens."""
        self.path = path
        self._temporary = temporary
        self._closing = threading.Lock()
        self._refreshing = threading.Lock()
        self._lagging = False
        store = open_store(
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
        self._follower = Follower(store)
        self._dispatcher = Dispatcher(config.workers)
        trail = AuditTrail(
            store, clock, config.ask_timeout, most=config.audit_max_records, days=config.audit_retention_days
        )
        security = Security(store.engine, store.catalog, trail, clock)
        redaction = Redaction(config.redact) if config.redact else None
        table = SessionTable(
            config.max_resident_sessions,
            config.max_resident_bytes,
            redaction.creation if redaction is not None else None,
        )
        preparation = Preparation(store)
        services = SessionServices(
            store=store,
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
            security=security,
            fork=self._fork,
        )
        supervisor = Supervisor(table, services, security, preparation, redaction)
        elastic = Elastic(config.max_elastic_threads)
        self.core = core = RuntimeCore(
            path=path,
            config=config,
            read_only=read_only,
            clock=clock,
            store=store,
            trail=trail,
            security=security,
            redaction=redaction,
            supervisor=supervisor,
            hooks=Hooks(supervisor.delivery, services, elastic, config.ask_timeout),
            elastic=elastic,
            timers=Timers(clock),
        )
        core.background.append(core.owed)
        security.on_violation = self._report_violation
        self._host = host
        supervisor.delivery.home.calls = lambda: self.callers.calls
        self.policies = Policies(core)
        self.events = Events(core)
        self.retention = RetentionRuns(core)
        self._making = threading.RLock()
        """Held while a part is made that comes late, here and in the runtime."""
        self._ending = False
        try:
            if hooks is not None:
                as_function("hooks", hooks)(core.hooks)
            if not read_only:
                formats = older_format(store)
                if formats is not None:
                    self.core.hooks.fire("StateMigration", {"path": str(path), **formats}, operation="OpenRuntime")
                bring_up_to_date(store)
        except BaseException:
            self.close()
            raise
        abandon_in_children(self)
        if read_only:
            self.core.timers.every(config.refresh_interval, self._follow)
        else:
            self.core.timers.every(config.passivate_after / 2, self._sweep)
            self.core.timers.every(_TIMEOUT_SECONDS, self.policies.timekeeper.tick)
            self.core.timers.every(_SAVING_SECONDS, self.core.supervisor.save_due)
            self.core.timers.every(_AUDIT_SECONDS, self.core.trail.tidy)
            self.core.timers.every(_LISTING_SECONDS, self.core.store.list_words_while_idle)
            self.core.timers.every(_OWED_SECONDS, self.core.owed.hurry)
            self.core.timers.every(_INDEX_SECONDS, self._index)
            self.retention.begin()
            if config.durability is Durability.FSYNC:
                # For messages sent by `tell`.
                self.core.timers.every(_SYNC_SECONDS, self.core.store.sync)

    @late
    def callers(self) -> Callers:
        """What makes the calls of tools and agents, and knows them."""
        from greenroom.runtime.calls.calls import Calls

        from .agents import Agents
        from .tools import Tools

        core, config = self.core, self.core.config
        calls = Calls(core, lambda session_id: Session(self._host, session_id))
        calls.tools = tools = Tools(core, calls, config.tool_timeout)
        calls.agents = agents = Agents(core, calls, tools, config.agent_timeout)
        if self._ending:
            calls.close(0)
        return Callers(calls, tools, agents)

    @late
    def analytics(self) -> Analytics:
        """The metrics of sessions."""
        from .analytics import Analytics

        return Analytics(self.core, self.events)

    @late
    def search(self) -> Search:
        """Answers searches, and keeps their index."""
        from .search.search import Search

        if self._ending:
            raise runtime_closed()
        search = Search(self.core)
        self.core.background.append(search)
        return search

    def end_with(self, background: Background) -> None:
        """Have something end with the runtime: at once if that is closing."""
        self.core.background.append(background)
        if self._ending:
            background.begin_to_close()

    @property
    def closed(self) -> bool:
        """Whether the runtime is closed."""
        return self.core.lifetime.closed

    def close(self, timeout: float | None = None) -> None:
        """Close all parts in order; see `Runtime.close`."""
        with self._closing:
            if self.core.lifetime.closed:
                return
            deadline = self.core.clock.monotonic() + (
                timeout if timeout is not None else self.core.config.close_timeout
            )
            if self.core.hooks.at("SystemShutdown") is not None:
                with contextlib.suppress(GreenroomError):  # too late to refuse
                    self.core.hooks.fire(
                        "SystemShutdown",
                        {"path": str(self.path)},
                        timeout=self._remaining(deadline) / 2,
                        operation="CloseRuntime",
                    )
            with self._making:
                self._ending = True
            self.retention.end()
            for each in self.core.background:
                each.begin_to_close()
            self.core.hooks.close()
            self.events.hurry()
            self.core.timers.close(self._remaining(deadline))
            if "callers" in vars(self):
                self.callers.calls.close(self._remaining(deadline) / 2)
                self.callers.agents.close(self._remaining(deadline) / 2)
            for each in self.core.background:
                each.close(self._remaining(deadline) / 2)
            self.core.supervisor.close(deadline, save=not self.core.read_only)
            self._dispatcher.close(self._remaining(deadline))
            if not self.core.read_only:
                self.core.trail.flush()
            self.events.close(self._remaining(deadline))
            self.core.elastic.close(min(_GRACE_SECONDS, self._remaining(deadline)))
            close_store(self.core.store, lambda: self._remaining(deadline))
            self.core.lifetime.closed = True
            unwatch(self)
            if self._temporary:
                shutil.rmtree(self.path, ignore_errors=True)
                shutil.rmtree(backups_beside(self.path), ignore_errors=True)

    def abandon(self) -> None:
        """Refuse all operations from now on. Called in a forked child process: only the parent may use and close the
        runtime."""
        self.core.lifetime.closed = True
        self._closing, self._making = threading.Lock(), threading.RLock()  # threads of the parent may have held them
        self.core.supervisor.abandon()
        unwatch(self)

    def _remaining(self, deadline: float) -> float:
        return max(0.05, deadline - self.core.clock.monotonic())

    def _sweep(self) -> None:
        self.core.supervisor.sweep(self.core.config.passivate_after)
        if self.core.config.durability is Durability.MEMORY:
            self.core.store.flush()

    def _fork(self, services: SessionServices, origin: str, at: int, command: ForkSession) -> str:
        from greenroom.actors.transfer.changed import Changing
        from greenroom.actors.transfer.fork import fork_session

        supervisor = self.core.supervisor
        return fork_session(services, origin, at, command, Changing(supervisor.table, supervisor.delivery.hooks))

    def _index(self) -> None:
        with contextlib.suppress(RuntimeClosed):  # it began to close just now
            if "search" in vars(self) or index_path(self.path).exists():
                self.search.tick()

    def refresh(self) -> None:
        """Catch up with the writing runtime; see `Runtime.refresh`."""
        if not self.core.read_only:
            return
        with self._refreshing:
            if self.core.lifetime.closed:
                return
            self._follower.catch_up()
            self.core.supervisor.forget()
            self.events.tell_changes()

    def _follow(self) -> None:
        """Refresh if there are new writes."""
        try:
            if self._follower.is_behind():
                self.refresh()
        except GreenroomError as error:
            if not self._lagging:
                logger.warning("what was written to %s is not seen until it can be read: %s", self.path, error)
            self._lagging = True
        else:
            self._lagging = False

    def _report_violation(self, attempt: AccessAttempt) -> None:
        if self.core.hooks.at("SecurityViolation") is not None:
            self.core.hooks.fire(
                "SecurityViolation", attempt._asdict(), session_id=attempt.session, operation=attempt.operation
            )


@atexit.register
def _close_all() -> None:
    for runtime in list(open_runtimes):
        # The process ends; acknowledged writes are in the log.
        with contextlib.suppress(GreenroomError):
            runtime.close()
