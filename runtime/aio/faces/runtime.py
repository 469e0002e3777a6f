"""`Runtime`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack

from greenroom.runtime.aio.face import Block, Face, beneath, each
from greenroom.runtime.runtime import Runtime

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from greenroom.actors import messages as m
    from greenroom.actors.maintenance.backup import BackupReport
    from greenroom.actors.maintenance.gc import GcReport
    from greenroom.actors.maintenance.usage import Usage
    from greenroom.actors.maintenance.verification.findings import VerifyReport
    from greenroom.actors.scheduling.operation import Operation
    from greenroom.actors.transfer.bundle_export import ExportReport
    from greenroom.runtime.analytics.tracing import TracerProvider, Tracing
    from greenroom.runtime.config.config import SessionConfig
    from greenroom.runtime.config.retention import RetentionKeywords, RetentionPolicy
    from greenroom.runtime.handles.debugging.compare import Comparison
    from greenroom.runtime.handles.session import Session
    from greenroom.runtime.handles.streams import StreamProgress
    from greenroom.runtime.ingest.report import IngestReport, OnProgress
    from greenroom.runtime.model.many import ManyArtifacts
    from greenroom.runtime.model.script import ScriptReplay, ScriptResult
    from greenroom.runtime.replay.config import ReplayConfig
    from greenroom.runtime.replay.queries import HookExecution, HookKeywords, HookQuery, ReplayMetadata
    from greenroom.runtime.replay.result import ReplayResult
    from greenroom.runtime.retention.erasure import ErasureReport
    from greenroom.runtime.retention.policy import RetentionReport
    from greenroom.runtime.retention.schedule import RetentionRun
    from greenroom.storage.artifacts.model import ArtifactId, ArtifactInfo
    from greenroom.storage.artifacts.query import ArtifactKeywords, ArtifactQuery
    from greenroom.storage.audit import AuditRecord
    from greenroom.storage.catalog.model import SessionCriteria, SessionInfo
    from greenroom.storage.catalog.query import SessionKeywords, SessionQuery
    from greenroom.storage.common.page import Page
    from greenroom.storage.common.session_ids import SessionHandle
    from greenroom.storage.search.model import SearchHit
__all__ = ["RuntimeFace"]
A = TypeVar("A")


class RuntimeFace(Face[Runtime], Generic[A]):
    """The methods of `Runtime` that can be awaited as they are."""

    async def refresh(self) -> None:
        """Read what the writing runtime has written since, and notify listeners: see `Runtime.refresh`."""
        await self._bridge.run(self.sync.refresh)

    async def query_artifacts(
        self, query: ArtifactQuery | None = None, **criteria: Unpack[ArtifactKeywords]
    ) -> Page[ArtifactInfo]:
        """Return the artifacts of all sessions that match, or of one with `session_id`: see
        `Runtime.query_artifacts`."""
        return await self._bridge.run(self.sync.query_artifacts, query, **criteria)

    async def count_artifacts(self, query: ArtifactQuery | None = None, **criteria: Unpack[ArtifactKeywords]) -> int:
        """Return the number of artifacts of all sessions that match, or of one with `session_id`, whatever the
        limit: see `Runtime.count_artifacts`."""
        return await self._bridge.run(self.sync.count_artifacts, query, **criteria)

    async def get_many(
        self, ids: Iterable[ArtifactId | str], *, on_progress: StreamProgress | None = None
    ) -> ManyArtifacts:
        """Return the artifacts with these ids, of any sessions; one that cannot be read is an error under its
        id: see `Runtime.get_many`."""
        return await self._bridge.run(self.sync.get_many, ids, on_progress=on_progress)

    async def tell(self, session_id: str, message: m.Message[Any]) -> None:
        """Send a message without waiting: see `Runtime.tell`."""
        await self._bridge.run(self.sync.tell, session_id, message)

    def operation(
        self,
        correlation_id: str | None = None,
        *,
        causation_id: str | None = None,
        root_id: str | None = None,
        source: str | None = None,
    ) -> Block[Operation]:
        """Treat the code inside as one operation: see `Runtime.operation`."""
        return Block(self.sync.operation(correlation_id, causation_id=causation_id, root_id=root_id, source=source))

    async def run_script(
        self,
        source: str | os.PathLike[str] | ArtifactId | None = None,
        language: str | None = None,
        profile: str = "sandboxed",
        session: SessionHandle | str | None = None,
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
        """Run a script: see `Runtime.run_script`."""
        return await self._bridge.run_abandoning(
            self.sync.run_script,
            source,
            language,
            profile,
            beneath(session),
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

    async def replay_script(self, run: str, *, source: str | None = None, timeout: float | None = None) -> ScriptReplay:
        """Run a script again exactly as it ran, and compare: see `Runtime.replay_script`."""
        return await self._bridge.run_abandoning(self.sync.replay_script, run, source=source, timeout=timeout)

    async def audit(
        self,
        *,
        session: SessionHandle | str | None = None,
        artifact: ArtifactId | str | None = None,
        access: str | None = None,
        granted: bool | None = None,
        after: datetime | str | float | None = None,
        before: datetime | str | float | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> Page[AuditRecord]:
        """Return the access attempts across sessions from the audit log, newest first, with the `total` before
        pagination: see `Runtime.audit`."""
        return await self._bridge.run(
            self.sync.audit,
            session=beneath(session),
            artifact=artifact,
            access=access,
            granted=granted,
            after=after,
            before=before,
            limit=limit,
            offset=offset,
        )

    async def trace(self, tracer_provider: TracerProvider | None = None, *, privacy: bool | None = None) -> Tracing:
        """Create an OpenTelemetry span for each operation, until `stop` is called on the returned object: see
        `Runtime.trace`."""
        return await self._bridge.brief(self.sync.trace, tracer_provider, privacy=privacy)

    async def before_calls(self, fn: Callable[[str], object]) -> Callable[[], None]:
        """Call a function before each tool and agent that works for a session: see `Runtime.before_calls`."""
        return await self._bridge.brief(self.sync.before_calls, fn)

    async def get_or_create(
        self,
        key: str,
        *,
        name: str | None = None,
        description: str | None = None,
        created_by: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, object] | None = None,
        parent: SessionHandle | str | None = None,
        config: SessionConfig | Mapping[str, object] | None = None,
        correlation_id: str | None = None,
        template: str | None = None,
    ) -> A:
        """Return the session with this key, whatever its status; create it with these options if there is
        none: see `Runtime.get_or_create`."""
        return self._session(
            await self._bridge.run(
                self.sync.get_or_create,
                key,
                name=name,
                description=description,
                created_by=created_by,
                tags=tags,
                metadata=metadata,
                parent=beneath(parent),
                config=config,
                correlation_id=correlation_id,
                template=template,
            )
        )

    async def compare(self, a: SessionHandle | str, b: SessionHandle | str) -> Comparison:
        """Compare two sessions: see `Runtime.compare`."""
        return await self._bridge.run(self.sync.compare, beneath(a), beneath(b))

    async def session(self, session_id: str | None = None, *, key: str | None = None) -> A:
        """Return a handle on an existing session, given by its id or by its key: see `Runtime.session`."""
        return self._session(await self._bridge.brief(self.sync.session, session_id, key=key))

    async def exists(self, session_id: str) -> bool:
        """Return whether a session with exactly this id exists and is visible to the running code: see
        `Runtime.exists`."""
        return await self._bridge.brief(self.sync.exists, session_id)

    async def list_sessions(
        self, query: SessionQuery | Mapping[str, object] | None = None, **criteria: Unpack[SessionKeywords]
    ) -> Page[SessionInfo]:
        """Return a page of the sessions that match a query: see `Runtime.list_sessions`."""
        return await self._bridge.run(self.sync.list_sessions, query, **criteria)

    def iterate_sessions(
        self, query: SessionQuery | Mapping[str, object] | None = None, **criteria: Unpack[SessionKeywords]
    ) -> AsyncIterator[SessionInfo]:
        """Yield all sessions that match a query, or as many as its `limit` if one is given, in its order: see
        `Runtime.iterate_sessions`."""
        return each(self._bridge, lambda: self.sync.iterate_sessions(query, **criteria))

    async def count_sessions(
        self, query: SessionQuery | Mapping[str, object] | None = None, **criteria: Unpack[SessionKeywords]
    ) -> int:
        """Return how many sessions match a query, whatever its limit, offset and cursor: see
        `Runtime.count_sessions`."""
        return await self._bridge.run(self.sync.count_sessions, query, **criteria)

    async def search(
        self,
        text: str,
        *,
        kinds: Iterable[str] | str | None = None,
        session: SessionHandle | str | None = None,
        limit: int = 20,
        cursor: str | None = None,
        timeout: float | None = None,
        **criteria: Unpack[SessionCriteria],
    ) -> Page[SearchHit]:
        """Search conversations, the texts of artifacts, and the names and descriptions of sessions: see
        `Runtime.search`."""
        return await self._bridge.run(
            self.sync.search,
            text,
            kinds=kinds,
            session=beneath(session),
            limit=limit,
            cursor=cursor,
            timeout=timeout,
            **criteria,
        )

    async def replay(
        self, session: SessionHandle | str, config: ReplayConfig | Mapping[str, object] | None = None
    ) -> ReplayResult:
        """Replay what was recorded of a session, and return what came of it: see `Runtime.replay`."""
        return await self._bridge.run_abandoning(self.sync.replay, beneath(session), config)

    async def can_replay(self, session: SessionHandle | str) -> bool:
        """Return whether a session can be replayed: see `Runtime.can_replay`."""
        return await self._bridge.run(self.sync.can_replay, beneath(session))

    async def replay_metadata(self, session: SessionHandle | str) -> ReplayMetadata:
        """Return what is known of the recording of a session, without replaying it: see
        `Runtime.replay_metadata`."""
        return await self._bridge.run(self.sync.replay_metadata, beneath(session))

    async def list_replayable(self, **criteria: Unpack[SessionKeywords]) -> Page[SessionInfo]:
        """Return a page of the sessions that can be replayed and match the criteria of `SessionQuery`, in any
        status unless one is given: see `Runtime.list_replayable`."""
        return await self._bridge.run(self.sync.list_replayable, **criteria)

    async def query_hooks(
        self, filter: HookQuery | Mapping[str, object] | None = None, **criteria: Unpack[HookKeywords]
    ) -> Page[HookExecution]:
        """Return a page of the recorded executions of hooks that match a `HookQuery`: see
        `Runtime.query_hooks`."""
        return await self._bridge.run(self.sync.query_hooks, filter, **criteria)

    async def find_sessions(self, id_prefix: str, limit: int = 10) -> list[str]:
        """Return at most `limit` session ids that begin with these hex digits: see `Runtime.find_sessions`."""
        return await self._bridge.run(self.sync.find_sessions, id_prefix, limit)

    async def delete_session(self, session_id: str) -> None:
        """Delete a session with everything that belongs to it, also a damaged one: see
        `Runtime.delete_session`."""
        await self._bridge.run(self.sync.delete_session, session_id)

    async def save_all(self) -> int:
        """Write a snapshot of every session in memory with unsaved events, sync everything to disk, and return
        their number: see `Runtime.save_all`."""
        return await self._bridge.run(self.sync.save_all)

    async def restore_recent(self, n: int = 10) -> list[A]:
        """Load the `n` most recently changed open sessions into memory, newest first: see
        `Runtime.restore_recent`."""
        return [self._session(each) for each in await self._bridge.run(self.sync.restore_recent, n)]

    async def cleanup(self, retention_days: float | None = None) -> int:
        """Delete sessions that ended longer ago than `retention_days`; by default, those that are over their
        own `retention_days` or `delete_after_idle_days`: see `Runtime.cleanup`."""
        return await self._bridge.run(self.sync.cleanup, retention_days)

    async def export_session(
        self,
        session_id: str,
        path: str | os.PathLike[str],
        *,
        tree: bool = False,
        history: bool = True,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> ExportReport:
        """Write a session, with `tree` also its descendants, to a bundle: see `Runtime.export_session`."""
        return await self._bridge.run(
            self.sync.export_session, session_id, path, tree=tree, history=history, on_progress=on_progress
        )

    async def import_bundle(
        self,
        path: str | os.PathLike[str],
        *,
        keep_ids: bool = True,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[A]:
        """Import all sessions of a bundle, parents first, or none of them: see `Runtime.import_bundle`."""
        return [
            self._session(each)
            for each in await self._bridge.run(
                self.sync.import_bundle, path, keep_ids=keep_ids, on_progress=on_progress
            )
        ]

    async def import_session(
        self,
        path: str | os.PathLike[str],
        *,
        keep_ids: bool = True,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> A:
        """Import a bundle of one session or one tree, like `import_bundle`: see `Runtime.import_session`."""
        return self._session(
            await self._bridge.run(self.sync.import_session, path, keep_ids=keep_ids, on_progress=on_progress)
        )

    async def ingest(
        self,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        dry_run: bool = False,
        on_progress: OnProgress | None = None,
        created_by: str | None = None,
    ) -> IngestReport:
        """Read recorded conversations from files, folders, archives or "-", and create a completed session for
        each: see `Runtime.ingest`."""
        return await self._bridge.run(
            self.sync.ingest, paths, dry_run=dry_run, on_progress=on_progress, created_by=created_by
        )

    async def backup(self, path: str | os.PathLike[str]) -> BackupReport:
        """Write a backup of the whole store as of one moment, while it is in use: see `Runtime.backup`."""
        return await self._bridge.run(self.sync.backup, path)

    async def verify(
        self, repair: bool = False, *, on_progress: Callable[[str, int], None] | None = None
    ) -> VerifyReport:
        """Read everything in the store and check it: see `Runtime.verify`."""
        return await self._bridge.run(self.sync.verify, repair, on_progress=on_progress)

    async def gc(self, *, on_progress: Callable[[str, int], None] | None = None) -> GcReport:
        """Find and repair leaked or missing references, orphaned records, wrong index entries and counts: see
        `Runtime.gc`."""
        return await self._bridge.run(self.sync.gc, on_progress=on_progress)

    async def retention(
        self,
        policy: RetentionPolicy | Mapping[str, object] | None = None,
        *,
        dry_run: bool = True,
        **limits: Unpack[RetentionKeywords],
    ) -> RetentionReport:
        """Delete what exceeds a retention policy; by default, only report what would be deleted: see
        `Runtime.retention`."""
        return await self._bridge.run(self.sync.retention, policy, dry_run=dry_run, **limits)

    async def erase(
        self,
        created_by: str,
        *,
        scopes: Sequence[str] = (),
        needles: Sequence[bytes | str] = (),
        dry_run: bool = False,
        compact: bool = True,
        on_progress: Callable[[str, int], None] | None = None,
    ) -> ErasureReport:
        """Erase everything of one creator: see `Runtime.erase`."""
        return await self._bridge.run(
            self.sync.erase,
            created_by,
            scopes=scopes,
            needles=needles,
            dry_run=dry_run,
            compact=compact,
            on_progress=on_progress,
        )

    async def run_retention(self) -> RetentionRun:
        """Run retention by the limits of `RuntimeConfig.retention` now; without these, by the sessions' own
        (`retention_days`, `delete_after_idle_days`): see `Runtime.run_retention`."""
        return await self._bridge.run(self.sync.run_retention)

    async def retention_runs(self, limit: int = 20) -> list[RetentionRun]:
        """Return the newest runs of retention, scheduled or not, newest first: see `Runtime.retention_runs`."""
        return await self._bridge.run(self.sync.retention_runs, limit)

    async def usage(self, *, on_progress: Callable[[str, int], None] | None = None) -> Usage:
        """Return which sessions, types and names take the most space: see `Runtime.usage`."""
        return await self._bridge.run(self.sync.usage, on_progress=on_progress)

    async def compact(self) -> None:
        """Return the space of deleted data to the disk: see `Runtime.compact`."""
        await self._bridge.run(self.sync.compact)

    async def stats(self, details: bool = False) -> dict[str, Any]:
        """Return figures of the store and this runtime, as JSON values: see `Runtime.stats`."""
        return await self._bridge.run(self.sync.stats, details)

    def _session(self, made: Session) -> A:
        """Return the asynchronous handle of a session."""
        raise NotImplementedError
