"""`Quotas`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.runtime.aio.face import Face
from greenroom.runtime.retention.quotas import Quotas

if TYPE_CHECKING:
    from greenroom.runtime.retention.quotas import CreatorQuota
__all__ = ["QuotasFace"]


class QuotasFace(Face[Quotas]):
    """The methods of `Quotas` that can be awaited as they are."""

    async def set(
        self, created_by: str, *, max_sessions: int | None = None, max_storage_bytes: int | None = None
    ) -> CreatorQuota:
        """Set the quota of a creator, in place of an earlier one and of the default: see `Quotas.set`."""
        return await self._bridge.run(
            self.sync.set, created_by, max_sessions=max_sessions, max_storage_bytes=max_storage_bytes
        )

    async def get(self, created_by: str) -> CreatorQuota:
        """Return the limits that hold for a creator, and what its sessions have: see `Quotas.get`."""
        return await self._bridge.run(self.sync.get, created_by)

    async def list(self) -> list[CreatorQuota]:
        """Return the creators that have a quota of their own, by name: see `Quotas.list`."""
        return await self._bridge.run(self.sync.list)

    async def delete(self, created_by: str) -> bool:
        """Delete the quota of a creator; from then on the default holds: see `Quotas.delete`."""
        return await self._bridge.run(self.sync.delete, created_by)
