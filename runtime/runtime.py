"""`Runtime`: the object that a host embeds. It owns the dispatchers, the supervisor, the store and the timers."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Final

import pydantic
from annotated_types import MaxLen, MinLen

from greenroom.actors import messages as m
from greenroom.actors.clock import Clock, SystemClock
from greenroom.actors.conversation import ARTIFACT
from greenroom.actors.decide import Limits, creation
from greenroom.actors.dispatcher import Dispatcher
from greenroom.actors.hooks import Hooks
from greenroom.actors.security import Security
from greenroom.actors.session import SessionServices
from greenroom.actors.staged import recover_staged
from greenroom.actors.store import ArtifactStore
from greenroom.actors.supervisor import Supervisor
from greenroom.actors.timers import Timers
from greenroom.storage.artifact_query import ArtifactQuery, artifact_query
from greenroom.storage.artifacts import Artifact, ArtifactId, ArtifactInfo
from greenroom.storage.bundle_export import Progress
from greenroom.storage.catalog import Page, SessionInfo, SessionQuery, SessionStatus, refusal, validated
from greenroom.storage.engine import Durability, Engine, EngineOptions
from greenroom.storage.errors import (
    GreenroomError,
    IntegrityError,
    InvalidOperation,
    RuntimeClosed,
    SessionNotFound,
    StoreLocked,
    ValidationError,
)
from greenroom.storage.keys import is_session_id, session_bytes
from greenroom.storage.keys import session_id_of as id_of_bytes
from greenroom.storage.migration import migrate
from greenroom.storage.records import unpack_value

from . import signals
from .bundles import BackupReport, ExportReport, backup_store, export_bundle, import_sessions, restore_store
from .config import RuntimeConfig, SessionConfig
from .gc import GcReport, collect
from .retention import RetentionPolicy, RetentionReport, apply_retention
from .salvage import SalvageReport, salvage_store
from .scope import Scope
from .scripts import ScriptRequest, ScriptResult, engine_for, read_source
from .session import ManyArtifacts, Session, session_id_of
from .templates import SCOPE as TEMPLATES
from .templates import Templates
from .usage import Usage, usage_of
from .verify import Progress as CareProgress
from .verify import VerifyReport, verify_store

__all__ = ["Runtime"]

DAY: Final = 86_400 * 1_000_000_000
_SYNC_SECONDS: Final = 1.0
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

    def __init__(self, path: Path, config: RuntimeConfig, *, read_only: bool, temporary: bool, clock: Clock) -> None:
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
        )
        self._supervisor = Supervisor(config.max_resident_sessions, config.max_resident_bytes)
        self._supervisor.services = SessionServices(
            store=self._store,
            dispatcher=self._dispatcher,
            clock=clock,
            limits=Limits(),
            durability=Durability(config.durability),
            mailbox_capacity=config.mailbox_capacity,
            store_timeout=config.ask_timeout,
            snapshot_every=config.snapshot_every,
            max_restarts=config.max_restarts,
            restart_window=config.restart_window,
            artifact_name_limit=config.max_artifact_name,
            owner=self._supervisor,
        )
        self._supervisor.security = Security(self._store.catalog)
        self.hooks = Hooks()
        self._timers = Timers(clock)
        if not read_only:
            try:
                migrate(engine)
                self._store.recover()
                recover_staged(self._store)
            except BaseException:
                self.close()
                raise
            self._timers.every(config.passivate_after / 2, self._sweep)
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
    ) -> Runtime:
        """Open the store at `path`, making it if there is none; without a path, a temporary one.

        With `read_only` it opens beside a runtime, of this or another process, that writes; `refresh` catches up.
        Raises StoreLocked, SchemaTooNew, IntegrityError, StorageError or ValidationError.
        """
        settings = RuntimeConfig.build(config)
        if path is None and read_only:
            raise InvalidOperation("a temporary store has nothing to read: give the path of a store")
        where = Path(path) if path is not None else Path(tempfile.mkdtemp(prefix="greenroom-"))
        try:
            runtime = cls(where, settings, read_only=read_only, temporary=path is None, clock=clock or SystemClock())
        except BaseException:
            if path is None:
                shutil.rmtree(where, ignore_errors=True)
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
            self._timers.close(self._remaining(deadline))
            self._supervisor.close(deadline, save=not self.read_only)
            self._dispatcher.close(self._remaining(deadline))
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
        if template is not None:
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
        parent_id = None
        if parent is not None:
            parent_id = session_id_of(parent, "parent")
            if not self.exists(parent_id or ""):
                raise SessionNotFound("the parent session does not exist", session_id=str(parent_id)[:64])
        overrides = _overrides(config) if config is not None else None
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
        if not self.exists(session_id):
            raise SessionNotFound(f"there is no session {str(session_id)[:64]!r}", session_id=str(session_id)[:64])
        return Session(self, session_id)

    def exists(self, session_id: str) -> bool:
        """Whether there is a session with exactly this id."""
        self._check_open()
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
        return self._store.catalog.query(wanted)

    def count_sessions(self, **query: Any) -> int:
        """How many sessions match."""
        return self.list_sessions(**{**query, "limit": 0, "offset": 0}).total

    def find_sessions(self, id_prefix: str, limit: int = 10) -> list[str]:
        """Ids that begin with these hex digits, at most `limit`. Raises ValidationError."""
        digits = id_prefix.replace("-", "").lower()
        if not 1 <= len(digits) <= 32 or any(each not in "0123456789abcdef" for each in digits):
            raise ValidationError("a session id consists of hex digits and hyphens", field="session_id")
        self._check_open()
        return self._store.catalog.with_prefix(digits, limit)

    def delete_session(self, session_id: str) -> None:
        """Remove a session with everything that belongs to it, also a damaged one. Raises SessionNotFound."""
        if not is_session_id(session_id):
            raise SessionNotFound(f"there is no session {str(session_id)[:64]!r}", session_id=str(session_id)[:64])
        Session(self, session_id).delete()

    def save_all(self) -> int:
        """Snapshot every session in memory that has unsaved events, and put everything on disk; how many."""
        self._check_open()
        saved = 0
        for actor in self._supervisor.residents():
            if actor.unsaved:
                try:
                    self._supervisor.ask(actor.actor_urn, m.SaveSession(sync=False), self.config.ask_timeout)
                    saved += 1
                except SessionNotFound:
                    pass  # deleted meanwhile
        self._store.engine.sync()
        return saved

    def restore_recent(self, n: int = 10) -> list[Session]:
        """Bring the `n` most recently changed open sessions into memory, newest first."""
        recent = self.list_sessions(sort_by="updated_at", descending=True, limit=n)
        sessions = []
        for info in recent:
            session = Session(self, info.id)
            try:
                session.load()
            except (SessionNotFound, IntegrityError):
                continue  # deleted meanwhile, or damaged: the others come back all the same
            sessions.append(session)
        return sessions

    def cleanup(self, retention_days: float | None = None) -> int:
        """Delete sessions that ended longer ago than `retention_days` (default: each one's own); how many."""
        self._check_open()
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
                except SessionNotFound:
                    pass  # somebody else deleted it
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
            except (SessionNotFound, IntegrityError) as error:
                errors.update(dict.fromkeys(wanted, error))
                continue
            results.update(found.results)
            errors.update(found.errors)
        return ManyArtifacts(results, errors)

    # -- messages

    def ask(self, session_id: str, message: m.Message, timeout: float | None = None) -> Any:
        """Send a message and return the reply, or raise what the session raised.

        Raises OperationTimeout after `timeout` seconds (default: `ask_timeout`).
        """
        if not isinstance(message, m.Message):
            raise InvalidOperation("messages are objects of the classes in greenroom.runtime.messages")
        if timeout is None:
            timeout = self.config.ask_timeout
        elif type(timeout) not in (int, float) or not timeout > 0:
            raise ValidationError("timeout: a number of seconds above 0 is needed", field="timeout")
        return self._supervisor.ask(session_id, message, timeout)

    def tell(self, session_id: str, message: m.Message) -> None:
        """Send a message and go on. What goes wrong after it has been sent is logged."""
        if not isinstance(message, m.Message):
            raise InvalidOperation("messages are objects of the classes in greenroom.runtime.messages")
        self._supervisor.tell(session_id, message)

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
        path = None if isinstance(source, str) else Path(source)
        engine = engine_for(language, path)
        bound = None
        if session is not None:
            bound = session if isinstance(session, Session) else self.session(session)
        request = ScriptRequest(
            runtime=self,
            source=source if isinstance(source, str) else read_source(Path(source)),
            name=name or (path.name if path is not None else "script"),
            profile=profile,
            session=bound,
            args=tuple(args),
            timeout=timeout if timeout is not None else self.config.script_timeout,
            max_instructions=self.config.script_instructions,
            max_memory=self.config.script_memory_bytes,
            directories=tuple(Path(each) for each in directories),
            echo=echo,
        )
        return engine.run(request)

    def state_scope(self, name: str, timeout: float | None = None) -> Scope:
        """The state of a scope that is not a session: "global", "user:<id>", "agent:<id>", …

        Its calls wait at most `timeout` seconds (default: `ask_timeout`).
        """
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
        ids = import_sessions(self, Path(path), keep_ids=keep_ids, on_progress=on_progress)
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

    # -- care

    def verify(self, repair: bool = False, *, on_progress: CareProgress | None = None) -> VerifyReport:
        """Read everything in the store and check it: checksums, gaps, hashes, indexes, references, replays.

        With `repair`, what the rest of the store tells how to set right is set right, and what it does not is put
        into quarantine, so that everything else stays readable; the report says what was done. Where table files
        are damaged (`needs_salvage`) nothing is repaired: close the runtime and `Runtime.salvage` the store.
        """
        self._check_open()
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
        self._check_writable("to collect garbage")
        return collect(self._store, self._supervisor, on_progress)

    def retention(
        self, policy: RetentionPolicy | Mapping[str, Any] | None = None, *, dry_run: bool = True, **limits: Any
    ) -> RetentionReport:
        """Delete what a policy lets go; unless told otherwise, only say what that would be.

        Limits: keep_versions, max_age_days, max_session_bytes (never the latest version of a name), ended_days
        (whole sessions). Raises ValidationError.
        """
        self._check_open()
        if not isinstance(policy, RetentionPolicy):
            policy = validated(RetentionPolicy, {**(policy or {}), **limits})
        if not dry_run:
            self._check_writable("to delete")
        return apply_retention(self, policy, self._clock.time_ns(), dry_run=dry_run)

    @property
    def templates(self) -> Templates:
        """Presets for new sessions: `save`, `get`, `list`, `delete`."""
        return Templates(lambda: self.state_scope(TEMPLATES))

    def usage(self, *, on_progress: CareProgress | None = None) -> Usage:
        """Which sessions, types and names take the space."""
        self._check_open()
        return usage_of(self._store, on_progress)

    def _check_writable(self, purpose: str) -> None:
        if self.read_only:
            raise InvalidOperation(f"this runtime is open for reading only: open it without read_only {purpose}")

    def compact(self) -> None:
        """Give the space of deleted data back to the disk. Blocks while it works."""
        self._check_open()
        self._check_writable("to compact")
        self._store.engine.compact()

    def stats(self, details: bool = False) -> dict[str, Any]:
        """Figures about the store and this runtime, as JSON values. Sizes are bytes. With `details` also `usage`:
        the sessions, types and names that take most space, twenty of each.

        Of content (artifacts, and long messages): `logical_bytes` counts it for everyone who refers to it,
        `unique_bytes` once, `stored_bytes` as it is on disk, with chunks that contents share counted once.
        """
        self._check_open()
        store = self._store
        contents, unique, stored = store.contents.usage()
        logical = artifacts = 0
        for digest, size, _, _ in store.contents.known():
            for reference in store.contents.references(digest):
                logical += size
                artifacts += reference.kind == ARTIFACT
        return {
            "path": str(self.path),
            "sessions": store.catalog.counts(),
            "resident": self._supervisor.resident,
            "resident_bytes": self._supervisor.resident_bytes,
            "activations": self._supervisor.activations,
            "commits": store.commits,
            "fsyncs": store.engine.fsyncs,
            "artifacts": {
                "count": artifacts,
                "logical_bytes": logical,
                "contents": contents,
                "unique_bytes": unique,
                "stored_bytes": stored,
            },
            "cache": {
                "bytes": store.contents.cache.bytes,
                "hits": store.contents.cache.hits,
                "misses": store.contents.cache.misses,
            },
            "disk_bytes": store.engine.disk_bytes(),
            "store": store.engine.statistics(),
            **({"usage": self.usage().to_dict(_DETAILS)} if details else {}),
        }

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
