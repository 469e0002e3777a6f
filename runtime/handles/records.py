"""The records of a session: values under keys of bytes, in the order of the keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Unpack, overload

from greenroom.actors import messages as m
from greenroom.actors.messages.core import How
from greenroom.storage.codec.records import Json
from greenroom.storage.common.arguments import as_number

from .replies import reply_as

if TYPE_CHECKING:
    from .variables import TypeOf

__all__ = ["Records"]

T = TypeVar("T")
D = TypeVar("D")


class Sender(Protocol):
    """Sends messages to one session."""

    def _send(self, message: m.Message[Any], missing: Any = None) -> Any:
        """Send a message and return the reply."""


class Records:
    """The records of a session: bytes or JSON values under keys of 1 to 1024 bytes, outside the session's state.

    A key given as text is encoded as UTF-8; keys that are returned are bytes. Writes raise InvalidSessionState,
    ValidationError and ResourceLimitExceeded; reads raise IntegrityError for a value that is damaged on disk.

    Example:
        ```py
        s.records.put(b"step/1", b"...")
        s.records.put("task/7", {"state": "open"})
        s.records.scan(prefix=b"step/", reverse=True, limit=20)  # rows (key, value)
        ```
    """

    __slots__ = ("_session",)

    def __init__(self, session: Sender) -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"<Records of {self._session!r}>"

    # -- writing

    def put(self, key: bytes | str, value: object, **how: Unpack[How]) -> None:
        """Put a value under a key, in place of what is there. A value that is there already changes nothing."""
        self._session._send(m.PutRecords({m.record_key_of(key): value}, **how))

    def put_if_absent(self, key: bytes | str, value: object, **how: Unpack[How]) -> bool:
        """Put a value under a key if there is none, and return whether that was so."""
        message = m.PutRecords({m.record_key_of(key): value}, if_absent=True, **how)
        return reply_as(bool, self._session._send(message), "whether it was put")

    def put_many(self, values: Mapping[Any, object], **how: Unpack[How]) -> None:
        """Put up to 10 000 values in one write: all of them or none."""
        self._session._send(m.PutRecords(values, **how))

    def delete(self, key: bytes | str, **how: Unpack[How]) -> bool:
        """Delete a record and return whether it existed."""
        return self.delete_many([key], **how) > 0

    def delete_many(self, keys: Iterable[bytes | str], **how: Unpack[How]) -> int:
        """Delete up to 10 000 records in one write, and return how many there were."""
        message = m.DeleteRecords(keys, **how)
        return reply_as(int, self._session._send(message), "the number of records")

    def delete_prefix(self, prefix: bytes | str, **how: Unpack[How]) -> int:
        """Delete all records whose key begins with `prefix`, 10 000 in one write, and return how many there were."""
        total, writes, message = 0, 1, m.DeleteRecords(prefix=prefix, **how)
        while True:
            deleted = reply_as(int, self._session._send(message), "the number of records")
            total += deleted
            if deleted < m.MAX_BATCH:
                return total
            writes += 1
            key = how.get("idempotency_key")
            message = m.DeleteRecords(
                prefix=prefix,
                durability=how.get("durability"),
                idempotency_key=f"{writes} {key}"[: m.MAX_IDEMPOTENCY_KEY] if key is not None else None,
            )

    # -- reading

    @overload
    def get(self, key: bytes | str) -> Json: ...
    @overload
    def get(self, key: bytes | str, default: D) -> Json | D: ...
    @overload
    def get(self, key: bytes | str, default: None = None, *, as_: TypeOf[T]) -> T | None: ...
    @overload
    def get(self, key: bytes | str, default: T, *, as_: TypeOf[T]) -> T: ...
    @overload
    def get(self, key: bytes | str, default: D, *, as_: TypeOf[T]) -> T | D: ...
    def get(self, key: bytes | str, default: Any = None, as_: Any = None) -> Any:
        """Return the value under a key, or `default`; with `as_`, as that type (see `Session.get`)."""
        if as_ is None:
            return self._session._send(m.GetRecord(key, default))
        value = self._session._send(m.GetRecord(key, m.ABSENT))
        if value is m.ABSENT:
            return default
        from greenroom.runtime.model.typed import as_type

        return as_type(value, as_, "record")

    def get_many(self, keys: Iterable[bytes | str]) -> dict[bytes, Json]:
        """Return the values of up to 10 000 records by their keys, in one look. One that is not there is left out."""
        return reply_as(dict, self._session._send(m.GetRecords(keys)), "the values of records")

    def scan(
        self,
        prefix: bytes | str = b"",
        *,
        reverse: bool = False,
        after: bytes | str | None = None,
        limit: int | None = None,
    ) -> list[tuple[bytes, Json]]:
        """Return (key, value) of the records whose key begins with `prefix`, in the order of the keys.

        With `reverse` the greatest keys come first. With `after`, begin behind that key, whether it exists or not: the
        last key of one page begins the next. Without `limit`, return all; `iterate` holds only a page at a time.
        """
        return list(self._rows(prefix, reverse, after, limit, values=True, at_once=True))

    def iterate(
        self,
        prefix: bytes | str = b"",
        *,
        reverse: bool = False,
        after: bytes | str | None = None,
        limit: int | None = None,
    ) -> Iterator[tuple[bytes, Json]]:
        """Return an iterator over what `scan` returns. It reads page by page, and sees what is written meanwhile."""
        return self._rows(prefix, reverse, after, limit, values=True)

    def keys(
        self,
        prefix: bytes | str = b"",
        *,
        reverse: bool = False,
        after: bytes | str | None = None,
        limit: int | None = None,
    ) -> list[bytes]:
        """Return the keys of the records, as `scan` returns the records. Decodes no value."""
        return list(self._rows(prefix, reverse, after, limit, values=False, at_once=True))

    def count(self, prefix: bytes | str = b"") -> int:
        """Return how many records have a key that begins with `prefix`. Without one, this costs nothing."""
        return reply_as(int, self._session._send(m.CountRecords(prefix)), "the number of records")

    def _rows(
        self,
        prefix: bytes | str,
        reverse: bool,
        after: bytes | str | None,
        limit: int | None,
        *,
        values: bool,
        at_once: bool = False,
    ) -> Iterator[Any]:
        left = as_number("limit", limit) if limit is not None else None
        first = min(left, m.MAX_RECORD_PAGE) if left is not None else m.MAX_RECORD_PAGE
        # The message is made at once, so that wrong arguments are refused before anything is iterated over.
        message = m.ScanRecords(prefix, reverse=reverse, after=after, limit=first, values=values)
        return islice(self._pages(message, left, values=values, at_once=at_once), left)

    def _pages(self, message: m.ScanRecords, left: int | None, *, values: bool, at_once: bool) -> Iterator[Any]:
        while left is None or left > 0:
            page = reply_as(list, self._session._send(message), "a page of records")
            yield from page
            # Who reads at once need not look for what was written while the last page was consumed.
            if not page or (at_once and len(page) < message.limit and (not values or _is_short(page))):
                return
            if left is not None:
                left -= len(page)
            message = message.copy()
            message.after = page[-1][0] if values else page[-1]
            message.limit = min(left, m.MAX_RECORD_PAGE) if left is not None else m.MAX_RECORD_PAGE


def _is_short(page: list[tuple[bytes, Json]]) -> bool:
    """Return whether a page has so few bytes that it has not ended because of them. Only bytes are counted."""
    size = 0
    for _, value in page:
        if value.__class__ is not bytes:
            return False
        size += len(value)
    return size < m.RECORD_PAGE_BYTES
