"""`Runtime`: the object that a host embeds. It owns the dispatchers, the supervisor, the store and the timers."""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Final

import pydantic
from annotated_types import MaxLen, MinLen

from greenroom.actors import messages as m
from greenroom.actors.auditing import Attempt, AuditTrail
from greenroom.actors.calls import Call
from greenroom.actors.clock import Clock, SystemClock
from greenroom.actors.conversation import ARTIFACT
from greenroom.actors.decide import creation
from greenroom.actors.dispatcher import Dispatcher
from greenroom.actors.elastic import Elastic
from greenroom.actors.hooks import Hooks, Middleware
from greenroom.actors.operation import CURRENT, Operation, acting, following
from greenroom.actors.policies.kinds import CREATION
from greenroom.actors.security import Security
from greenroom.actors.session import SessionServices
from greenroom.actors.sharing import expiry
from greenroom.actors.staged import recover_staged
from greenroom.actors.store import ArtifactStore
from greenroom.actors.supervisor import Supervisor
from greenroom.actors.timers import Timers
from greenroom.storage.artifact_query import ArtifactQuery, artifact_query
from greenroom.storage.artifacts import Artifact, ArtifactId, ArtifactInfo
from greenroom.storage.audit import AuditRecord
from greenroom.storage.bundle_export import Progress
from greenroom.storage.catalog import Page, SessionInfo, SessionQuery, SessionStatus, refusal, validated
from greenroom.storage.engine import FORMAT_VERSION, Durability, Engine, EngineOptions
from greenroom.storage.errors import (
    AccessDenied,
    GreenroomError,
    HookCancelled,
    IntegrityError,
    InvalidOperation,
    RuntimeClosed,
    SessionNotFound,
    StoreLocked,
    ValidationError,
)
from greenroom.storage.keys import is_session_id, new_session, session_bytes
from greenroom.storage.keys import session_id_of as id_of_bytes
from greenroom.storage.migration import migrate
from greenroom.storage.records import unpack_value

from . import signals
from .agents import Agents
from .analytics import Analytics
from .bundles import BackupReport, ExportReport, backup_store, export_bundle, import_sessions, restore_store
from .calls import Calls
from .config import RuntimeConfig, SessionConfig
from .events import Events
from .gc import GcReport, collect
from .policies import Policies
from .retention import RetentionPolicy, RetentionReport, apply_retention
from .salvage import SalvageReport, salvage_store
from .scope import Scope
from .script_events import run_recorded
from .scripts import ScriptRequest, ScriptResult, engine_for, read_source
from .session import ManyArtifacts, Session, session_id_of
from .templates import SCOPE as TEMPLATES
from .templates import Templates
from .tools import Tools
from .usage import Usage, usage_of
from .verify import Progress as CareProgress
from .verify import VerifyReport, verify_store

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from .analytics.tracing import Noted, Tracing

__all__ = ["Runtime"]

DAY: Final = 86_400 * 1_000_000_000
_SYNC_SECONDS: Final = 1.0
_GRACE_SECONDS: Final = 1.0
"""How long closing waits for elastic threads that nobody else waits for."""
_TIMEOUT_SECONDS: Final = 1.0
_AUDIT_SECONDS: Final = 10.0
_DETAILS = 20
_open_runtimes: weakref.WeakSet[Runtime] = weakref.WeakSet()


class _NewSession(pydantic.BaseModel):
    """What outsiders may say of a new session."""

    model_config = pydantic.ConfigDict(strict=True)

    name: Annotated[str, MinLen(1), MaxLen(m.MAX_NAME)] | None
    description: Annotated[str, MaxLen(m.MAX_TEXT)] | None
    created_by: Annotated[str, MinLen(1), MaxLen(m.MAX_NAME)] | None
    correlation_id: Annotated[str, MinLen(1), MaxLen(m.MAX_NAME)] | None


_check_new_session = _NewSession.__pydantic_validator__.validate_python


class Runtime:
    """Durable sessions on one store. Thread-safe; use it as a context manager, or call `close`.

    Example:
        ```py
        with Runtime.open("data") as rt:
            s = rt.create_session(name="Analysis", tags=["nlp"])
            s.set("k", 1)
        ```
    """

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
        self.path = path
        self.config = config
        self.read_only = read_only
        self._temporary = temporary
        self._clock = clock
        self._closing = threading.Lock()
        self._closed = False
        engine = Engine(
            path,
            Durability(config.durability),
            EngineOptions(write_buffers=config.write_buffer_bytes, block_cache=config.block_cache_bytes),
            read_only=read_only,
        )
        self._dispatcher = Dispatcher(config.workers)
        self._store_dispatcher = Dispatcher(1, "greenroom-store")
        self._store = ArtifactStore(
            self._store_dispatcher,
            engine,
            cache_bytes=config.artifact_cache_bytes,
            compress_above=config.compress_above,
            max_bytes=config.max_artifact_bytes,
            quota=config.max_store_bytes,
        )
        self._trail = AuditTrail(
            self._store, clock, config.ask_timeout, most=config.audit_max_records, days=config.audit_retention_days
        )
        self._security = Security(self._store.catalog, self._trail)
        self._supervisor = Supervisor(config.max_resident_sessions, config.max_resident_bytes)
        self._supervisor.services = SessionServices(
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
            owner=self._supervisor,
            security=self._security,
        )
        self._supervisor.security = self._security
        self.elastic = Elastic(config.max_elastic_threads)
        """Threads for callables of the host that may block or hang: hooks, tools, agents."""
        self.hooks = Hooks(self._supervisor, self.elastic, clock, config.ask_timeout)
        self.middleware = Middleware(self.hooks)
        self._security.on_violation = self._tell_of_violation
        self._calls = Calls(self, self.elastic)
        self._supervisor.calls = self._calls
        self.policies = Policies(
            config.policies, self._supervisor, self.hooks, self.elastic, self._require_host, self._calls.at_work
        )
        """What sessions may use of time, rate and resources: see `Policies`."""
        self.events = Events(self)
        """The bus, links, queries and timelines: see `Events`."""
        self.tools = Tools(self, self._calls, config.tool_timeout)
        """Registers and calls tools: see `Tools`."""
        self.agents = Agents(self, self._calls, config.agent_timeout)
        """Registers and calls agents: see `Agents`."""
        self._analytics = Analytics(self)
        self._timers = Timers(clock)
        try:
            if hooks is not None:
                if not callable(hooks):
                    raise ValidationError("hooks: a function that takes the hooks is needed", field="hooks")
                hooks(self.hooks)
            if not read_only:
                if engine.format < FORMAT_VERSION:
                    formats = {"path": str(path), "from": engine.format, "to": FORMAT_VERSION}
                    self.hooks.fire("StateMigration", formats)
                migrate(engine)
                self._store.recover()
                recover_staged(self._store)
        except BaseException:
            self.close()
            raise
        if not read_only:
            self._timers.every(config.passivate_after / 2, self._sweep)
            self._timers.every(_TIMEOUT_SECONDS, self.policies.timekeeper.tick)
            self._timers.every(_AUDIT_SECONDS, self._trail.tidy)
            if config.durability is Durability.FSYNC:
                # For what nobody waits for: tells.
                self._timers.every(_SYNC_SECONDS, self._store.engine.sync)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        config: RuntimeConfig | Mapping[str, Any] | None = None,
        read_only: bool = False,
        clock: Clock | None = None,
        hooks: Callable[[Hooks], object] | None = None,
    ) -> Runtime:
        """Open the store at `path`, making it if there is none; without a path, a temporary one.

        With `read_only` it opens beside a runtime, of this or another process, that writes; `refresh` catches up.
        `hooks` is called with `Runtime.hooks` before anything else happens: for hooks that are to see the store
        brought up to date (StateMigration) and the runtime start (SystemStartup), either of which can refuse it.
        Raises StoreLocked, SchemaTooNew, IntegrityError, StorageError or ValidationError.
        """
        settings = RuntimeConfig.build(config)
        if path is None and read_only:
            raise InvalidOperation("a temporary store has nothing to read: give the path of a store")
        where = Path(path) if path is not None else Path(tempfile.mkdtemp(prefix="greenroom-"))
        try:
            runtime = cls(
                where,
                settings,
                read_only=read_only,
                temporary=path is None,
                clock=clock or SystemClock(),
                hooks=hooks,
            )
        except BaseException:
            if path is None:
                shutil.rmtree(where, ignore_errors=True)
            raise
        try:
            runtime.hooks.fire("SystemStartup", {"path": str(where), "read_only": read_only})
        except BaseException:
            runtime.close()
            raise
        _open_runtimes.add(runtime)
        if settings.handle_signals:
            signals.watch(runtime)
        return runtime

    def __enter__(self) -> Runtime:
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
                    self.hooks.fire("SystemShutdown", {"path": str(self.path)}, timeout=self._remaining(deadline) / 2)
            self.hooks.close()
            self._timers.close(self._remaining(deadline))
            self._calls.close(self._remaining(deadline) / 2)
            self.agents.close(self._remaining(deadline) / 2)
            self._supervisor.close(deadline, save=not self.read_only)
            self._dispatcher.close(self._remaining(deadline))
            if not self.read_only:
                self._trail.flush()
            self.events.close(self._remaining(deadline))
            self.elastic.close(min(_GRACE_SECONDS, self._remaining(deadline)))
            self._store_dispatcher.close(self._remaining(deadline))
            with contextlib.suppress(GreenroomError):
                self._store.leave(self._remaining(deadline))
            self._store.engine.close()
            self._closed = True
            signals.unwatch(self)
            if self._temporary:
                shutil.rmtree(self.path, ignore_errors=True)

    def _remaining(self, deadline: float) -> float:
        return max(0.05, deadline - self._clock.monotonic())

    def _sweep(self) -> None:
        self._supervisor.sweep(self.config.passivate_after)
        if self.config.durability is Durability.MEMORY:
            self._store.engine.flush()

    def refresh(self) -> None:
        """Read-only runtimes: see what the writing runtime has written since."""
        if self.read_only:
            self._store.engine.catch_up()
            self._supervisor.forget()

    # -- sessions

    def create_session(
        self,
        name: str | None = None,
        description: str | None = None,
        created_by: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        parent: Session | str | None = None,
        config: SessionConfig | Mapping[str, Any] | None = None,
        correlation_id: str | None = None,
        template: str | None = None,
    ) -> Session:
        """Make a durable session with an unpredictable id.

        name ≤ 255 characters, ≤ 64 tags of ≤ 64 characters, metadata ≤ 64 KiB of JSON. A template adds its name's
        prefix, its tags, metadata and settings; where both say something, the caller does.
        Raises ValidationError, or SessionNotFound if the parent does not exist.
        """
        if self.hooks.creating or self._supervisor.trace is not None:
            given: dict[str, Any] = {
                "name": name,
                "description": description,
                "created_by": created_by,
                "tags": list(tags) if isinstance(tags, Iterable) and not isinstance(tags, str) else tags,
                "metadata": metadata,
                "parent": parent.id if isinstance(parent, Session) else parent,
                "config": config.model_dump(exclude_unset=True) if isinstance(config, SessionConfig) else config,
                "correlation_id": correlation_id,
                "template": template,
            }
            with self._span("create_session", correlation_id=correlation_id) as noted:
                hooked = self.hooks.creating
                made = (
                    self._created(self.hooks.creation(given, self._create_hooked))
                    if hooked
                    else self._create_session(**given)
                )
                if noted is not None:
                    noted.session(made.id)
                return made
        return self._create_session(
            name, description, created_by, tags, metadata, parent, config, correlation_id, template
        )

    def _create_hooked(self, data: dict[str, Any], target: str | None) -> Session:
        """Create a session with what the hooks before it have left, or take the one they redirect to."""
        if target is not None:
            return self.session(target)
        try:
            return self._create_session(**data)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:
                raise ValidationError("create_session: a hook has added what is no option of a session") from None
            raise

    def _created(self, answer: Any) -> Session:
        """The session that hooks have answered with, themselves or by its id."""
        if isinstance(answer, Session):
            return answer
        if isinstance(answer, str):
            return self.session(answer)
        raise InvalidOperation("a hook has answered the creation of a session with what is no session")

    def _create_session(
        self,
        name: str | None = None,
        description: str | None = None,
        created_by: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        parent: Session | str | None = None,
        config: SessionConfig | Mapping[str, Any] | None = None,
        correlation_id: str | None = None,
        template: str | None = None,
    ) -> Session:
        if template is not None:
            with acting(principal=None):  # presets are the host's, for everybody to use
                preset = self.templates.get(template)
            name = preset.named(name)
            tags, metadata, config = preset.tagged(tags), preset.described(metadata), preset.configured(config)
        try:
            _check_new_session(
                {
                    "name": name,
                    "description": description,
                    "created_by": created_by,
                    "correlation_id": correlation_id,
                }
            )
        except pydantic.ValidationError as error:
            raise refusal(error) from None
        parent_id = self._security.principal()  # what a session makes is its child: that is how it may reach it
        if parent is not None:
            parent_id = session_id_of(parent, "parent")
            self._security.require(parent_id or "", "create_session", "write")
        if parent_id is not None and not self.exists(parent_id):
            raise SessionNotFound("the parent session does not exist", session_id=str(parent_id)[:64])
        overrides = _overrides(config) if config is not None else None
        principal = self._security.principal()
        if principal is not None:
            overrides = self.policies.for_child(overrides or {}, principal)
        self.policies.require(CREATION)
        draft = creation(
            name,
            description,
            created_by,
            m.tag_list(tags) if tags else [],
            m.metadata_bytes(metadata) if metadata is not None else m.EMPTY_METADATA,
            parent_id,
            overrides,
            correlation_id,
        )
        return Session(self, self._supervisor.create(draft))

    def session(self, session_id: str) -> Session:
        """A handle on an existing session. Raises SessionNotFound."""
        self._security.require(session_id, "session")
        if not self.exists(session_id):
            raise SessionNotFound(f"there is no session {str(session_id)[:64]!r}", session_id=str(session_id)[:64])
        return Session(self, session_id)

    def exists(self, session_id: str) -> bool:
        """Whether there is a session with exactly this id, as far as the running code may know."""
        self._check_open()
        principal = self._security.principal()
        if principal is not None and not self._security.reaches(principal, session_id):
            return False
        return is_session_id(session_id) and self._store.catalog.row(session_bytes(session_id)) is not None

    def list_sessions(self, **query: Any) -> Page[SessionInfo]:
        """The sessions that match, as a page with the `total` before pagination.

        Keys: status (one or several; default active and suspended), created_by, tags (all of), parent, created_after,
        created_before, search (in name and description, case-insensitive), metadata (equality per key), sort_by
        (created_at, updated_at, name, artifact_count, operation_count), descending, limit, offset.
        """
        self._check_open()
        if isinstance(query.get("tags"), str):
            raise ValidationError("tags: a list of texts is needed, not one text", field="tags")
        wanted = validated(SessionQuery, query)
        if wanted.parent is not None and not is_session_id(wanted.parent):
            raise ValidationError("parent: a session id is needed", field="parent")
        principal = self._security.principal()
        if principal is None:
            return self._store.catalog.query(wanted)
        if wanted.parent is not None:
            self._security.require(wanted.parent, "list_sessions", "list")
        return self._store.catalog.query(wanted, self._family(principal))

    def _family(self, principal: str) -> Iterator[bytes]:
        """What code that acts for a session sees of all sessions: its own, and those below it."""
        return self._store.catalog.below(session_bytes(principal)) if is_session_id(principal) else iter(())

    def count_sessions(self, **query: Any) -> int:
        """How many sessions match."""
        return self.list_sessions(**{**query, "limit": 0, "offset": 0}).total

    def find_sessions(self, id_prefix: str, limit: int = 10) -> list[str]:
        """Ids that begin with these hex digits, at most `limit`. Raises ValidationError."""
        digits = id_prefix.replace("-", "").lower()
        if not 1 <= len(digits) <= 32 or any(each not in "0123456789abcdef" for each in digits):
            raise ValidationError("a session id consists of hex digits and hyphens", field="session_id")
        self._check_open()
        principal = self._security.principal()
        if principal is None:
            return self._store.catalog.with_prefix(digits, limit)
        own = sorted(map(id_of_bytes, self._family(principal)))
        return [each for each in own if each.replace("-", "").startswith(digits)][:limit]

    def delete_session(self, session_id: str) -> None:
        """Remove a session with everything that belongs to it, also a damaged one. Raises SessionNotFound."""
        if not is_session_id(session_id):
            raise SessionNotFound(f"there is no session {str(session_id)[:64]!r}", session_id=str(session_id)[:64])
        Session(self, session_id).delete()

    def save_all(self) -> int:
        """Snapshot every session in memory that has unsaved events, and put everything on disk; how many."""
        self._check_open()
        self._require_host("save_all")
        saved = 0
        for actor in self._supervisor.residents():
            if actor.unsaved:
                try:
                    self._supervisor.ask(actor.actor_urn, m.SaveSession(sync=False), self.config.ask_timeout)
                    saved += 1
                except (SessionNotFound, HookCancelled):
                    pass  # deleted meanwhile, or a hook is against it
        self._store.engine.sync()
        return saved

    def restore_recent(self, n: int = 10) -> list[Session]:
        """Bring the `n` most recently changed open sessions into memory, newest first."""
        self._require_host("restore_recent")
        recent = self.list_sessions(sort_by="updated_at", descending=True, limit=n)
        sessions = []
        for info in recent:
            session = Session(self, info.id)
            try:
                session.load()
            except (SessionNotFound, IntegrityError, HookCancelled):
                continue  # deleted meanwhile, damaged, or refused by a hook: the others come back all the same
            sessions.append(session)
        return sessions

    def cleanup(self, retention_days: float | None = None) -> int:
        """Delete sessions that ended longer ago than `retention_days` (default: each one's own); how many."""
        self._check_open()
        self._require_host("cleanup", "delete")
        if retention_days is not None and (type(retention_days) not in (int, float) or not retention_days >= 0):
            raise ValidationError("retention_days: a number from 0 is needed", field="retention_days")
        now = self._clock.time_ns()
        ended = (SessionStatus.COMPLETED, SessionStatus.FAILED, SessionStatus.ARCHIVED)
        default = SessionConfig().retention_days
        deleted = 0
        for session, row in self._store.catalog.rows(ended):
            days = retention_days
            if days is None:
                days = unpack_value(row.config).get("retention_days", default) if row.config else default
            if row.ended_at is not None and now - row.ended_at >= days * DAY:
                try:
                    self.delete_session(id_of_bytes(session))
                    deleted += 1
                except (SessionNotFound, HookCancelled):
                    pass  # somebody else deleted it, or a hook keeps it
        return deleted

    # -- artifacts of all sessions

    def query_artifacts(self, query: ArtifactQuery | None = None, **criteria: Any) -> Page[ArtifactInfo]:
        """The artifacts of all sessions that match, or of one with `session_id`; see `Session.query_artifacts`.

        Raises ValidationError, or SessionNotFound for a session that is not there.
        """
        self._check_open()
        wanted = artifact_query(query, criteria)
        session_id = wanted.criteria.session_id
        if session_id is not None:
            return Session(self, session_id).query_artifacts(wanted)
        self._require_host("query_artifacts", "list")
        return self._store.search.everywhere(wanted)

    def get_many(self, ids: Iterable[ArtifactId | str]) -> ManyArtifacts:
        """The artifacts with these ids, of any sessions; one that cannot be read is an error under its id."""
        results: dict[ArtifactId | str, Artifact] = {}
        errors: dict[ArtifactId | str, GreenroomError] = {}
        by_session: dict[str, list[ArtifactId | str]] = {}
        for each in ids:
            try:
                artifact = each if isinstance(each, ArtifactId) else ArtifactId.parse(each)
            except ValidationError as error:
                errors[each] = error
                continue
            by_session.setdefault(artifact.session_id, []).append(each)
        for session_id, wanted in by_session.items():
            try:
                found = Session(self, session_id).get_many(wanted)
            except (SessionNotFound, IntegrityError, AccessDenied, HookCancelled) as error:
                errors.update(dict.fromkeys(wanted, error))
                continue
            results.update(found.results)
            errors.update(found.errors)
        return ManyArtifacts(results, errors)

    def _shared_with(self, session_id: str) -> list[ArtifactInfo]:
        """What a session that the running code reaches may read of others, oldest first."""
        return self._supervisor.crossing.shared_with(session_id, self.config.ask_timeout)

    # -- messages

    def ask(self, session_id: str, message: m.Message, timeout: float | None = None) -> Any:
        """Send a message and return the reply, or raise what the session raised.

        Raises OperationTimeout after `timeout` seconds (default: `ask_timeout`; for calls of tools and agents, the time
        that these may take).
        """
        if not isinstance(message, m.Message):
            raise InvalidOperation("messages are objects of the classes in greenroom.runtime.messages")
        if timeout is None:
            timeout = math.inf if isinstance(message, Call) else self.config.ask_timeout
        elif type(timeout) not in (int, float) or not timeout > 0:
            raise ValidationError("timeout: a number of seconds above 0 is needed", field="timeout")
        return self._supervisor.ask(session_id, message, timeout)

    def tell(self, session_id: str, message: m.Message) -> None:
        """Send a message and go on. What goes wrong after it has been sent is logged."""
        if not isinstance(message, m.Message):
            raise InvalidOperation("messages are objects of the classes in greenroom.runtime.messages")
        self._supervisor.tell(session_id, message)

    # -- operations

    @contextlib.contextmanager
    def operation(
        self,
        correlation_id: str | None = None,
        *,
        causation_id: str | None = None,
        root_id: str | None = None,
        source: str | None = None,
    ) -> Iterator[Operation]:
        """Mark what the code inside does as one operation: its events, in whatever sessions, carry these ids.

        Without a correlation id it has that of the cause, else that of the operation around it, else a new one. A
        cause is the id of a journaled event; where no root is named, the operation has the root of its cause.
        Raises ValidationError.
        """
        for field, value in (("correlation_id", correlation_id), ("root_id", root_id), ("source", source)):
            if value is not None and not (isinstance(value, str) and 0 < len(value) <= m.MAX_NAME):
                raise ValidationError(f"{field}: text of 1 to {m.MAX_NAME} characters is needed", field=field)
        around = CURRENT.get()
        changes: dict[str, Any] = {}
        if causation_id is not None:
            changes = following(self.events.get(causation_id))
        elif around is None or around.correlation_id is None:
            changes = {"correlation_id": id_of_bytes(new_session())}
        given = {"correlation_id": correlation_id, "root_id": root_id, "source": source}
        changes |= {name: value for name, value in given.items() if value is not None}
        with acting(**changes) as operation:
            yield operation

    # -- scripts

    def run_script(
        self,
        source: str | os.PathLike[str],
        language: str | None = None,
        profile: str = "sandboxed",
        session: Session | str | None = None,
        args: Sequence[Any] = (),
        timeout: float | None = None,
        *,
        name: str | None = None,
        directories: Sequence[str | os.PathLike[str]] = (),
        echo: Callable[[str], None] | None = None,
    ) -> ScriptResult:
        """Run a script: source text, or a file given as a Path. Bound to a session it reaches only that one.

        `directories` are what the `files` profile may touch; `echo` gets printed lines as they appear.
        Raises ScriptError, ScriptTimeout, ScriptMemoryExceeded, or ConfigurationError for an unknown language.
        """
        self._check_open()
        if session is None:
            self._require_host("run_script", "write")
        path = None if isinstance(source, str) else Path(source)
        engine = engine_for(language, path)
        bound = None
        if session is not None:
            bound = session if isinstance(session, Session) else self.session(session)
            self._security.require(bound.id, "run_script", "write")
        request = ScriptRequest(
            runtime=self,
            source=source if isinstance(source, str) else read_source(Path(source)),
            name=name or (path.name if path is not None else "script"),
            profile=profile,
            session=bound,
            args=tuple(args),
            timeout=timeout if timeout is not None else self.config.script_timeout,
            max_instructions=self.config.script_instructions,
            max_memory=self.policies.script_memory(bound.id if bound is not None else None, self.config),
            directories=tuple(Path(each) for each in directories),
            echo=echo,
        )
        with self._span("run_script", request.name, bound.id if bound is not None else None):
            return run_recorded(request, engine.language, engine.run)

    def state_scope(self, name: str, timeout: float | None = None) -> Scope:
        """The state of a scope that is not a session: "global", "user:<id>", "agent:<id>", …

        Its calls wait at most `timeout` seconds (default: `ask_timeout`).
        """
        self._require_host("state_scope")
        if timeout is None:
            timeout = self.config.ask_timeout
        return Scope(self._supervisor, self._supervisor.scope(name), timeout)

    # -- bundles and backup

    def export_session(
        self,
        session_id: str,
        path: str | os.PathLike[str],
        *,
        tree: bool = False,
        history: bool = True,
        on_progress: Progress | None = None,
    ) -> ExportReport:
        """Write a session, or with `tree` also all sessions below it, to a bundle: one file, as of one moment.

        Without `history` the bundle has what still holds: conversation, artifacts, variables, tags, metadata, status;
        not what they were before. Works while the sessions are used. A file at `path` is replaced once the bundle is
        whole. `on_progress` is called with the bytes done and to do.
        Raises SessionNotFound, IntegrityError where something is damaged, BundleError for more than a bundle can
        carry, StorageError.
        """
        self._security.require(session_id_of(session_id, "session") or "", "export_session")
        found = self.session(session_id_of(session_id, "session") or "")
        return export_bundle(
            self._store,
            found.id,
            Path(path),
            tree=tree,
            history=history,
            on_progress=on_progress,
        )

    def import_bundle(
        self, path: str | os.PathLike[str], *, keep_ids: bool = True, on_progress: Progress | None = None
    ) -> list[Session]:
        """Bring in all sessions of a bundle, parents first: all of them, or none.

        With `keep_ids` false they get new ids, in their artifacts' ids and family links too. A parent outside the
        bundle is kept if it is in this store. Raises BundleError for a damaged or hostile bundle, of which nothing is
        written; SessionAlreadyExists for an id that is to be kept and is taken; StorageError.
        """
        self._check_open()
        self._require_host("import_bundle", "write")
        self._security.forget_families()
        ids = import_sessions(self, Path(path), keep_ids=keep_ids, on_progress=on_progress)
        self.events.imported(ids)
        return [Session(self, each) for each in ids]

    def import_session(
        self, path: str | os.PathLike[str], *, keep_ids: bool = True, on_progress: Progress | None = None
    ) -> Session:
        """`import_bundle`, for a bundle of one session or one tree: the session at its top."""
        return self.import_bundle(path, keep_ids=keep_ids, on_progress=on_progress)[0]

    def backup(self, path: str | os.PathLike[str]) -> BackupReport:
        """Write a backup of the whole store, as of one moment, while it is in use. It is a store itself.

        `path` must not exist. On the same file system it shares the table files with this store; copy it elsewhere to
        be safe from the loss of the disk. Raises StorageError.
        """
        self._check_open()
        self._require_host("backup")
        return backup_store(self, Path(path))

    @classmethod
    def restore(
        cls,
        backup: str | os.PathLike[str],
        path: str | os.PathLike[str],
        *,
        verify: bool = True,
        on_progress: Progress | None = None,
    ) -> BackupReport:
        """Make a new store at `path` from a backup, which is only read; then `open` it.

        `path` must not exist or be empty. With `verify` all of it is checked, and the report says what was found.
        Raises StorageError.
        """

        def open_store(part: Path) -> Runtime:
            return cls.open(part, config={"handle_signals": False})

        return restore_store(open_store, Path(backup), Path(path), verify=verify, on_progress=on_progress)

    # -- who has reached what

    def audit(
        self,
        *,
        session: Session | str | None = None,
        artifact: ArtifactId | str | None = None,
        access: str | None = None,
        granted: bool | None = None,
        after: datetime | str | float | None = None,
        before: datetime | str | float | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> Page[AuditRecord]:
        """The attempts to reach something of another session, newest first, with the `total` before pagination.

        `session` acted or was the owner; `artifact` is an id; `access` is read, write, delete, list, share or
        change_permissions; times are datetimes, RFC 3339 texts or epoch seconds, `after` ≤ time < `before`. Records
        outlive what they name, for `audit_retention_days` and as long as there are no more than `audit_max_records`.
        Raises ValidationError.
        """
        self._check_open()
        who = session_id_of(session, "session")
        principal = self._security.principal()
        if principal is not None:
            who = who if who is not None else principal
            self._security.require(who, "audit", "list")
        return self._trail.query(
            session=who,
            artifact=ArtifactId.parse(str(artifact)) if artifact is not None else None,
            access=access,
            granted=granted,
            after=expiry(after, "after"),
            before=expiry(before, "before"),
            limit=m.whole_number("limit", limit),
            offset=m.whole_number("offset", offset) or 0,
        )

    # -- care

    def verify(self, repair: bool = False, *, on_progress: CareProgress | None = None) -> VerifyReport:
        """Read everything in the store and check it: checksums, gaps, hashes, indexes, references, replays.

        With `repair`, what the rest of the store tells how to set right is set right, and what it does not is put
        into quarantine, so that everything else stays readable; the report says what was done. Where table files
        are damaged (`needs_salvage`) nothing is repaired: close the runtime and `Runtime.salvage` the store.
        """
        self._check_open()
        self._require_host("verify")
        if repair:
            self._check_writable("to repair it")
        return verify_store(self._store, self._supervisor, repair=repair, on_progress=on_progress)

    @classmethod
    def salvage(cls, path: str | os.PathLike[str], *, on_progress: CareProgress | None = None) -> SalvageReport:
        """Repair a store whose files are damaged, while nobody has it open: what can be read goes into a new store,
        which is repaired and takes the place of the old one. That stays beside it under another name.

        Raises StoreLocked, or StorageError when nothing can be read.
        """

        def open_store(part: Path) -> Runtime:
            return cls.open(part, config={"handle_signals": False})

        where = Path(path).resolve()
        # The lock of the file system knows other processes only.
        if any(not each.closed and each.path.resolve() == where for each in list(_open_runtimes)):
            raise StoreLocked(f"the store at {where} is open: close it to salvage it", path=str(where))
        return salvage_store(open_store, where, on_progress)

    def gc(self, *, on_progress: CareProgress | None = None) -> GcReport:
        """Find and repair leaked or missing references, records of nobody, wrong index entries and counts.

        Safe while sessions are at work. Reads no content: `verify` does.
        """
        self._check_open()
        self._require_host("gc", "write")
        self._check_writable("to collect garbage")
        return collect(self._store, self._supervisor, on_progress)

    def retention(
        self, policy: RetentionPolicy | Mapping[str, Any] | None = None, *, dry_run: bool = True, **limits: Any
    ) -> RetentionReport:
        """Delete what a policy lets go; unless told otherwise, only say what that would be.

        Limits: keep_versions, max_age_days, max_session_bytes (never the latest version of a name), ended_days
        (whole sessions), keep_journal_days, max_journal_events (what old events say of earlier values, never the newest
        event, the conversation or artifacts that are there; `events` then leaves them out, and forks and exports begin
        there). Raises ValidationError.
        """
        self._check_open()
        self._require_host("retention", "delete")
        if not isinstance(policy, RetentionPolicy):
            policy = validated(RetentionPolicy, {**(policy or {}), **limits})
        if not dry_run:
            self._check_writable("to delete")
        return apply_retention(self, policy, self._clock.time_ns(), dry_run=dry_run)

    @property
    def templates(self) -> Templates:
        """Presets for new sessions: `save`, `get`, `list`, `delete`."""
        self._require_host("templates")
        return Templates(lambda: self.state_scope(TEMPLATES))

    def usage(self, *, on_progress: CareProgress | None = None) -> Usage:
        """Which sessions, types and names take the space."""
        self._check_open()
        self._require_host("usage", "list")
        return usage_of(self._store, on_progress)

    def _check_writable(self, purpose: str) -> None:
        if self.read_only:
            raise InvalidOperation(f"this runtime is open for reading only: open it without read_only {purpose}")

    def compact(self) -> None:
        """Give the space of deleted data back to the disk. Blocks while it works."""
        self._check_open()
        self._require_host("compact", "write")
        self._check_writable("to compact")
        self._store.engine.compact()

    @property
    def analytics(self) -> Analytics:
        """Metrics of sessions, one by one and together, read from their journals: see `Analytics`."""
        return self._analytics

    def trace(self, tracer_provider: TracerProvider | None = None, *, privacy: bool | None = None) -> Tracing:
        """Make an OpenTelemetry span of each operation from now on, until `stop` of what this returns.

        Without a provider the one that OpenTelemetry is set up with is used. privacy: pseudonyms in place of session
        ids (default: `analytics_privacy`). Needs the extra `otel`: raises ConfigurationError without it.
        """
        self._check_open()
        self._require_host("trace")
        from .analytics.tracing import Tracing

        tracing = Tracing(self, tracer_provider, self._analytics.private(privacy))
        self._supervisor.trace = tracing
        return tracing

    def _span(
        self,
        operation: str,
        name: str | None = None,
        session_id: str | None = None,
        correlation_id: str | None = None,
    ) -> AbstractContextManager[Noted | None]:
        """The span of an operation that is no message to a session; nothing while there are no traces."""
        trace = self._supervisor.trace
        if trace is None:
            return contextlib.nullcontext()
        return trace.span(operation, name, session_id, correlation_id)

    def stats(self, details: bool = False) -> dict[str, Any]:
        """Figures about the store and this runtime, as JSON values. Sizes are bytes. With `details` also `usage`:
        the sessions, types and names that take most space, twenty of each.

        Of content (artifacts, and long messages): `logical_bytes` counts it for everyone who refers to it,
        `unique_bytes` once, `stored_bytes` as it is on disk, with chunks that contents share counted once.
        """
        self._check_open()
        self._require_host("stats")
        store = self._store
        contents, unique, stored = store.contents.usage()
        logical = artifacts = 0
        for digest, size, _, _ in store.contents.known():
            for reference in store.contents.references(digest):
                logical += size
                artifacts += reference.kind == ARTIFACT
        return {
            "path": str(self.path),
            **self._figures(),
            "artifacts": {
                "count": artifacts,
                "logical_bytes": logical,
                "contents": contents,
                "unique_bytes": unique,
                "stored_bytes": stored,
            },
            **({"usage": self.usage().to_dict(_DETAILS)} if details else {}),
        }

    def _figures(self) -> dict[str, Any]:
        """Those that cost the same however much is stored."""
        self._check_open()
        store = self._store
        return {
            "sessions": store.catalog.counts(),
            "resident": self._supervisor.resident,
            "resident_bytes": self._supervisor.resident_bytes,
            "activations": self._supervisor.activations,
            "commits": store.commits,
            "fsyncs": store.engine.fsyncs,
            "cache": {
                "bytes": store.contents.cache.bytes,
                "hits": store.contents.cache.hits,
                "misses": store.contents.cache.misses,
            },
            "disk_bytes": store.engine.disk_bytes(),
            "store": store.engine.statistics(),
        }

    def _tell_of_violation(self, attempt: Attempt) -> None:
        if self.hooks.at("SecurityViolation") is not None:
            self.hooks.fire("SecurityViolation", asdict(attempt), session_id=attempt.session)

    def _require_host(self, operation: str, access: str = "read") -> None:
        """Raises AccessDenied if the running code acts for a session: what it asks concerns all of them."""
        self._security.require_host(operation, access)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeClosed("the runtime is closed: open it again to go on")


def _overrides(config: SessionConfig | Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(config, SessionConfig):
        if not isinstance(config, Mapping):
            raise ValidationError("config: a SessionConfig or a mapping is needed", field="config")
        config = validated(SessionConfig, dict(config))
    return config.model_dump(exclude_unset=True)


def _abandon_all() -> None:
    """In the child of a fork: RocksDB's threads are not here. Only the parent may use and close the runtime."""
    for runtime in list(_open_runtimes):
        if not runtime._closed:
            runtime._closed = True
            runtime._supervisor.abandon()
            runtime._store.engine.abandon()


os.register_at_fork(after_in_child=_abandon_all)


@atexit.register
def _close_all() -> None:
    for runtime in list(_open_runtimes):
        # The process ends; what was acknowledged is in the log.
        with contextlib.suppress(GreenroomError):
            runtime.close()
