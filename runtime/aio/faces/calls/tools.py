"""`Tools`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenroom.runtime.aio.face import Face, beneath
from greenroom.runtime.tools.registry import Tools

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from greenroom.runtime.tools.registry import Found, Names
    from greenroom.runtime.tools.tool import Tool, ToolResult
    from greenroom.storage.common.session_ids import SessionHandle
__all__ = ["ToolsFace"]


class ToolsFace(Face[Tools]):
    """The methods of `Tools` that can be awaited as they are."""

    async def register(
        self,
        name: str,
        fn: Callable[..., Any],
        schema: Mapping[str, Any] | None = None,
        description: str | None = None,
        category: str | None = None,
        timeout: float | None = None,
        tags: Iterable[str] = (),
        *,
        replace: bool = False,
        side_effects: bool = True,
        quick: bool = False,
        version: str = "1.0.0",
    ) -> Tool:
        """Register a callable, synchronous or `async def`, as a tool: see `Tools.register`."""
        return await self._bridge.brief(
            self.sync.register,
            name,
            fn,
            schema,
            description,
            category,
            timeout,
            tags,
            replace=replace,
            side_effects=side_effects,
            quick=quick,
            version=version,
        )

    async def unregister(self, name: str) -> bool:
        """Remove a tool, also a standard one, and return whether it existed: see `Tools.unregister`."""
        return await self._bridge.brief(self.sync.unregister, name)

    async def register_file_operations(
        self, directories: Iterable[str | os.PathLike[str]], *, replace: bool = False
    ) -> Tool:
        """Register the tool `file_operations`: see `Tools.register_file_operations`."""
        return await self._bridge.brief(self.sync.register_file_operations, directories, replace=replace)

    async def exists(self, name: str) -> bool:
        """Return whether there is a tool with this name: see `Tools.exists`."""
        return await self._bridge.brief(self.sync.exists, name)

    async def get(self, name: str) -> Tool | None:
        """Return the tool with this name, or None: see `Tools.get`."""
        return await self._bridge.brief(self.sync.get, name)

    async def list(self) -> Found:
        """Return all tools, by name: see `Tools.list`."""
        return await self._bridge.brief(self.sync.list)

    async def categories(self) -> Names:
        """Return the categories of the registered tools: see `Tools.categories`."""
        return await self._bridge.brief(self.sync.categories)

    async def discover(
        self,
        text: str | None = None,
        *,
        category: str | None = None,
        tags: Iterable[str] = (),
        name_pattern: str | None = None,
    ) -> Found:
        """Return the tools that match the filter, by name: see `Tools.discover`."""
        return await self._bridge.run(self.sync.discover, text, category=category, tags=tags, name_pattern=name_pattern)

    async def call(
        self,
        name: str,
        input: object = None,
        *,
        session: SessionHandle | str | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Call a tool and return its result, a JSON value or bytes: see `Tools.call`."""
        return await self._bridge.run_abandoning(self.sync.call, name, input, session=beneath(session), timeout=timeout)

    async def invoke(
        self,
        name: str,
        input: object = None,
        *,
        session: SessionHandle | str | None = None,
        timeout: float | None = None,
    ) -> ToolResult:
        """Call a tool like `call`, but report errors in the ToolResult instead of raising them, as agents need
        it: see `Tools.invoke`."""
        return await self._bridge.run_abandoning(
            self.sync.invoke, name, input, session=beneath(session), timeout=timeout
        )
