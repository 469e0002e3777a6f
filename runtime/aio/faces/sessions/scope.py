"""`Scope`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from greenroom.runtime.aio.face import Face
from greenroom.runtime.handles.scope import Scope

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Mapping

    from greenroom.actors.messages.core import How
    from greenroom.runtime.handles.variables import TypeOf
    from greenroom.storage.codec.records import Json
__all__ = ["ScopeFace"]
T = TypeVar("T")
D = TypeVar("D")


class ScopeFace(Face[Scope]):
    """The methods of `Scope` that can be awaited as they are."""

    async def __getitem__(self, key: str) -> Json:
        """Return a copy of the value of a variable: see `Scope.__getitem__`."""
        return await self._bridge.once(self._here, Scope.__getitem__, key)

    async def update(self, values: Mapping[str, object] | None = None, /, **more: object) -> None:
        """Set several variables in one write, all or none: see `Scope.update`."""
        await self._bridge.once(self._here, Scope.update, values, **more)

    async def compare_and_set(self, key: str, expected: object, value: object, **how: Unpack[How]) -> bool:
        """Set a variable if its value is `expected` now, and return whether it was: see
        `Scope.compare_and_set`."""
        return await self._bridge.once(self._here, Scope.compare_and_set, key, expected, value, **how)

    async def set(self, key: str, value: object, **how: Unpack[How]) -> None:
        """Set a variable to a value of at most 1 MiB: see `Scope.set`."""
        await self._bridge.once(self._here, Scope.set, key, value, **how)

    @overload
    async def get(self, key: str) -> Json: ...

    @overload
    async def get(self, key: str, default: D) -> Json | D: ...

    @overload
    async def get(self, key: str, default: None = None, *, as_: TypeOf[T]) -> T | None: ...

    @overload
    async def get(self, key: str, default: T, *, as_: TypeOf[T]) -> T: ...

    @overload
    async def get(self, key: str, default: D, *, as_: TypeOf[T]) -> T | D: ...

    async def get(self, key: str, default: Any = None, as_: Any = None) -> Any:
        """Return a copy of the value of a variable, or `default`; with `as_`, as that type (see
        `Session.get`): see `Scope.get`."""
        method: Callable[..., Any] = Scope.get
        return await self._bridge.once(self._here, method, key, default, as_)

    async def delete(self, key: str, **how: Unpack[How]) -> bool:
        """Delete a variable and return whether it existed: see `Scope.delete`."""
        return await self._bridge.once(self._here, Scope.delete, key, **how)

    async def list(self, prefix: str = "") -> dict[str, Json]:
        """Return the variables whose key begins with `prefix`, by key: see `Scope.list`."""
        return await self._bridge.once(self._here, Scope.list, prefix)

    async def keys(self) -> builtins.list[str]:
        """Return the keys of all variables, in order: see `Scope.keys`."""
        return await self._bridge.once(self._here, Scope.keys)

    async def clear(self) -> int:
        """Delete all variables and return their number: see `Scope.clear`."""
        return await self._bridge.run(self.sync.clear)
