"""`Runtime`: the object that a host embeds. It owns the dispatchers, the supervisor, the store and the timers."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenroom.actors import messages as m
from greenroom.actors.hooks import Hooks
from greenroom.actors.maintenance.backup import BackupReport, restore_store
from greenroom.actors.maintenance.findings import Progress as CareProgress
from greenroom.actors.maintenance.salvage import SalvageReport, salvage_store
from greenroom.actors.messages.calls import Call
from greenroom.actors.messages.core import Reply
from greenroom.actors.scheduling.clock import Clock, SystemClock
from greenroom.actors.scheduling.operation import (
    CURRENT,
    Operation,
    changed,
    following,
    in_own_realm,
    in_place,
    operation_in,
    own_operation,
)
from greenroom.runtime.config.config import RuntimeConfig
from greenroom.runtime.events.follow import Follow
from greenroom.runtime.handles.handle import required_session_id, session_id_of
from greenroom.runtime.handles.scope import Scope
from greenroom.runtime.handles.session import Session
from greenroom.runtime.handles.session_artifacts import ManyArtifacts
from greenroom.runtime.scripts.events import run_recorded
from greenroom.runtime.scripts.scripts import (
    MAX_SCRIPT_ARGUMENTS,
    ScriptRequest,
    ScriptResult,
    engine_for,
    read_source,
    with_hint,
)
from greenroom.storage.artifacts.model import Artifact, ArtifactId, ArtifactInfo
from greenroom.storage.artifacts.query import ArtifactQuery, artifact_query
from greenroom.storage.audit import AuditRecord
from greenroom.storage.bundle.export import Progress
from greenroom.storage.common.arguments import as_flag, as_function, as_items, as_seconds, as_text
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.page import Page
from greenroom.storage.common.session_ids import new_session
from greenroom.storage.common.session_ids import session_id_of as id_of_bytes
from greenroom.storage.common.times import moment
from greenroom.storage.errors import (
    AccessDenied,
    GreenroomError,
    HookCancelled,
    IntegrityError,
    InvalidOperation,
    ScriptError,
    SessionNotFound,
    StoreLocked,
    ValidationError,
)
from greenroom.storage.events.index import event_place
from greenroom.storage.files.regular_file import file_path

from . import signals
from .analytics import Analytics
from .care import Care
from .lifecycle import open_runtimes
from .moving import Moving

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from greenroom.runtime.analytics.tracing import Tracing

__all__ = ["Runtime"]


class Runtime(Moving, Care):
    """Durable sessions on one store. Thread-safe; use it as a context manager, or call `close`.

    Example:
        ```py
        with Runtime.open("data") as rt:
            s = rt.create_session(name="Analysis", tags=["nlp"])
            s.set("k", 1)
        ```
    """

    @classmethod
    @checked
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
        as_flag("read_only", read_only)
        if path is None and read_only:
            raise InvalidOperation("a temporary store has nothing to read: give the path of a store")
        where = file_path(path) if path is not None else Path(tempfile.mkdtemp(prefix="greenroom-"))
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
            runtime.hooks.fire("SystemStartup", {"path": str(where), "read_only": read_only}, operation="OpenRuntime")
        except BaseException:
            runtime.close()
            raise
        open_runtimes.add(runtime)
        if settings.handle_signals:
            signals.watch(runtime)
        return runtime

    # -- making a store anew, while nobody has it open

    @classmethod
    @checked
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

        return restore_store(
            open_store, file_path(backup, "backup"), file_path(path), verify=verify, on_progress=on_progress
        )

    @classmethod
    @checked
    def salvage(cls, path: str | os.PathLike[str], *, on_progress: CareProgress | None = None) -> SalvageReport:
        """Repair a store whose files are damaged, while nobody has it open: what can be read goes into a new store,
        which is repaired and takes the place of the old one. That stays beside it under another name.

        Raises StoreLocked, or StorageError when nothing can be read.
        """

        def open_store(part: Path) -> Runtime:
            return cls.open(part, config={"handle_signals": False})

        where = Path(os.path.realpath(file_path(path)))
        # The lock of the file system knows other processes only.
        if any(not each.closed and each.path.resolve() == where for each in list(open_runtimes)):
            raise StoreLocked(f"the store at {where} is open: close it to salvage it", path=str(where))
        return salvage_store(open_store, where, on_progress)

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
        for ref in as_items("ids", ids, m.MAX_BATCH, "a list of artifact ids"):
            each = m.named_ref(ref, "ids")
            try:
                artifact = ArtifactId.of(each)
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
        return self._supervisor.delivery.crossing.shared_with(session_id, self.config.ask_timeout)

    # -- messages

    def ask(self, session_id: str, message: m.Message[Reply], timeout: float | None = None) -> Reply:
        """Send a message and return the reply, or raise what the session raised.

        Raises OperationTimeout after `timeout` seconds (default: `ask_timeout`; for calls of tools and agents, the time
        that these may take).
        """
        if not issubclass(type(message), m.Message):
            raise InvalidOperation("messages are objects of the classes in greenroom.runtime.messages")
        if timeout is None:
            timeout = math.inf if isinstance(message, Call) else self.config.ask_timeout
        else:
            timeout = as_seconds("timeout", timeout, endless=True)
        if type(session_id) is not str:
            session_id = required_session_id(session_id)
        return self._supervisor.ask(session_id, message, timeout)

    def tell(self, session_id: str, message: m.Message[Any]) -> None:
        """Send a message and go on. What goes wrong after it has been sent is logged."""
        if not issubclass(type(message), m.Message):
            raise InvalidOperation("messages are objects of the classes in greenroom.runtime.messages")
        self._supervisor.tell(session_id if type(session_id) is str else required_session_id(session_id), message)

    # -- operations

    @contextlib.contextmanager
    @checked
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
        Code that acts for a session cannot choose the `source`, nor a root that it does not reach.
        Raises ValidationError, AccessDenied.
        """
        named = {"correlation_id": correlation_id, "root_id": root_id, "source": source}
        given = {name: as_text(name, value, m.MAX_NAME) for name, value in named.items() if value is not None}
        around = operation_in(self._security)
        if around is not None and around.principal is not None:
            if source is not None:
                raise ValidationError("source: code that acts for a session has the source that it has", field="source")
            if event_place(given.get("root_id")) is not None:
                self.events.get(given["root_id"])
        changes: dict[str, Any] = {}
        if causation_id is not None:
            changes = following(self.events.get(causation_id))
        elif around is None or around.correlation_id is None:
            changes = {"correlation_id": id_of_bytes(new_session())}
        changes |= given
        changes["realm"] = self._security
        operation = changed(own_operation(self._security), changes)
        with in_place(CURRENT, operation):
            yield operation

    # -- scripts

    @in_own_realm
    @checked
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
        path = None if issubclass(type(source), str) else file_path(source, "source")
        engine = engine_for(as_text("language", language, 64) if language is not None else None, path)
        bound = None
        if session is not None:
            bound = self.session(required_session_id(session))
            self._security.require(bound.id, "run_script", "write")
        if name is None:
            name = path.name if path is not None else "script"
        limit = self.config.script_timeout if timeout is None else as_seconds("timeout", timeout)
        profile = as_text("profile", profile, 64)
        arguments = tuple(as_items("args", args, MAX_SCRIPT_ARGUMENTS, "a list of values"))
        granted = as_items("directories", directories, MAX_SCRIPT_ARGUMENTS, "a list of paths")
        request = ScriptRequest(
            runtime=self,
            source=read_source(path) if path is not None else str.__str__(source),
            name=as_text("name", name, m.MAX_NAME),
            profile=profile,
            session=bound,
            args=arguments,
            timeout=limit,
            max_instructions=self.config.script_instructions,
            max_memory=self.policies.script_memory(bound.id if bound is not None else None, self.config),
            directories=tuple(file_path(each, "directories") for each in granted),
            echo=as_function("echo", echo) if echo is not None else None,
        )
        run = engine.prepare(request)
        with self._span("run_script", request.name, bound.id if bound is not None else None):
            try:
                return run_recorded(request, engine.language, run)
            except ScriptError as error:
                raise with_hint(error, source) from error.__cause__

    def state_scope(self, name: str, timeout: float | None = None) -> Scope:
        """The state of a scope that is not a session: "global", "user:<id>", "agent:<id>", …

        Its calls wait at most `timeout` seconds (default: `ask_timeout`).
        """
        self._require_host("state_scope")
        wait = self.config.ask_timeout if timeout is None else as_seconds("timeout", timeout, endless=True)
        return Scope(self._supervisor, self._supervisor.table.scope(as_text("scope", name, m.MAX_KEY)), wait)

    # -- who has reached what

    @in_own_realm
    @checked
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
            artifact=ArtifactId.of(artifact) if artifact is not None else None,
            access=as_text("access", access, 64) if access is not None else None,
            granted=granted,
            after=moment(after, "after"),
            before=moment(before, "before"),
            limit=m.whole_number("limit", limit),
            offset=m.whole_number("offset", offset) or 0,
        )

    def follow(
        self, pattern: str = "**", after: datetime | str | float | None = None, *, timeout: float | None = None
    ) -> Follow:
        """Follow the events of all sessions: see `Events.follow`."""
        return self.events.follow(pattern, after, timeout=timeout)

    # -- analytics

    @property
    def analytics(self) -> Analytics:
        """Metrics of sessions, one by one and together, read from their journals: see `Analytics`."""
        return self._analytics

    @checked
    def trace(self, tracer_provider: TracerProvider | None = None, *, privacy: bool | None = None) -> Tracing:
        """Make an OpenTelemetry span of each operation from now on, until `stop` of what this returns.

        Without a provider the one that OpenTelemetry is set up with is used. privacy: pseudonyms in place of session
        ids (default: `analytics_privacy`). Needs the extra `otel`: raises ConfigurationError without it.
        """
        self._check_open()
        self._require_host("trace")
        from greenroom.runtime.analytics.tracing import Tracing

        tracing = Tracing(self, tracer_provider, self._analytics.private(privacy))
        self._supervisor.delivery.trace = tracing
        return tracing
