"""`StateBackups`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.runtime.aio.face import Face, beneath
from greenroom.runtime.state.backups import StateBackups

if TYPE_CHECKING:
    import builtins
    from collections.abc import Sequence

    from greenroom.runtime.handles.streams import StreamProgress
    from greenroom.runtime.state.backups import (
        BackupsRemoved,
        BackupUsage,
        BackupValidation,
        StateBackup,
        StateRestored,
    )
    from greenroom.storage.common.session_ids import SessionHandle
__all__ = ["StateBackupsFace"]


class StateBackupsFace(Face[StateBackups]):
    """The methods of `StateBackups` that can be awaited as they are."""

    async def create(
        self,
        scopes: Sequence[SessionHandle | str] | SessionHandle | str | None = None,
        *,
        sessions: Sequence[SessionHandle | str] = (),
        description: str | None = None,
        incremental: bool = False,
        on_progress: StreamProgress | None = None,
    ) -> StateBackup:
        """Make a backup of these scopes and sessions: see `StateBackups.create`."""
        return await self._bridge.run(
            self.sync.create,
            beneath(scopes),
            sessions=beneath(sessions),
            description=description,
            incremental=incremental,
            on_progress=on_progress,
        )

    async def list(self) -> builtins.list[StateBackup]:
        """Return all backups, newest first: see `StateBackups.list`."""
        return await self._bridge.run(self.sync.list)

    async def get(self, backup: str) -> StateBackup:
        """Return the backup with this id: see `StateBackups.get`."""
        return await self._bridge.run(self.sync.get, backup)

    async def validate(self, backup: str) -> BackupValidation:
        """Read a backup and check it: see `StateBackups.validate`."""
        return await self._bridge.run(self.sync.validate, backup)

    async def restore(
        self, backup: str, scopes: Sequence[SessionHandle | str] | SessionHandle | str | None = None
    ) -> StateRestored:
        """Make scopes what they were in a backup: see `StateBackups.restore`."""
        return await self._bridge.run(self.sync.restore, backup, beneath(scopes))

    async def cleanup(
        self, keep: int | None = None, max_age_days: float | None = None, *, dry_run: bool = False
    ) -> BackupsRemoved:
        """Remove backups: see `StateBackups.cleanup`."""
        return await self._bridge.run(self.sync.cleanup, keep, max_age_days, dry_run=dry_run)

    async def usage(self) -> BackupUsage:
        """Return how many backups there are, and their bytes: see `StateBackups.usage`."""
        return await self._bridge.run(self.sync.usage)
