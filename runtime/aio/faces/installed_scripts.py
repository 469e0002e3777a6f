"""`InstalledScripts`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.runtime.aio.face import Face, beneath
from greenroom.runtime.installed.installed import InstalledScripts

if TYPE_CHECKING:
    import builtins
    import os
    from collections.abc import Sequence

    from greenroom.runtime.installed.definition import InstalledScript, ScriptStatus
    from greenroom.storage.artifacts.model import ArtifactId
    from greenroom.storage.common.session_ids import SessionHandle
__all__ = ["InstalledScriptsFace"]


class InstalledScriptsFace(Face[InstalledScripts]):
    """The methods of `InstalledScripts` that can be awaited as they are."""

    async def install(
        self,
        name: str,
        source: str | os.PathLike[str] | ArtifactId | None = None,
        *,
        artifact: ArtifactId | str | None = None,
        version: int | str | None = None,
        session: SessionHandle | str | None = None,
        language: str | None = None,
        profile: str = "sandboxed",
        args: Sequence[object] = (),
        directories: Sequence[str | os.PathLike[str]] = (),
        call_timeout: float | None = None,
    ) -> ScriptStatus:
        """Run a script, and keep it: see `InstalledScripts.install`."""
        return await self._bridge.run(
            self.sync.install,
            name,
            source,
            artifact=artifact,
            version=version,
            session=beneath(session),
            language=language,
            profile=profile,
            args=args,
            directories=directories,
            call_timeout=call_timeout,
        )

    async def uninstall(self, name: str) -> bool:
        """End an installed script and forget it: see `InstalledScripts.uninstall`."""
        return await self._bridge.run(self.sync.uninstall, name)

    async def list(self) -> builtins.list[ScriptStatus]:
        """Return how all installed scripts are doing, by name: see `InstalledScripts.list`."""
        return await self._bridge.run(self.sync.list)

    async def get(self, name: str) -> InstalledScript:
        """Return the definition of an installed script, with its source: see `InstalledScripts.get`."""
        return await self._bridge.run(self.sync.get, name)

    async def status(self, name: str) -> ScriptStatus:
        """Return how an installed script is doing: see `InstalledScripts.status`."""
        return await self._bridge.run(self.sync.status, name)
