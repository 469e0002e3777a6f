"""`Records`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from greenroom.runtime.aio.face import Face, again, each
from greenroom.runtime.handles.records import Records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from greenroom.actors.messages.core import How
    from greenroom.runtime.handles.variables import TypeOf
    from greenroom.storage.codec.records import Json
__all__ = ["RecordsFace"]
T = TypeVar("T")
D = TypeVar("D")


class RecordsFace(Face[Records]):
    """The methods of `Records` that can be awaited as they are."""

    async def put(self, key: bytes | str, value: object, **how: Unpack[How]) -> None:
        """Put a value under a key, in place of what is there: see `Records.put`."""
        await self._bridge.once(self._here, Records.put, key, value, **how)

    async def put_if_absent(self, key: bytes | str, value: object, **how: Unpack[How]) -> bool:
        """Put a value under a key if there is none, and return whether that was so: see
        `Records.put_if_absent`."""
        return await self._bridge.once(self._here, Records.put_if_absent, key, value, **how)

    async def put_many(self, values: Mapping[Any, object], **how: Unpack[How]) -> None:
        """Put up to 10 000 values in one write: see `Records.put_many`."""
        await self._bridge.once(self._here, Records.put_many, values, **how)

    async def delete(self, key: bytes | str, **how: Unpack[How]) -> bool:
        """Delete a record and return whether it existed: see `Records.delete`."""
        return await self._bridge.once(self._here, Records.delete, key, **how)

    async def delete_many(self, keys: Iterable[bytes | str], **how: Unpack[How]) -> int:
        """Delete up to 10 000 records in one write, and return how many there were: see `Records.delete_many`."""
        return await self._bridge.once(self._here, Records.delete_many, again(keys), **how)

    async def delete_prefix(self, prefix: bytes | str, **how: Unpack[How]) -> int:
        """Delete all records whose key begins with `prefix`, 10 000 in one write, and return how many there
        were: see `Records.delete_prefix`."""
        return await self._bridge.run(self.sync.delete_prefix, prefix, **how)

    @overload
    async def get(self, key: bytes | str) -> Json: ...

    @overload
    async def get(self, key: bytes | str, default: D) -> Json | D: ...

    @overload
    async def get(self, key: bytes | str, default: None = None, *, as_: TypeOf[T]) -> T | None: ...

    @overload
    async def get(self, key: bytes | str, default: T, *, as_: TypeOf[T]) -> T: ...

    @overload
    async def get(self, key: bytes | str, default: D, *, as_: TypeOf[T]) -> T | D: ...

    async def get(self, key: bytes | str, default: Any = None, as_: Any = None) -> Any:
        """Return the value under a key, or `default`; with `as_`, as that type (see `Session.get`): see
        `Records.get`."""
        method: Callable[..., Any] = Records.get
        return await self._bridge.once(self._here, method, key, default, as_)

    async def get_many(self, keys: Iterable[bytes | str]) -> dict[bytes, Json]:
        """Return the values of up to 10 000 records by their keys, in one look: see `Records.get_many`."""
        return await self._bridge.once(self._here, Records.get_many, again(keys))

    async def scan(
        self,
        prefix: bytes | str = b"",
        *,
        reverse: bool = False,
        after: bytes | str | None = None,
        limit: int | None = None,
    ) -> list[tuple[bytes, Json]]:
        """Return (key, value) of the records whose key begins with `prefix`, in the order of the keys: see
        `Records.scan`."""
        return await self._bridge.run(self.sync.scan, prefix, reverse=reverse, after=after, limit=limit)

    def iterate(
        self,
        prefix: bytes | str = b"",
        *,
        reverse: bool = False,
        after: bytes | str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[tuple[bytes, Json]]:
        """Return an iterator over what `scan` returns: see `Records.iterate`."""
        return each(self._bridge, lambda: self.sync.iterate(prefix, reverse=reverse, after=after, limit=limit))

    async def keys(
        self,
        prefix: bytes | str = b"",
        *,
        reverse: bool = False,
        after: bytes | str | None = None,
        limit: int | None = None,
    ) -> list[bytes]:
        """Return the keys of the records, as `scan` returns the records: see `Records.keys`."""
        return await self._bridge.run(self.sync.keys, prefix, reverse=reverse, after=after, limit=limit)

    async def count(self, prefix: bytes | str = b"") -> int:
        """Return how many records have a key that begins with `prefix`: see `Records.count`."""
        return await self._bridge.once(self._here, Records.count, prefix)
