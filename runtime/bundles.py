"""Importing bundles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from greenroom.actors.transfer.bundle_import import import_bundle
from greenroom.runtime.config.config import SessionConfig
from greenroom.storage.bundle.export import Progress
from greenroom.storage.common.validation import validated
from greenroom.storage.errors import InvalidOperation

if TYPE_CHECKING:
    from .runtime import Runtime

__all__ = ["import_sessions"]


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
