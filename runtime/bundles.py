"""Importing bundles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from greenroom.actors.transfer.bundle_import import import_bundle
from greenroom.runtime.config.config import SessionConfig
from greenroom.storage.bundle.export import Progress
from greenroom.storage.common.validation import validated

if TYPE_CHECKING:
    from .core import RuntimeCore

__all__ = ["import_sessions"]


def import_sessions(core: RuntimeCore, path: Path, *, keep_ids: bool, on_progress: Progress | None) -> list[str]:
    """Import the sessions of a bundle and return their ids, parents first."""
    core.check_writable("to import")
    supervisor = core.supervisor
    return import_bundle(
        supervisor.services,
        path,
        supervisor.table.reserve,
        lambda config: validated(SessionConfig, config),
        keep_ids=keep_ids,
        on_progress=on_progress,
    )
