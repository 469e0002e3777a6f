"""Turn values into bytes: msgpack in a sealed record with a schema version and a checksum.

A record is `version (1 byte) | msgpack payload | CRC-32 of key + version + payload (4 bytes, little endian)`. The
checksum covers the key, so a record under a wrong key is as damaged as one with a flipped bit.

Values are JSON values plus bytes. Integers beyond 64 bits travel as msgpack extension 1 (decimal text).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias
from zlib import crc32

import msgpack

from greenroom.storage.concurrency.interrupts import thrown_in
from greenroom.storage.errors import IntegrityError, SchemaTooNew, ValidationError

from .plain import MAX_DEPTH, plain

__all__ = [
    "SCHEMA_VERSION",
    "Json",
    "Value",
    "checked_data",
    "intact",
    "pack_sound",
    "pack_value",
    "seal",
    "unpack_value",
    "unpacked_many",
    "unseal",
]

Json: TypeAlias = "bool | int | float | str | bytes | list[Json] | dict[str, Json] | None"
"""What comes back from the store. Users know it as `Value`."""

Value = Any
"""The same, where greenroom itself handles it: a checker would have to be told of every step into it."""

SCHEMA_VERSION: Final = 1
_VERSION_BYTE: Final = bytes([SCHEMA_VERSION])
_BIG_INT: Final = 1
MAX_ITEMS: Final = 1 << 23

_packb: Callable[..., bytes] = msgpack.packb
_unpackb: Callable[..., Any] = msgpack.unpackb


def _pack_other(value: object) -> msgpack.ExtType:
    if type(value) is int:
        return msgpack.ExtType(_BIG_INT, str(value).encode())
    raise TypeError(type(value).__name__)


def _unpack_ext(code: int, data: bytes) -> int:
    if code != _BIG_INT:
        raise ValueError(f"unknown extension {code}")
    return int(data)


def pack_value(value: Value, field: str = "value") -> bytes:
    """Encode a value. JSON values and bytes are packed as they are; all others go through `plain` first. Raises
    ValidationError naming `field` and the place within it."""
    kind = type(value)
    try:
        if kind is dict or kind is list or kind is tuple:
            left = [MAX_ITEMS]
            if not _sound(value, MAX_DEPTH, left):
                value = _made_plain(value, field, left)
        elif kind is float:
            if not math.isfinite(value):
                value = plain(value, field)
        elif kind not in _SCALARS:
            value = plain(value, field)
        try:
            packed: bytes = _envelope_packer.pack(value)
        except OverflowError:  # only this needs a function of Python, and so a packer of its own
            return _packb(value, default=_pack_other, unicode_errors="surrogatepass")
        if len(packed) > _KEPT_BYTES:
            _renew_packer()
        return packed
    except ValidationError:
        raise
    except RuntimeError as error:
        raise ValidationError(f"{field}: it was changed while it was read", field=field) from error
    except (TypeError, ValueError, OverflowError) as error:
        raise ValidationError(f"{field}: it has a number of too many digits", field=field) from error


def _made_plain(value: Any, field: str, left: list[int]) -> Value:
    if left[0] < 0:
        raise ValidationError(f"{field}: more than {MAX_ITEMS} items in all", field=field)
    return plain(value, field)


def checked_data(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data of an event as they can be stored, or raise ValidationError. Called where the data are
    made, because a failure to journal them would be the session's."""
    left = [MAX_ITEMS]
    if not _sound(data, MAX_DEPTH, left):
        data = _made_plain(data, "data", left)
    try:
        _envelope_packer.pack(data)  # which has no form for integers beyond 64 bits, as values have
    except OverflowError as error:
        raise ValidationError("data: integers of at most 64 bits are needed", field="data") from error
    return data


def unpack_value(data: bytes) -> Value:
    """Decode what `pack_value` encoded. Raises IntegrityError."""
    try:
        return _unpackb(data, ext_hook=_unpack_ext, unicode_errors="surrogatepass", max_ext_len=len(data))
    except Exception as error:
        if thrown_in(error):
            raise
        raise IntegrityError("a stored value cannot be decoded; run verify") from error


_SCALARS: Final = frozenset({str, int, bool, bytes, float, type(None)})
_PLAIN: Final = frozenset({str, int, bool, bytes, type(None)})


def _sound(value: Value, depth: int, left: list[int]) -> bool:
    """Return whether a dict, list or tuple has only items that can be stored. `left` is the number of items still
    allowed in all: a few lists that hold each other many times are a huge value."""
    left[0] -= len(value)
    if depth == 0 or left[0] < 0:
        return False
    if type(value) is dict:
        for key, item in value.items():
            if type(key) is not str or (type(item) not in _PLAIN and not _sound_item(item, depth, left)):
                return False
        return True
    for item in value:  # noqa: SIM110 (a generator would take twice as long)
        if type(item) not in _PLAIN and not _sound_item(item, depth, left):
            return False
    return True


def _sound_item(item: Value, depth: int, left: list[int]) -> bool:
    kind = type(item)
    if kind is dict or kind is list or kind is tuple:
        return _sound(item, depth - 1, left)
    return kind is float and math.isfinite(item)


# One packer serves all threads: it is used only on values that greenroom has built from plain types, so packing runs no
# Python code and holds the GIL from start to end.
_envelope_packer = msgpack.Packer(unicode_errors="surrogatepass")
_KEPT_BYTES: Final = 1 << 20


def _renew_packer() -> None:
    """Give up the buffer of the packer, which never shrinks. Called after a large value."""
    global _envelope_packer
    _envelope_packer = msgpack.Packer(unicode_errors="surrogatepass")


def pack_sound(value: Value) -> bytes:
    """Encode a value that is known to be a JSON value or bytes, as `pack_value` does, at a fraction of its cost. Raises
    ValidationError for an integer beyond 64 bits."""
    try:
        packed: bytes = _envelope_packer.pack(value)
        return packed
    except OverflowError as error:
        raise ValidationError("value: integers of at most 64 bits are needed", field="value") from error


def seal(key: bytes, payload: Any) -> bytes:
    """Encode a payload of plain built-in values as the record to store under `key`."""
    body: bytes = _VERSION_BYTE + _envelope_packer.pack(payload)
    return body + crc32(body, crc32(key)).to_bytes(4, "little")


_RESIDUE: Final = 0x2144DF1C
"""The CRC-32 of anything that is followed by its own CRC-32."""


def unseal(key: bytes, record: bytes, name: str | Callable[[bytes], str] = "a record") -> Any:
    """Decode the record stored under `key`. Raises IntegrityError or SchemaTooNew.

    `name` says in the error what the record is. It is a function of the key if naming it costs something.
    """
    if len(record) < 6 or crc32(record, crc32(key)) != _RESIDUE:
        raise _damaged(key, name)
    if record[0] != SCHEMA_VERSION:
        if record[0] < SCHEMA_VERSION:
            raise _damaged(key, name)
        what = name if isinstance(name, str) else name(key)
        raise SchemaTooNew(
            f"{what} has schema version {record[0]}; this greenroom reads up to {SCHEMA_VERSION}: upgrade greenroom",
            found=record[0],
            supported=SCHEMA_VERSION,
        )
    try:
        return _unpackb(record[1:-4], ext_hook=_unpack_ext, unicode_errors="surrogatepass")
    except Exception as error:
        if thrown_in(error):
            raise
        raise _damaged(key, name) from error


def intact(entries: list[tuple[bytes, bytes]]) -> int:
    """Return how many records, (key, record) each, there are before the first that is damaged or too new."""
    for number, (key, record) in enumerate(entries):
        if len(record) < 6 or crc32(record, crc32(key)) != _RESIDUE or record[0] != SCHEMA_VERSION:
            return number
    return len(entries)


def unpacked_many(entries: list[tuple[bytes, bytes]]) -> list[Any]:
    """Decode intact records at half the cost of `unseal`, up to the first that is no value."""
    unpacker = msgpack.Unpacker(max_buffer_size=0, ext_hook=_unpack_ext, unicode_errors="surrogatepass")
    unpacker.feed(b"".join([record[1:-4] for _, record in entries]))
    found: list[Any] = []
    try:
        found += unpacker
    except Exception as error:
        if thrown_in(error):
            raise
    if len(found) == len(entries):
        return found
    found = []  # one of them is not one value
    for key, record in entries:
        try:
            found.append(unseal(key, record))
        except IntegrityError:
            break
    return found


def _damaged(key: bytes, name: str | Callable[[bytes], str]) -> IntegrityError:
    what = name if isinstance(name, str) else name(key)
    return IntegrityError(f"{what} is damaged on disk; run verify", what=what)
