"""Moving sessions between stores, and whole stores to safety: bundles, backup and restore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenroom.actors.maintenance.findings import VerifyReport
from greenroom.actors.scheduling.operation import require_run
from greenroom.actors.store import ArtifactStore, Repair
from greenroom.actors.transfer.bundle_import import import_bundle
from greenroom.runtime.config.config import SessionConfig
from greenroom.storage.bundle.export import Progress, write_bundle
from greenroom.storage.codec.keys import session_bytes
from greenroom.storage.common.validation import validated
from greenroom.storage.engine.backup import create_backup, restore_backup
from greenroom.storage.engine.options import Op
from greenroom.storage.engine.read_view import ReadView
from greenroom.storage.errors import InvalidOperation
from greenroom.storage.files.regular_file import written_file

if TYPE_CHECKING:
    from .runtime import Runtime

__all__ = ["BackupReport", "ExportReport", "backup_store", "export_bundle", "import_sessions", "restore_store"]


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export has written. `bytes` is the size of the bundle, `content_bytes` that of the contents in it,
    `checksum` the BLAKE3 that stands at its end, in hex."""

    path: Path
    sessions: int
    events: int
    artifacts: int
    contents: int
    content_bytes: int
    bytes: int
    checksum: str

    def to_dict(self) -> dict[str, Any]:
        """Every field by name as JSON values."""
        return {each.name: getattr(self, each.name) for each in fields(self)} | {"path": str(self.path)}


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup or a restore has written. `verified` is what checking all of a restored store has found."""

    path: Path
    files: int
    bytes: int
    verified: VerifyReport | None = None


def moment_of(store: ArtifactStore) -> ReadView:
    """The store as it is now, for reading at leisure."""
    if store.engine.read_only:
        return ReadView(store.engine)  # nothing changes until the follower is refreshed
    made: list[ReadView] = []

    def look() -> list[Op]:
        made.append(ReadView(store.engine))
        return []

    store.ask(Repair(look), ArtifactStore.WRITE_TIMEOUT)  # in the writer's turn nothing is written
    return made[0]


def export_bundle(
    store: ArtifactStore,
    session_id: str,
    path: Path,
    *,
    tree: bool,
    history: bool,
    on_progress: Progress | None,
) -> ExportReport:
    """Write a bundle to a file, which appears whole or not at all. Raises StorageError."""
    from importlib.metadata import version

    with written_file(path, f"cannot write the bundle {path}", require_run) as file, moment_of(store) as moment:
        done = write_bundle(
            moment,
            session_bytes(session_id),
            file,
            tree=tree,
            history=history,
            written_by=f"greenroom {version('greenroom')}",
            on_progress=on_progress,
        )
    return ExportReport(path, **{each.name: getattr(done, each.name) for each in fields(done)})


def import_sessions(runtime: Runtime, path: Path, *, keep_ids: bool, on_progress: Progress | None) -> list[str]:
    """The ids of the sessions that a bundle has brought, parents first."""
    if runtime.read_only:
        raise InvalidOperation("this runtime is open for reading only: open it without read_only to import")
    supervisor = runtime._supervisor
    return import_bundle(
        supervisor.services,
        path,
        supervisor.table.reserve,
        lambda config: validated(SessionConfig, config),
        keep_ids=keep_ids,
        on_progress=on_progress,
    )


def backup_store(runtime: Runtime, path: Path) -> BackupReport:
    return BackupReport(path, *create_backup(runtime._store.engine, path))


def restore_store(
    open_store: Callable[[Path], Runtime], backup: Path, path: Path, *, verify: bool, on_progress: Progress | None
) -> BackupReport:
    found: list[VerifyReport] = []

    def check(part: Path) -> None:
        if verify:
            with open_store(part) as runtime:
                found.append(runtime.verify())

    files, size = restore_backup(backup, path, check, on_progress)
    return BackupReport(path, files, size, found[0] if found else None)
