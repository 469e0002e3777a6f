"""`Templates`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.runtime.aio.face import Face
from greenroom.runtime.handles.templates import Templates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from greenroom.runtime.handles.templates import Template
__all__ = ["TemplatesFace"]


class TemplatesFace(Face[Templates]):
    """The methods of `Templates` that can be awaited as they are."""

    async def save(self, name: str, preset: Mapping[str, object]) -> Template:
        """Store a preset under a name, replacing an earlier one: see `Templates.save`."""
        return await self._bridge.run(self.sync.save, name, preset)

    async def get(self, name: str) -> Template:
        """Return the template with this name: see `Templates.get`."""
        return await self._bridge.run(self.sync.get, name)

    async def list(self) -> list[Template]:
        """Return all templates, by name: see `Templates.list`."""
        return await self._bridge.run(self.sync.list)

    async def delete(self, name: str) -> bool:
        """Delete a template and return whether it existed: see `Templates.delete`."""
        return await self._bridge.run(self.sync.delete, name)
