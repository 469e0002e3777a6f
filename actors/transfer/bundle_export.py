"""Export sessions: write a bundle from one moment of the store, while the sessions go on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from greenroom.actors.scheduling.operation import require_run
from greenroom.actors.store import ArtifactStore, Repair
from greenroom.storage.bundle.export import Exported, Progress, write_bundle
from greenroom.storage.codec.keys import session_bytes
from greenroom.storage.engine.engine import Op
from greenroom.storage.engine.read_view import ReadView
from greenroom.storage.files.regular_file import written_file

__all__ = ["ExportReport", "export_bundle"]


@dataclass(frozen=True, slots=True)
class ExportReport(Exported):
    """The result of an export, with its path."""

    path: Path

    def to_dict(self) -> dict[str, Any]:
        """Return every field by name as JSON values."""
        return {each.name: getattr(self, each.name) for each in fields(self)} | {"path": str(self.path)}


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

    with written_file(path, f"cannot write the bundle {path}", require_run) as file, _read_view(store) as view:
        done = write_bundle(
            view,
            session_bytes(session_id),
            file,
            tree=tree,
            history=history,
            written_by=f"greenroom {version('greenroom')}",
            on_progress=on_progress,
        )
    return ExportReport(**{each.name: getattr(done, each.name) for each in fields(done)}, path=path)


def _read_view(store: ArtifactStore) -> ReadView:
    """Return a view of the store as it is now."""
    if store.engine.read_only:
        return ReadView(store.engine)  # nothing changes until the follower is refreshed
    made: list[ReadView] = []

    def look() -> list[Op]:
        made.append(ReadView(store.engine))
        return []

    store.ask(Repair(look), ArtifactStore.WRITE_TIMEOUT)  # in the writer's turn nothing is written
    return made[0]
