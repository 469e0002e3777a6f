"""`Schemas`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenroom.runtime.aio.face import Face, beneath
from greenroom.runtime.state.schemas import Schemas

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from greenroom.runtime.handles.streams import StreamProgress
    from greenroom.runtime.state.migration import Migration, MigrationRun, MigrationStatus, ValueVersion
    from greenroom.runtime.state.schema import Schema
    from greenroom.storage.common.session_ids import SessionHandle
__all__ = ["SchemasFace"]


class SchemasFace(Face[Schemas]):
    """The methods of `Schemas` that can be awaited as they are."""

    async def register(
        self,
        name: str,
        version: int,
        schema: object = None,
        *,
        keys: str | None = None,
        scope: str = "*",
        migrate: Mapping[int, Callable[[Any], Any]] | None = None,
    ) -> Schema:
        """Register a schema, in place of one with the same name: see `Schemas.register`."""
        return await self._bridge.run(
            self.sync.register, name, version, schema, keys=keys, scope=scope, migrate=migrate
        )

    async def unregister(self, name: str) -> bool:
        """Forget a schema, and return whether there was one: see `Schemas.unregister`."""
        return await self._bridge.run(self.sync.unregister, name)

    async def get(self, name: str) -> Schema:
        """Return the schema with this name: see `Schemas.get`."""
        return await self._bridge.run(self.sync.get, name)

    async def list(self) -> list[Schema]:
        """Return all schemas, in the order in which they were registered: see `Schemas.list`."""
        return await self._bridge.run(self.sync.list)

    async def versions(self, scope: SessionHandle | str, key: str | None = None) -> dict[str, ValueVersion]:
        """Return the versions of the values in a scope, or of one, by key: see `Schemas.versions`."""
        return await self._bridge.run(self.sync.versions, beneath(scope), key)

    async def status(
        self, scope: SessionHandle | str | None = None, *, on_progress: StreamProgress | None = None
    ) -> MigrationStatus:
        """Return how many values there are of each version of each schema: see `Schemas.status`."""
        return await self._bridge.run(self.sync.status, beneath(scope), on_progress=on_progress)

    async def migrate(self, scope: SessionHandle | str, key: str | None = None, *, dry_run: bool = False) -> Migration:
        """Migrate the values of a scope that are of an older version, or one of them, in one write: see
        `Schemas.migrate`."""
        return await self._bridge.run(self.sync.migrate, beneath(scope), key, dry_run=dry_run)

    async def migrate_all(
        self, *, dry_run: bool = False, on_progress: Callable[[int, int], object] | None = None
    ) -> MigrationRun:
        """Migrate all scopes and all active sessions, each as `migrate` does: see `Schemas.migrate_all`."""
        return await self._bridge.run(self.sync.migrate_all, dry_run=dry_run, on_progress=on_progress)
