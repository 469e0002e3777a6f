"""Backups: copy the whole store as of one moment, and restore a store from a copy."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from greenroom.actors.maintenance.verification.findings import Verifiable, VerifyReport
from greenroom.actors.store import ArtifactStore
from greenroom.storage.bundle.export import Progress
from greenroom.storage.engine.backup import create_backup, restore_backup

__all__ = ["BackupReport", "backup_store", "restore_store"]


@dataclass(frozen=True, slots=True)
class BackupReport:
    """The result of a backup or a restore. `verified` is the result of checking a whole restored store."""

    path: Path
    files: int
    bytes: int
    verified: VerifyReport | None = None


def backup_store(store: ArtifactStore, path: Path) -> BackupReport:
    """Write a backup of the store to `path`; see `Runtime.backup`."""
    return BackupReport(path, *create_backup(store.engine, path))


def restore_store(
    open_store: Callable[[Path], AbstractContextManager[Verifiable]],
    backup: Path,
    path: Path,
    *,
    verify: bool,
    on_progress: Progress | None,
) -> BackupReport:
    """Make a store at `path` from a backup; see `Runtime.restore`."""
    found: list[VerifyReport] = []

    def check(part: Path) -> None:
        if verify:
            with open_store(part) as runtime:
                found.append(runtime.verify())

    files, size = restore_backup(backup, path, check, on_progress)
    return BackupReport(path, files, size, found[0] if found else None)
