"""`Runtime`: the object that a host embeds.

The file is long because the class has one method for each operation. The rooms below do the work. Those that few hosts
use in a run (bundles, backups, maintenance) are imported by their methods.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, Unpack

from greenroom.actors import messages as m
from greenroom.actors.clock import Clock, SystemClock
from greenroom.actors.hooks import Hooks
from greenroom.actors.hooks.library.composition import Middleware
from greenroom.actors.messages.calls import Call
from greenroom.actors.messages.core import Reply
from greenroom.actors.messages.sharing import is_own_scope
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
from greenroom.actors.transfer.staged import recover_staged
from greenroom.runtime.events.events import Events
from greenroom.runtime.handles.listing import iterate_pages, list_page
from greenroom.runtime.handles.reading.follow import Follow
from greenroom.runtime.handles.scope import Scope, own_scope
from greenroom.runtime.handles.session import Session, find_session, required_session_id, session_id_of
from greenroom.runtime.handles.streams import StreamProgress
from greenroom.runtime.retention.schedule import RetentionRun
from greenroom.storage.artifacts.model import Artifact, ArtifactId, ArtifactInfo
from greenroom.storage.audit import AuditRecord
from greenroom.storage.catalog.creators import QUOTAS
from greenroom.storage.catalog.model import SessionCriteria, SessionInfo
from greenroom.storage.common.arguments import (
    as_flag,
    as_function,
    as_items,
    as_mapping,
    as_number,
    as_seconds,
    as_text,
)
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.late import late
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.page import Page
from greenroom.storage.common.session_ids import is_session_id, new_session, scope_bytes
from greenroom.storage.common.session_ids import session_id_of as id_of_bytes
from greenroom.storage.common.times import moment
from greenroom.storage.errors import (
    AccessDenied,
    GreenroomError,
    HookCancelled,
    IntegrityError,
    InvalidOperation,
    SessionNotFound,
    StoreLocked,
    ValidationError,
    shown,
)
from greenroom.storage.events.index import event_place
from greenroom.storage.events.model import Origin
from greenroom.storage.files.regular_file import file_path

from .core import RuntimeCore, backups_beside, has_recordings
from .creation import Creation
from .installed import SCOPE as INSTALLED
from .open import Parts, open_runtimes
from .policies import Policies
from .signals import watch

if TYPE_CHECKING:
    from greenroom.actors.maintenance.backup import BackupReport
    from greenroom.actors.maintenance.gc import GcReport
    from greenroom.actors.maintenance.salvage import SalvageReport
    from greenroom.actors.maintenance.usage import Usage
    from greenroom.actors.maintenance.verification.findings import VerifyReport
    from greenroom.actors.transfer.bundle_export import ExportReport
    from greenroom.runtime.analytics.tracing import TracerProvider, Tracing
    from greenroom.runtime.config.config import RuntimeConfig, SessionConfig
    from greenroom.runtime.config.retention import RetentionKeywords, RetentionPolicy
    from greenroom.runtime.handles.debugging.compare import Comparison
    from greenroom.runtime.handles.templates import Templates
    from greenroom.runtime.ingest.report import IngestReport, OnProgress
    from greenroom.runtime.model.many import ManyArtifacts
    from greenroom.runtime.model.script import ScriptReplay, ScriptResult, StreamOptions
    from greenroom.runtime.replay.config import ReplayConfig
    from greenroom.runtime.replay.queries import HookExecution, HookKeywords, HookQuery, ReplayMetadata
    from greenroom.runtime.replay.result import ReplayResult
    from greenroom.runtime.retention.erasure import ErasureReport
    from greenroom.runtime.retention.policy import RetentionReport
    from greenroom.runtime.retention.quotas import Quotas
    from greenroom.runtime.scripts.stream import ScriptStream
    from greenroom.runtime.state.backups import StateBackups
    from greenroom.runtime.state.schemas import Schemas
    from greenroom.storage.artifacts.query import ArtifactKeywords, ArtifactQuery
    from greenroom.storage.catalog.query import SessionKeywords, SessionQuery
    from greenroom.storage.search.model import SearchHit

    from .agents import Agents
    from .analytics import Analytics
    from .approvals import Approvals
    from .installed.installed import InstalledScripts
    from .recording.scopes import RecordedBlock, ReplayedBlock
    from .replay.controls.replays import Replays
    from .tools import Tools
    from .workflow import Workflows

__all__ = ["Runtime"]

logger = logger_of("runtime")

_LATE: Final = {
    "HookKeywords": "greenroom.runtime.replay.queries",
    "HookQuery": "greenroom.runtime.replay.queries",
    "OnProgress": "greenroom.runtime.ingest.report",
    "ReplayConfig": "greenroom.runtime.replay.config",
    "RetentionKeywords": "greenroom.runtime.config.retention",
    "RetentionPolicy": "greenroom.runtime.config.retention",
    "RuntimeConfig": "greenroom.runtime.config.config",
    "StreamOptions": "greenroom.runtime.model.script",
    "TracerProvider": "greenroom.runtime.analytics.tracing",
}

DAY: Final = 86_400 * 1_000_000_000
_DETAILS: Final = 20


class Runtime:
    """Durable sessions on one store. Thread-safe; use it as a context manager, or call `close`.

    Example:
        ```py
        with Runtime.open("data") as rt:
            s = rt.create_session(name="Analysis", tags=["nlp"])
            s.set("k", 1)
        ```
    """

    # -- its parts

    path: Path
    config: RuntimeConfig
    read_only: bool
    hooks: Hooks
    """Calls functions of the host at hook points: see `Hooks`."""
    middleware: Middleware
    policies: Policies
    """Limits of time, rate and resources: see `Policies`."""
    events: Events
    """The bus, links, queries and timelines: see `Events`."""
    core: RuntimeCore
    """The parts that the rooms share. Not public, like `creation`."""
    creation: Creation

    @classmethod
    @checked
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        config: RuntimeConfig | Mapping[str, object] | None = None,
        read_only: bool = False,
        clock: Clock | None = None,
        hooks: Callable[[Hooks], object] | None = None,
    ) -> Runtime:
        """Open the store at `path`, creating it if it does not exist. Without a path, the store is temporary.

        With `read_only`, the store may be open for writing elsewhere; `refresh` catches up. `hooks` is called with
        `Runtime.hooks` before anything else happens. Use it for hooks at StateMigration and SystemStartup, which can
        refuse the migration or the start. Raises StoreLocked, SchemaTooNew, IntegrityError, StorageError or
        ValidationError.
        """
        from greenroom.runtime.config.config import RuntimeConfig

        settings = RuntimeConfig.build(config)
        as_flag("read_only", read_only)
        if path is None and read_only:
            raise InvalidOperation("a temporary store has nothing to read: give the path of a store")
        where = file_path(path) if path is not None else Path(tempfile.mkdtemp(prefix="greenroom-"))
        runtime = cls.__new__(cls)
        try:
            runtime._start(
                where, settings, read_only=read_only, temporary=path is None, clock=clock or SystemClock(), hooks=hooks
            )
        except BaseException:
            if path is None:
                shutil.rmtree(where, ignore_errors=True)
            raise
        return runtime

    def _start(
        self,
        path: Path,
        config: RuntimeConfig,
        *,
        read_only: bool,
        temporary: bool,
        clock: Clock,
        hooks: Callable[[Hooks], object] | None,
    ) -> None:
        """Create the parts and call the hooks at SystemStartup."""
        self._parts = parts = Parts(
            self, path, config, read_only=read_only, temporary=temporary, clock=clock, hooks=hooks
        )
        self.core = core = parts.core
        self.path, self.config, self.read_only, self.hooks = core.path, core.config, core.read_only, core.hooks
        self._store, self._supervisor = core.store, core.supervisor
        self.middleware = Middleware(core.hooks)
        self.policies, self.events = parts.policies, parts.events
        self._retention = parts.retention
        self.creation = Creation(self, parts.policies, lambda: self._templates)
        try:
            self._hold_quotas()
            facts = {"path": str(path), "read_only": read_only}
            self.hooks.fire("SystemStartup", facts, operation="OpenRuntime")
            if not read_only:
                self._take_up_recordings()
                self._start_scripts()
        except BaseException:
            parts.close()
            raise
        open_runtimes.add(parts)
        if config.handle_signals:
            watch(parts)

    def _take_up_recordings(self) -> None:
        """Have the sessions in which killed processes were recording get what is not in the store yet."""
        if has_recordings(self.path):
            from .recording.spooled import take_up

            take_up(self.core, partial(Session, self))

    def _start_scripts(self) -> None:
        """Start the installed scripts. Damage to what the store has of them does not keep it from opening."""
        try:
            if self.core.store.journal.last(scope_bytes(INSTALLED)) is not None:
                self.scripts.begin()
        except GreenroomError as error:
            logger.error("the installed scripts of %s do not run: %s", self.path, error)

    @late
    def tools(self) -> Tools:
        """Registers and calls tools: see `Tools`."""
        return self._parts.callers.tools

    @late
    def agents(self) -> Agents:
        """Registers and calls agents: see `Agents`."""
        return self._parts.callers.agents

    @late
    def approvals(self) -> Approvals:
        """The questions that sessions ask people: see `Approvals`."""
        from .approvals import Approvals

        return Approvals(self.core, self.events.subscribe)

    @late
    def workflows(self) -> Workflows:
        """Runs workflows outside of sessions."""
        from .workflow import Workflows

        return Workflows(self.core, self.tools, self.agents, self.events)

    @late
    def schemas(self) -> Schemas:
        """What variables must look like, and their migrations: see `Schemas`."""
        from .state.schemas import Schemas

        return Schemas(self)

    @late
    def state_backups(self) -> StateBackups:
        """Backups of scopes and sessions, made and restored while the store is in use: see `StateBackups`."""
        from .state.backups import StateBackups

        return StateBackups(self, self.schemas, self.config.state_backups or backups_beside(self.path))

    @late
    def quotas(self) -> Quotas:
        """What the sessions of one `created_by` may have together: see `Quotas`."""
        from .retention.quotas import Quotas

        return Quotas(self.core)

    def _hold_quotas(self) -> None:
        """Let the quotas hold that are stored or configured, though nobody has asked for them yet."""
        configured = self.config.creator_max_sessions is not None or self.config.creator_max_storage_bytes is not None
        if configured or self._store.journal.last(scope_bytes(QUOTAS)) is not None:
            _ = self.quotas

    @late
    def _templates(self) -> Templates:
        from .handles.templates import SCOPE, Templates

        return Templates(partial(own_scope, self.core, SCOPE))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Runtime {self.path}{' read-only' if self.read_only else ''}{' closed' if self.closed else ''}>"

    @property
    def _making(self) -> threading.RLock:
        """What the parts are made under, once each."""
        return self._parts._making

    @property
    def _realm(self) -> object:
        """The realm of this runtime's operations."""
        return self.core.security

    @property
    def closed(self) -> bool:
        """Whether the runtime is closed."""
        return self._parts.closed

    def close(self, timeout: float | None = None) -> None:
        """Refuse new work, handle waiting messages, save the sessions in memory, release the store. Idempotent.

        Takes at most `timeout` seconds (default: `close_timeout`) plus the time to flush the disk. Acknowledged writes
        are kept even when the deadline passes.
        """
        self._parts.close(timeout)

    def refresh(self) -> None:
        """Read what the writing runtime has written since, and notify listeners. Read-only runtimes also do this every
        `refresh_interval`."""
        self.core.check_open()
        self._parts.refresh()

    # -- restoring a closed store

    @classmethod
    @checked
    def restore(
        cls,
        backup: str | os.PathLike[str],
        path: str | os.PathLike[str],
        *,
        verify: bool = True,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> BackupReport:
        """Create a store at `path` from a backup, which is only read. Use `open` afterwards.

        `path` must not exist or be empty. With `verify`, the new store is checked and the report lists all problems.
        Raises StorageError.
        """
        from greenroom.actors.maintenance.backup import restore_store

        return restore_store(
            cls._open_part, file_path(backup, "backup"), file_path(path), verify=verify, on_progress=on_progress
        )

    @classmethod
    def _open_part(cls, part: Path) -> Runtime:
        """Open a store that is being restored or salvaged."""
        return cls.open(part, config={"handle_signals": False})

    @classmethod
    @checked
    def salvage(
        cls, path: str | os.PathLike[str], *, on_progress: Callable[[str, int], None] | None = None
    ) -> SalvageReport:
        """Repair a closed store whose files are damaged. Copy all readable data into a new store, repair that, and put
        it in the place of the old one, which is kept under another name.

        Raises StoreLocked, or StorageError when nothing can be read.
        """
        from greenroom.actors.maintenance.salvage import salvage_store

        where = Path(os.path.realpath(file_path(path)))
        # The lock of the file system only covers other processes.
        if any(not each.closed and each.path.resolve() == where for each in list(open_runtimes)):
            raise StoreLocked(f"the store at {where} is open: close it to salvage it", path=str(where))
        return salvage_store(cls._open_part, where, on_progress)

    # -- artifacts of all sessions

    def query_artifacts(
        self, query: ArtifactQuery | None = None, **criteria: Unpack[ArtifactKeywords]
    ) -> Page[ArtifactInfo]:
        """Return the artifacts of all sessions that match, or of one with `session_id`; see `Session.query_artifacts`.

        Raises ValidationError, or SessionNotFound for an unknown session.
        """
        self.core.check_open()
        from greenroom.storage.artifacts.query import artifact_query

        wanted = artifact_query(query, criteria)
        session_id = wanted.criteria.session_id
        if session_id is not None:
            return Session(self, session_id).query_artifacts(wanted)
        self.core.require_host("query_artifacts", "list")
        return self._store.search.everywhere(wanted)

    def count_artifacts(self, query: ArtifactQuery | None = None, **criteria: Unpack[ArtifactKeywords]) -> int:
        """Return the number of artifacts of all sessions that match, or of one with `session_id`, whatever the
        limit."""
        from greenroom.storage.artifacts.query import artifact_query

        return self.query_artifacts(artifact_query(query, criteria).having(limit=0, offset=0)).total

    @checked
    def get_many(self, ids: Iterable[ArtifactId | str], *, on_progress: StreamProgress | None = None) -> ManyArtifacts:
        """Return the artifacts with these ids, of any sessions; one that cannot be read is an error under its id.
        `on_progress` gets the number of artifacts read, and of all."""
        from greenroom.runtime.model.many import ManyArtifacts, read_in_parts

        if on_progress is not None:
            wanted = as_items("ids", ids, m.MAX_BATCH, "a list of artifact ids")
            return read_in_parts([m.named_ref(each, "ids") for each in wanted], self.get_many, on_progress)
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

    # -- messages

    def ask(self, session_id: str, message: m.Message[Reply], timeout: float | None = None) -> Reply:
        """Send a message and return the reply, or raise what the session raised.

        Raises OperationTimeout after `timeout` seconds (default: `ask_timeout`; for calls of tools and agents, their
        own time limit).
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
        """Send a message without waiting. Later errors are logged."""
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
        """Treat the code inside as one operation: its events in all sessions carry these ids.

        The default correlation id is that of the cause, else of the outer operation, else a new one. A cause is the id
        of a journaled event. The default root is the root of the cause. Code that acts for a session cannot choose the
        `source`, nor a root that it cannot access. Raises ValidationError, AccessDenied.
        """
        named = {"correlation_id": correlation_id, "root_id": root_id, "source": source}
        given = {name: as_text(name, value, m.MAX_NAME) for name, value in named.items() if value is not None}
        around = operation_in(self.core.security)
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
        changes["realm"] = self.core.security
        operation = changed(own_operation(self.core.security), changes)
        with in_place(CURRENT, operation):
            yield operation

    @checked
    def recording(
        self,
        name: str | None = None,
        *,
        session: Session | str | None = None,
        key: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, object] | None = None,
        created_by: str | None = None,
        redact: str | Iterable[str] | None = None,
    ) -> RecordedBlock:
        r"""Record the code in a `with` block: each call that crosses a boundary (HTTP, MCP, `@tool`) is journaled in a
        session when it ends. The block gets the session.

        That is a new one with this `name`, these `tags`, `metadata` and `created_by`; the one with this `key`, which is
        created if there is none; or `session`. Threads and tasks that the block starts belong to it; other code of the
        process does not. When the block ends, what models were asked and said becomes the session's conversation and
        calls. `redact`: regular expressions, whose matches are removed from all that is recorded, and JSON paths, whose
        values are. Only the host may do this. Raises ValidationError, SessionNotFound,
        InvalidSessionState.

        Example:
            ```py
            with rt.recording("request", redact=[r"sk-\w+", "$..email"]) as session:
                answer(request)
            with rt.replaying(session) as replay:
                answer(request)
            assert replay.report.is_exact
            ```
        """
        from .recording.scopes import RecordedBlock

        self.core.check_open()
        self.core.require_host("recording", "write")
        self.core.check_writable("to record")
        options: dict[str, Any] = {"name": name, "tags": tags, "metadata": metadata, "created_by": created_by}
        if session is not None:
            more = (name, key, metadata, created_by)
            if any(each is not None for each in more) or type(tags) is not tuple or tags:
                raise ValidationError(
                    "session: a session that is there has its name, key, tags, metadata and creator: leave them out",
                    field="session",
                )
            into = find_session(self, required_session_id(session))
            return RecordedBlock(self.core, lambda: into, redact)
        if key is not None:
            return RecordedBlock(self.core, lambda: self.get_or_create(key, **options), redact)
        return RecordedBlock(self.core, lambda: self.create_session(**options), redact)

    @checked
    def replaying(self, session: Session | str, *, run: int | None = None, strict: bool = False) -> ReplayedBlock:
        """Answer the code in a `with` block from what was recorded in a session, offline: nothing goes over the
        network, and recorded errors are raised again. The block gets an object with a `report`.

        `run` is the event with which the recording began, by default the newest one's. With `strict`, nothing is
        answered that was recorded for another input. A call for which nothing was recorded raises ReplayError; if the
        block has caught that, its end raises it again. Only the host may do this. Raises SessionNotFound, ReplayError
        for a session without a recording, and IntegrityError if the recording is damaged.
        """
        from .recording.scopes import ReplayedBlock

        if run is not None:
            run = as_number("run", run, 1)
        self.core.check_open()
        self.core.require_host("replaying")
        found = find_session(self, required_session_id(session))
        return ReplayedBlock(found, run=run, strict=as_flag("strict", strict))

    # -- scripts

    @in_own_realm
    @checked
    def run_script(
        self,
        source: str | os.PathLike[str] | ArtifactId | None = None,
        language: str | None = None,
        profile: str = "sandboxed",
        session: Session | str | None = None,
        args: Sequence[object] = (),
        timeout: float | None = None,
        *,
        artifact: ArtifactId | str | None = None,
        version: int | str | None = None,
        name: str | None = None,
        directories: Sequence[str | os.PathLike[str]] = (),
        echo: Callable[[str], None] | None = None,
        record: bool | None = None,
        on_piece: Callable[[Any], object] | None = None,
        isolation: str | None = None,
        trust: str = "host",
    ) -> ScriptResult:
        """Run a script: source text, a file given as a Path, or an artifact. With a session, the script acts for that
        session, and its start, output, outcome and cost are journaled there.

        `artifact` is an id, or a name in the session, with its `version`. The language is that of the file's or
        artifact's suffix or MIME type, by default Lua. The profile `files` may use the `directories`. `echo` gets
        printed lines as they appear. `on_piece` gets the pieces of a stream that the script returns, and what it yields
        to its host, before the script goes on; if it returns False, the script ends. With `trust="untrusted"`, the
        script's author is not the host: such a script runs in a process of its own, unless `isolation` says "thread".
        `record` keeps what the script is answered, for `replay_script`: by default if it is bound to a session and has
        no files. Raises ScriptError, ScriptTimeout,
        ScriptMemoryExceeded, or ConfigurationError for an unknown language, and where a process cannot be had.
        """
        from greenroom.runtime.scripts.running import run_script

        self.core.check_open()
        return run_script(
            self,
            source,
            language,
            profile,
            session,
            args,
            timeout,
            artifact=artifact,
            version=version,
            name=name,
            directories=directories,
            echo=echo,
            record=record,
            on_piece=on_piece,
            isolation=isolation,
            trust=trust,
        )

    @in_own_realm
    @checked
    def replay_script(self, run: str, *, source: str | None = None, timeout: float | None = None) -> ScriptReplay:
        """Run a script again exactly as it ran, and compare. `run` is `ScriptResult.run_id`.

        What it asks for is answered from the journal: results of tools and agents, what it read, the time and random
        numbers. Nothing reaches the session. At the first call that differs, the replay ends. With `source`, another
        script runs in the place of the recorded one. Raises ReplayError if the run was not recorded, and says why.
        """
        from greenroom.runtime.scripts.replay import replay_script, run_of

        self.core.check_open()
        session_id, sequence = run_of(run)
        limit = self.config.script_timeout if timeout is None else as_seconds("timeout", timeout)
        return replay_script(self, session_id, sequence, source, limit)

    def stream_script(
        self,
        source: str | os.PathLike[str] | ArtifactId | None = None,
        language: str | None = None,
        profile: str = "sandboxed",
        session: Session | str | None = None,
        args: Sequence[object] = (),
        timeout: float | None = None,
        **options: Unpack[StreamOptions],
    ) -> ScriptStream:
        """Run a script as `run_script` does, and return an iterator of the pieces that it gives by `Streaming`.

        The script runs beside its reader, and waits when 16 pieces wait. Errors of the script, and of the arguments,
        are raised by the iterator. `result` is that of the script; `close`, or the end of a `with` block, ends it
        early.

        Example:
            ```py
            with rt.stream_script("return Streaming.create(function() Streaming.yield(1) end)") as pieces:
                for piece in pieces:
                    print(piece)
            ```
        """
        from greenroom.runtime.scripts.stream import ScriptStream

        self.core.check_open()
        if session is None:
            self.core.require_host("stream_script", "write")
        else:
            self.core.security.require(self.session(required_session_id(session)).id, "stream_script", "write")

        def run(on_piece: Callable[[Any], object]) -> ScriptResult:
            return self.run_script(source, language, profile, session, args, timeout, on_piece=on_piece, **options)

        return ScriptStream(self.core.elastic, run)

    def state_scope(self, name: str, timeout: float | None = None) -> Scope:
        """Return the state of a scope that is not a session: "global", "user:<id>", "agent:<id>", …

        Code that acts for a session reaches the scopes that the host has granted it: see `Session.grant_scope`.
        Its calls wait at most `timeout` seconds (default: `ask_timeout`). Raises ValidationError for a scope in which
        the runtime keeps its own state: "templates" and what begins with "greenroom:".
        """
        wait = self.config.ask_timeout if timeout is None else as_seconds("timeout", timeout, endless=True)
        name = as_text("scope", name, m.MAX_KEY)
        if is_own_scope(name):
            raise ValidationError(
                f"scope: the runtime keeps its own state in {name!r}: choose another name", field="scope"
            )
        self.core.security.require_scope(name, "state_scope")
        return Scope(self._supervisor, self._supervisor.table.scope(name), wait, name)

    # -- the audit log

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
        """Return the access attempts across sessions from the audit log, newest first, with the `total` before
        pagination.

        `session` acted or was the owner; `artifact` is an id; `access` is read, write, delete, list, share or
        change_permissions; times are datetimes, RFC 3339 texts or epoch seconds, `after` ≤ time < `before`. Records
        stay after their sessions are deleted, for `audit_retention_days` and up to `audit_max_records`. Raises
        ValidationError.
        """
        self.core.check_open()
        who = session_id_of(session, "session")
        principal = self.core.security.principal()
        if principal is not None:
            who = who if who is not None else principal
            self.core.security.require(who, "audit", "list")
        return self.core.trail.query(
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
        self,
        pattern: str = "**",
        after: datetime | str | float | None = None,
        *,
        session: Session | str | None = None,
        origin: Origin | str | None = None,
        timeout: float | None = None,
    ) -> Follow:
        """Follow the events of all sessions, from a time or a cursor on: see `Events.follow`."""
        return self.events.follow(pattern, after, session=session, origin=origin, timeout=timeout)

    # -- analytics

    @property
    def analytics(self) -> Analytics:
        """Metrics of one session or of many, read from their journals: see `Analytics`."""
        return self._parts.analytics

    @checked
    def trace(self, tracer_provider: TracerProvider | None = None, *, privacy: bool | None = None) -> Tracing:
        """Create an OpenTelemetry span for each operation, until `stop` is called on the returned object.

        The default provider is OpenTelemetry's global one. privacy: pseudonyms in place of session ids (default:
        `analytics_privacy`). Needs the extra `otel`: raises ConfigurationError without it.
        """
        self.core.check_open()
        self.core.require_host("trace")
        from greenroom.runtime.analytics.tracing import Tracing

        tracing = Tracing(self.core, tracer_provider, self.analytics.private(privacy))
        self._supervisor.delivery.trace = tracing
        return tracing

    @checked
    def before_calls(self, fn: Callable[[str], object]) -> Callable[[], None]:
        """Call a function before each tool and agent that works for a session. Return what ends that.

        The function gets the id of the event with which the call begins. It runs on the caller's thread, in the copy of
        the caller's context (`contextvars`) that the tool or agent runs in: for tracing and logging. What it raises is
        logged.
        """
        self.core.check_open()
        self.core.require_host("before_calls")
        return self._parts.callers.calls.before(fn)

    # -- installed scripts

    @late
    def scripts(self) -> InstalledScripts:
        """Scripts that stay, as hooks and event handlers: see `InstalledScripts`."""
        from .installed.installed import InstalledScripts

        memory = self.policies.script_memory
        made = InstalledScripts(self, self.events.subscribe, lambda bound: memory(bound, self.config))
        self._parts.end_with(made)
        return made

    # -- replays

    @late
    def replays(self) -> Replays:
        """Replays that go on in the background, with controls, breakpoints and schedules: see `Replays`."""
        from .replay.controls.replays import Replays
        from .replay.controls.route import route_of

        made = Replays(self.core, partial(route_of, self))
        self._parts.end_with(made)
        return made

    # -- sessions

    @in_own_realm
    def create_session(
        self,
        name: str | None = None,
        description: str | None = None,
        created_by: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, object] | None = None,
        parent: Session | str | None = None,
        config: SessionConfig | Mapping[str, object] | None = None,
        correlation_id: str | None = None,
        template: str | None = None,
        key: str | None = None,
    ) -> Session:
        """Create a durable session with an unpredictable id.

        name ≤ 255 characters, ≤ 64 tags of ≤ 64 characters, metadata ≤ 64 KiB of JSON. A template adds a name prefix,
        tags, metadata and settings; arguments of the caller override them. key: the host's own name for the session,
        any text of ≤ 512 bytes, unique in the store. Raises ValidationError, SessionNotFound if the parent does not
        exist, SessionAlreadyExists if the key is taken.
        """
        options = (name, description, created_by, tags, metadata, parent, config, correlation_id, template)
        if key is not None:
            return self.creation.create_keyed(key, options)
        return self.creation.create(options)

    @in_own_realm
    def get_or_create(
        self,
        key: str,
        *,
        name: str | None = None,
        description: str | None = None,
        created_by: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, object] | None = None,
        parent: Session | str | None = None,
        config: SessionConfig | Mapping[str, object] | None = None,
        correlation_id: str | None = None,
        template: str | None = None,
    ) -> Session:
        """Return the session with this key, whatever its status; create it with these options if there is none.

        Of any number of concurrent callers one creates it, and all get the same session. Hooks of its creation run for
        that one only. Raises what `create_session` raises.
        """
        options = (name, description, created_by, tags, metadata, parent, config, correlation_id, template)
        return self.creation.get_or_create(key, options)

    @checked
    def compare(self, a: Session | str, b: Session | str) -> Comparison:
        """Compare two sessions: where they stopped being the same, what each did alone, and what is different in the
        end. Times, ids and durations do not count. Raises SessionNotFound, AccessDenied, IntegrityError.

        Example:
            ```py
            comparison = rt.compare(session, session.fork(at_sequence=12))
            comparison.common   # 12
            print(comparison)
            ```
        """
        from greenroom.runtime.handles.debugging.compare import compared

        one, other = (find_session(self, required_session_id(each, name)) for name, each in (("a", a), ("b", b)))
        return compared(one._recorded(), other._recorded())

    def session(self, session_id: str | None = None, *, key: str | None = None) -> Session:
        """Return a handle on an existing session, given by its id or by its key. Raises SessionNotFound."""
        if key is not None:
            return self.creation.session_with_key(key, session_id)
        return find_session(self, required_session_id(session_id))

    def exists(self, session_id: str) -> bool:
        """Return whether a session with exactly this id exists and is visible to the running code."""
        return self.core.exists(session_id if type(session_id) is str else required_session_id(session_id))

    def list_sessions(
        self, query: SessionQuery | Mapping[str, object] | None = None, **criteria: Unpack[SessionKeywords]
    ) -> Page[SessionInfo]:
        """Return a page of the sessions that match a query: see `SessionQuery` for its criteria, which can be given as
        keywords too.

        By default the first 100 active and suspended sessions, oldest first. `has_more` and `next_cursor` lead to the
        next page. `total`, the number of all that match, is counted only if it is read.
        """
        from greenroom.storage.catalog.query import session_query

        return list_page(self.core, session_query(query, criteria))

    def iterate_sessions(
        self, query: SessionQuery | Mapping[str, object] | None = None, **criteria: Unpack[SessionKeywords]
    ) -> Iterator[SessionInfo]:
        """Yield all sessions that match a query, or as many as its `limit` if one is given, in its order.

        They are read page by page on the way: sessions that are created, change or go meanwhile are seen as they are
        when their place in the order comes.
        """
        return iterate_pages(self.core, query, criteria)

    def count_sessions(
        self, query: SessionQuery | Mapping[str, object] | None = None, **criteria: Unpack[SessionKeywords]
    ) -> int:
        """Return how many sessions match a query, whatever its limit, offset and cursor."""
        from greenroom.storage.catalog.query import session_query

        return list_page(self.core, session_query(query, {**criteria, "limit": 0, "offset": 0, "cursor": None})).total

    # -- search

    @checked
    def search(
        self,
        text: str,
        *,
        kinds: Iterable[str] | str | None = None,
        session: Session | str | None = None,
        limit: int = 20,
        cursor: str | None = None,
        timeout: float | None = None,
        **criteria: Unpack[SessionCriteria],
    ) -> Page[SearchHit]:
        """Search conversations, the texts of artifacts, and the names and descriptions of sessions. The best hits come
        first.

        All words must be there. `"in quotes"` is a phrase, `wor*` the beginning of a word; case and Unicode spelling do
        not matter. `kinds`: some of "message", "artifact" and "name". Only in one `session`, or in those that match
        `criteria`: the fields of `SessionQuery` (status, tags, created_by, key_prefix, times …). Code that acts for a
        session searches what that session may read. `limit` is at most 1000; `next_cursor` leads to the next page. Of
        more than 2000 texts with all words, the best of the newest 2000 are found.

        Waits up to `timeout` seconds (default: `ask_timeout`) until everything that was written before is indexed. The
        first search of a store makes the index, which takes longer. Raises ValidationError, OperationTimeout.

        Example:
            ```py
            for hit in rt.search("lisbon flight", tags=["travel"]):
                print(hit.session_id, hit.marked())
            ```
        """
        if criteria.get("parent") is not None:
            find_session(self, required_session_id(criteria["parent"], "parent"))
        self.core.settle()
        return self._parts.search.find(
            text,
            kinds=kinds,
            session_id=find_session(self, required_session_id(session)).id if session is not None else None,
            limit=limit,
            cursor=cursor,
            timeout=timeout,
            criteria=criteria,
        )

    # -- replay

    @checked
    def replay(self, session: Session | str, config: ReplayConfig | Mapping[str, object] | None = None) -> ReplayResult:
        """Replay what was recorded of a session, and return what came of it: see `ReplayConfig`, and `replays` for a
        replay that goes on in the background.

        Nothing is written, and the session itself may go on meanwhile. Raises ReplayError for a session whose
        configuration has `enable_replay=False`, and for a moment that is not in its history.
        """
        from .replay.course import course_of

        return course_of(self, session, config).run()

    @checked
    def can_replay(self, session: Session | str) -> bool:
        """Return whether a session can be replayed. `replay_metadata` says why not."""
        from .replay.queries import readable_session, why_not

        self.core.check_open()
        return why_not(self.core, readable_session(self.core, session, "can_replay")) is None

    @checked
    def replay_metadata(self, session: Session | str) -> ReplayMetadata:
        """Return what is known of the recording of a session, without replaying it."""
        from .replay.queries import metadata_of, readable_session

        self.core.check_open()
        return metadata_of(self.core, readable_session(self.core, session, "replay_metadata"))

    def list_replayable(self, **criteria: Unpack[SessionKeywords]) -> Page[SessionInfo]:
        """Return a page of the sessions that can be replayed and match the criteria of `SessionQuery`, in any status
        unless one is given."""
        from .replay.queries import list_replayable

        return list_replayable(self.core, criteria)

    @checked
    def query_hooks(
        self, filter: HookQuery | Mapping[str, object] | None = None, **criteria: Unpack[HookKeywords]
    ) -> Page[HookExecution]:
        """Return a page of the recorded executions of hooks that match a `HookQuery`: those of hooks that were
        registered as replayable, and those that failed. With a session they come in order, else session by session."""
        from .replay.queries import hook_executions

        self.core.check_open()
        return hook_executions(self.core, filter, criteria)

    def find_sessions(self, id_prefix: str, limit: int = 10) -> list[str]:
        """Return at most `limit` session ids that begin with these hex digits. Raises ValidationError."""
        digits = as_text("id_prefix", id_prefix, m.MAX_NAME).replace("-", "").lower()
        limit = as_number("limit", limit)
        if not 1 <= len(digits) <= 32 or any(each not in "0123456789abcdef" for each in digits):
            raise ValidationError("a session id consists of hex digits and hyphens", field="session_id")
        self.core.check_open()
        principal = self.core.security.principal()
        if principal is None:
            return self._store.catalog.with_prefix(digits, limit)
        own = sorted(map(id_of_bytes, self.core.family(principal)))
        return [each for each in own if each.replace("-", "").startswith(digits)][:limit]

    def delete_session(self, session_id: str) -> None:
        """Delete a session with everything that belongs to it, also a damaged one. Raises SessionNotFound."""
        session_id = required_session_id(session_id)
        if not is_session_id(session_id):
            raise SessionNotFound(f"there is no session {shown(session_id)}", session_id=session_id[:64])
        Session(self, session_id).delete()

    def save_all(self) -> int:
        """Write a snapshot of every session in memory with unsaved events, sync everything to disk, and return their
        number."""
        self.core.check_open()
        self.core.require_host("save_all")
        self.core.check_writable("to save")
        saved = 0
        for actor in self._supervisor.residents():
            if actor.unsaved:
                try:
                    self._supervisor.ask(actor.actor_urn, m.SaveSession(sync=False), self.config.ask_timeout)
                    saved += 1
                except (SessionNotFound, HookCancelled):
                    pass  # deleted meanwhile, or refused by a hook
        self._store.sync()
        return saved

    def restore_recent(self, n: int = 10) -> list[Session]:
        """Load the `n` most recently changed open sessions into memory, newest first."""
        self.core.require_host("restore_recent")
        recent = self.list_sessions(sort_by="updated_at", descending=True, limit=n)
        sessions = []
        for info in recent:
            session = Session(self, info.id)
            try:
                session.load()
            except (SessionNotFound, IntegrityError, HookCancelled):
                continue  # deleted meanwhile, damaged, or refused by a hook: load the others
            sessions.append(session)
        return sessions

    def cleanup(self, retention_days: float | None = None) -> int:
        """Delete sessions that ended longer ago than `retention_days`; by default, those that are over their own
        `retention_days` or `delete_after_idle_days`. Return their number."""
        from greenroom.runtime.config.retention import RetentionPolicy

        from .retention.policy import apply_retention

        self.core.check_open()
        self.core.require_host("cleanup", "delete")
        self.core.check_writable("to delete")
        self.core.settle()
        if retention_days is not None and (type(retention_days) not in (int, float) or not 0 <= retention_days < 1e9):
            raise ValidationError("retention_days: a number from 0 is needed", field="retention_days")
        policy = RetentionPolicy(lifetimes=retention_days is None, ended_days=retention_days)
        report = apply_retention(self.core, policy, self.core.clock.time_ns(), dry_run=False)
        return len(report.removed)

    @property
    def templates(self) -> Templates:
        """Presets for new sessions: `save`, `get`, `list`, `delete`."""
        self.core.require_host("templates")
        return self._templates

    # -- bundles and backups

    @checked
    def export_session(
        self,
        session_id: str,
        path: str | os.PathLike[str],
        *,
        tree: bool = False,
        history: bool = True,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> ExportReport:
        """Write a session, with `tree` also its descendants, to a bundle: one file, as of one moment.

        Without `history`, the bundle holds the current conversation, artifacts, variables, tags, metadata and status,
        without earlier values. Works while the sessions are in use. A file at `path` is replaced once the bundle is
        complete; anything but a regular file is refused. `on_progress` gets the bytes done and the total. Raises
        SessionNotFound, IntegrityError for damaged data, BundleError if it is too large for a bundle, StorageError.
        """
        from greenroom.actors.transfer.bundle_export import export_bundle

        wanted = session_id_of(session_id, "session") or ""
        self.core.security.require_artifacts(wanted, "export_session")
        self.core.settle()
        found = self.session(wanted)
        return export_bundle(
            self._store,
            found.id,
            file_path(path),
            tree=as_flag("tree", tree),
            history=as_flag("history", history),
            on_progress=as_function("on_progress", on_progress) if on_progress is not None else None,
        )

    @checked
    def import_bundle(
        self,
        path: str | os.PathLike[str],
        *,
        keep_ids: bool = True,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[Session]:
        """Import all sessions of a bundle, parents first, or none of them.

        With `keep_ids` false, sessions get new ids, also in artifact ids and family links. A parent outside the bundle
        is kept if it is in this store. Raises BundleError for a damaged or hostile bundle, SessionAlreadyExists if an
        id to keep is taken, StorageError. On error nothing is written.
        """
        from .bundles import import_sessions

        self.core.check_open()
        self.core.require_host("import_bundle", "write")
        self.core.security.forget_families()
        ids = import_sessions(self.core, file_path(path), keep_ids=keep_ids, on_progress=on_progress)
        self.events.imported(ids)
        return [Session(self, each) for each in ids]

    @checked
    def import_session(
        self,
        path: str | os.PathLike[str],
        *,
        keep_ids: bool = True,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Session:
        """Import a bundle of one session or one tree, like `import_bundle`. Return the topmost session."""
        return self.import_bundle(path, keep_ids=keep_ids, on_progress=on_progress)[0]

    @checked
    def ingest(
        self,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        dry_run: bool = False,
        on_progress: OnProgress | None = None,
        created_by: str | None = None,
    ) -> IngestReport:
        """Read recorded conversations from files, folders, archives or "-", and create a completed session for each.

        Each keeps its title and times, and is written completely, with its branches as forks, or not at all; one that
        is in the store already is skipped. With `dry_run` nothing is written. Return what was ingested and what was
        not; docs/data/ingest.md lists the forms. Raises StorageError and RuntimeClosed.
        """
        from .ingest import ingest

        self.core.check_open()
        self.core.require_host("ingest", "read" if as_flag("dry_run", dry_run) else "write")
        return ingest(self, paths, dry_run=dry_run, on_progress=on_progress, created_by=created_by)

    @checked
    def backup(self, path: str | os.PathLike[str]) -> BackupReport:
        """Write a backup of the whole store as of one moment, while it is in use. The backup is a store itself.

        `path` must not exist. On the same file system the backup shares table files with this store: copy it elsewhere
        to survive the loss of the disk. Raises StorageError.
        """
        from greenroom.actors.maintenance.backup import backup_store

        self.core.check_open()
        self.core.require_host("backup")
        self.core.settle()
        return backup_store(self._store, file_path(path))

    # -- maintenance

    @checked
    def verify(self, repair: bool = False, *, on_progress: Callable[[str, int], None] | None = None) -> VerifyReport:
        """Read everything in the store and check it: checksums, gaps, hashes, indexes, references, replays.

        With `repair`, repair everything that can be derived from the rest of the store, and move the rest into
        quarantine so that everything else stays readable. The report lists all repairs. If table files are damaged
        (`needs_salvage`), nothing is repaired: close the runtime and call `Runtime.salvage`.
        """
        from greenroom.actors.maintenance.verification.verify import verify_store

        self.core.check_open()
        self.core.require_host("verify")
        if repair:
            self.core.check_writable("to repair it")
        self.core.settle()
        report = verify_store(self._store, self._supervisor, repair=repair, on_progress=on_progress)
        if not report.needs_salvage:
            self._parts.search.check(report, repair=repair)
        return report

    @checked
    def gc(self, *, on_progress: Callable[[str, int], None] | None = None) -> GcReport:
        """Find and repair leaked or missing references, orphaned records, wrong index entries and counts. Remove what
        interrupted imports and forks have written.

        Safe while sessions are in use. Does not read content; `verify` does.
        """
        from greenroom.actors.maintenance.gc import collect

        self.core.check_open()
        self.core.require_host("gc", "write")
        self.core.check_writable("to collect garbage")
        recover_staged(self._store)
        return collect(self._store, self._supervisor, on_progress)

    @checked
    def retention(
        self,
        policy: RetentionPolicy | Mapping[str, object] | None = None,
        *,
        dry_run: bool = True,
        **limits: Unpack[RetentionKeywords],
    ) -> RetentionReport:
        """Delete what exceeds a retention policy; by default, only report what would be deleted.

        Limits: keep_versions, max_age_days, max_session_bytes (never the latest version of a name), ended_days (whole
        sessions), lifetimes (sessions over their own time), keep_journal_days, max_journal_events (truncate journals,
        but keep the newest event, the conversation and existing artifacts; `events`, forks and exports then begin
        there). Raises ValidationError.
        """
        from greenroom.runtime.config.retention import RetentionPolicy
        from greenroom.storage.common.validation import validated

        from .retention.policy import apply_retention

        self.core.check_open()
        self.core.require_host("retention", "delete")
        if limits or not isinstance(policy, RetentionPolicy):
            policy = {**as_mapping("policy", {} if policy is None else policy), **limits}
        wanted = validated(RetentionPolicy, policy)
        if not as_flag("dry_run", dry_run):
            self.core.check_writable("to delete")
        return apply_retention(self.core, wanted, self.core.clock.time_ns(), dry_run=dry_run)

    @checked
    def erase(
        self,
        created_by: str,
        *,
        scopes: Sequence[str] = (),
        needles: Sequence[bytes | str] = (),
        dry_run: bool = False,
        compact: bool = True,
        on_progress: Callable[[str, int], None] | None = None,
    ) -> ErasureReport:
        """Erase everything of one creator: its sessions in every status with all they have, the permissions given to
        and by them, and the named `scopes` (such as "user:7"). Then compact the store and search it.

        The report proves it: `left` has every row, index entry, event and reference that is still there, and `needles`
        the places where one of these bytes or texts still stands, in the store or its files. Contents that other
        sessions hold too stay with them. `dry_run` says what would go. After a crash, run it again. Raises
        ValidationError.
        """
        from .retention.erasure import erase

        self.core.check_open()
        self.core.require_host("erase", "delete")
        if not as_flag("dry_run", dry_run):
            self.core.check_writable("to erase")
        given = as_items("needles", needles, 100, "a list of bytes or texts")
        wanted = [each.encode("utf-8", "surrogatepass") if isinstance(each, str) else bytes(each) for each in given]
        if not all(wanted):
            raise ValidationError("needles: bytes to look for are needed, not none", field="needles")
        return erase(
            self.core,
            self.quotas,
            as_text("created_by", created_by, m.MAX_NAME),
            [m.scope_name(each, "scopes") for each in as_items("scopes", scopes, 1000, "a list of names")],
            wanted,
            dry_run=dry_run,
            compact=self._compact if as_flag("compact", compact) else None,
            on_progress=on_progress,
        )

    def run_retention(self) -> RetentionRun:
        """Run retention by the limits of `RuntimeConfig.retention` now; without these, by the sessions' own
        (`retention_days`, `delete_after_idle_days`). Record the run, and return what it has done.

        Raises InvalidOperation while another run is going on.
        """
        self.core.check_open()
        self.core.require_host("run_retention", "delete")
        self.core.check_writable("to delete")
        return self._retention.run()

    @checked
    def retention_runs(self, limit: int = 20) -> list[RetentionRun]:
        """Return the newest runs of retention, scheduled or not, newest first. The newest 100 are kept."""
        self.core.check_open()
        self.core.require_host("retention_runs", "list")
        return self._retention.runs(as_number("limit", limit))

    @checked
    def usage(self, *, on_progress: Callable[[str, int], None] | None = None) -> Usage:
        """Return which sessions, types and names take the most space."""
        self.core.check_open()
        self.core.require_host("usage", "list")
        from greenroom.actors.maintenance.usage import usage_of

        return usage_of(self._store, on_progress)

    def compact(self) -> None:
        """Return the space of deleted data to the disk. Blocks until done."""
        self.core.check_open()
        self.core.require_host("compact", "write")
        self.core.check_writable("to compact")
        self._compact()

    def _compact(self) -> None:
        self._store.compact()
        self._parts.search.indexer.purge()

    @checked
    def stats(self, details: bool = False) -> dict[str, Any]:
        """Return figures of the store and this runtime, as JSON values. Sizes are in bytes. With `details` also
        `usage`: the sessions, types and names that take the most space, twenty of each.

        For content (artifacts, and long messages): `logical_bytes` counts each reference, `unique_bytes` each content
        once, `stored_bytes` the bytes on disk, with shared chunks counted once.
        """
        self.core.check_open()
        from greenroom.actors.maintenance.usage import content_figures

        self.core.require_host("stats")
        return {
            "path": str(self.path),
            **self.core.figures(),
            "artifacts": content_figures(self._store),
            **({"usage": self.usage().to_dict(_DETAILS)} if details else {}),
        }
