"""Messages about the records of a session: values under keys of bytes, outside the session's state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Unpack, cast

from greenroom.actors.messages.checks import MAX_BATCH
from greenroom.actors.messages.core import Command, How, Query
from greenroom.actors.messages.permissions import WRITE
from greenroom.storage.codec.records import Value, pack_value, unpack_value
from greenroom.storage.common.arguments import as_flag, as_items, as_number, kind_of
from greenroom.storage.concurrency.interrupts import by_signal
from greenroom.storage.content.chunks import Encoded
from greenroom.storage.errors import ValidationError
from greenroom.storage.records.model import IN_CONTENT, INLINE_BYTES, IS_VALUE, MAX_RECORD_KEY, record_hash

__all__ = [
    "MAX_RECORD_PAGE",
    "RECORD_PAGE_BYTES",
    "CountRecords",
    "DeleteRecords",
    "GetRecord",
    "GetRecords",
    "PutRecords",
    "RecordPut",
    "ScanRecords",
    "record_key_of",
]

MAX_RECORD_PAGE: Final = 256
"""The most records in one reply to `ScanRecords`."""
RECORD_PAGE_BYTES: Final = 1 << 20
"""A page of a scan ends with the value that brings it to this size."""


def record_key_of(key: object, field: str = "key", *, empty: bool = False) -> bytes:
    """Return a record's key, or the beginning of one, as bytes. Text is encoded as UTF-8. Raises ValidationError."""
    if type(key) is bytes:
        plain = key
    elif issubclass(type(key), str):
        plain = str.__str__(cast(str, key)).encode("utf-8", "surrogatepass")
    else:
        found = _bytes_of(key)
        if found is None:
            raise ValidationError(f"{field}: bytes or text are needed, not {kind_of(key)}", field=field)
        plain = found
    if not (empty or plain) or len(plain) > MAX_RECORD_KEY:
        least = 0 if empty else 1
        raise ValidationError(f"{field}: {least} to {MAX_RECORD_KEY} bytes, this has {len(plain)}", field=field)
    return plain


def _bytes_of(value: object) -> bytes | None:
    """Return what bytes, a bytearray or a memoryview hold, as plain bytes; None for anything else."""
    kind = type(value)
    if kind is bytes:
        return cast(bytes, value)
    if issubclass(kind, bytes):
        return bytes.__getitem__(cast(bytes, value), slice(None))
    if issubclass(kind, bytearray):
        return bytes(memoryview(cast(bytearray, value)))
    return cast(memoryview, value).tobytes() if kind is memoryview else None


def _pairs(values: object) -> list[tuple[Any, Any]]:
    """Return the keys and values of a mapping. Raises ValidationError."""
    kind = type(values)
    if issubclass(kind, dict):
        return list(dict.items(cast(dict[Any, Any], values)))
    if not issubclass(kind, Mapping):
        raise ValidationError(f"values: a mapping of keys to values is needed, not {kind_of(values)}", field="values")
    try:
        mapping = cast(Mapping[Any, Any], values)
        return [(key, mapping[key]) for key in mapping]
    except Exception as error:
        if by_signal(error):
            raise
        raise ValidationError(f"values: it cannot be read: {kind_of(error)}", field="values") from error


class RecordPut:
    """One record of a `PutRecords`: its key, and its value as it is stored."""

    __slots__ = ("data", "encoded", "flags", "hash", "key")

    def __init__(self, key: object, value: object) -> None:
        self.key = record_key_of(key)
        data = value if type(value) is bytes else _bytes_of(value)
        self.flags = IS_VALUE if data is None else 0
        self.data = data = pack_value(value) if data is None else data
        if len(data) > INLINE_BYTES:
            self.flags |= IN_CONTENT
        self.hash = record_hash(data)
        self.encoded: Encoded | None = None
        """The value as a content, if it is kept as one. Set by `Preparation`."""

    @property
    def is_large(self) -> bool:
        """Whether the value is kept as a content."""
        return bool(self.flags & IN_CONTENT)

    @property
    def value(self) -> Value:
        return unpack_value(self.data) if self.flags & IS_VALUE else self.data

    @property
    def is_missing(self) -> bool:
        """Whether the store lacks the value as a content."""
        encoded = self.encoded
        return encoded is not None and (encoded.blob is not None or encoded.payload is not None)

    def copy(self) -> RecordPut:
        twin = object.__new__(RecordPut)
        twin.key, twin.data, twin.flags, twin.hash, twin.encoded = (
            self.key,
            self.data,
            self.flags,
            self.hash,
            self.encoded,
        )
        return twin


class PutRecords(Command[bool]):
    """Put records, at most 10 000, in one write. A value is bytes, or a JSON value.

    Replies True. With `if_absent`, puts them only if none of the keys exists; otherwise replies False and changes
    nothing.
    """

    __slots__ = ("if_absent", "items")
    rate = "state_update"
    whole = WRITE
    preparation = "content"
    shown = {"values": lambda message: {item.key: item.value for item in message.items}}

    def __init__(self, values: Mapping[Any, Any], *, if_absent: bool = False, **how: Unpack[How]) -> None:
        super().__init__(**how)
        given = _pairs(values)
        if len(given) > MAX_BATCH:
            raise ValidationError(f"values: at most {MAX_BATCH}, these are {len(given)}", field="values")
        self.if_absent = as_flag("if_absent", if_absent)
        self.items = [RecordPut(key, value) for key, value in given]
        if len(self.items) > 1 and len({item.key for item in self.items}) < len(self.items):
            raise ValidationError("values: two of the keys are the same bytes", field="values")

    @property
    def operations(self) -> int:
        return max(1, len(self.items))

    @property
    def has_large(self) -> bool:
        """Whether any value is kept as a content."""
        for item in self.items:  # noqa: SIM110 (a generator would take several times as long)
            if item.flags & IN_CONTENT:
                return True
        return False

    @property
    def inline(self) -> dict[bytes, bytes]:
        """The values that are no contents, by their hash."""
        return {item.hash: item.data for item in self.items if not item.flags & IN_CONTENT}

    @property
    def content_bytes(self) -> int:
        return sum(len(item.data) for item in self.items)

    def carried(self) -> list[tuple[Any, Any]]:
        return [(item.encoded, item.data) for item in self.items if item.is_large] if self.has_large else []


class DeleteRecords(Command[int]):
    """Delete the records with these keys, or with `prefix` the first 10 000 whose key begins with it, in one write.
    Replies how many there were."""

    __slots__ = ("keys", "prefix")
    rate = "state_update"
    whole = WRITE

    def __init__(
        self,
        keys: Iterable[bytes | str] = (),
        *,
        prefix: bytes | str | None = None,
        **how: Unpack[How],
    ) -> None:
        super().__init__(**how)
        given = as_items("keys", keys, MAX_BATCH, "a list of keys")
        self.keys = list(dict.fromkeys(record_key_of(each) for each in given))
        self.prefix = record_key_of(prefix, "prefix", empty=True) if prefix is not None else None
        if self.prefix is not None and self.keys:
            raise ValidationError("prefix: give keys or a prefix, not both", field="prefix")


class GetRecord(Query[Any]):
    """Replies the value of a record, or `default`."""

    __slots__ = ("default", "key")

    def __init__(self, key: bytes | str, default: object = None) -> None:
        self.key = record_key_of(key)
        self.default = default


class GetRecords(Query[dict[bytes, Any]]):
    """Replies the values of at most 10 000 records by their keys. A record that is not there is left out."""

    __slots__ = ("keys",)

    def __init__(self, keys: Iterable[bytes | str]) -> None:
        given = as_items("keys", keys, MAX_BATCH, "a list of keys")
        self.keys = list(dict.fromkeys([record_key_of(each) for each in given]))


class ScanRecords(Query[list[Any]]):
    """Replies a page of (key, value), in the order of the keys: the first `limit` (at most 256) whose key begins with
    `prefix` and comes behind `after`. Without `values`, replies keys. With `reverse`, the greatest keys come first.

    A page may end early where its values are large. There are no more only if it is empty.
    """

    __slots__ = ("after", "limit", "prefix", "reverse", "values")
    access = "list"

    def __init__(
        self,
        prefix: bytes | str = b"",
        *,
        reverse: bool = False,
        after: bytes | str | None = None,
        limit: int = MAX_RECORD_PAGE,
        values: bool = True,
    ) -> None:
        self.prefix = record_key_of(prefix, "prefix", empty=True)
        self.reverse = as_flag("reverse", reverse)
        self.after = record_key_of(after, "after", empty=True) if after is not None else None
        self.limit = min(as_number("limit", limit), MAX_RECORD_PAGE)
        self.values = as_flag("values", values)


class CountRecords(Query[int]):
    """Replies how many records have a key that begins with `prefix`."""

    __slots__ = ("prefix",)
    access = "list"

    def __init__(self, prefix: bytes | str = b"") -> None:
        self.prefix = record_key_of(prefix, "prefix", empty=True)
