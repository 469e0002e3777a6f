"""How values become bytes: msgpack in a sealed record with a schema version and a checksum.

A record is `version (1 byte) | msgpack payload | CRC-32 of key + version + payload (4 bytes, little endian)`.
The checksum takes in the key, so that a record under a wrong key is as damaged as one with a flipped bit.

Values are JSON values plus bytes. Integers beyond 64 bits travel as msgpack extension 1 (decimal text).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final
from zlib import crc32

import msgpack

from .errors import IntegrityError, SchemaTooNew, ValidationError

__all__ = ["SCHEMA_VERSION", "Value", "pack_value", "seal", "unpack_value", "unseal"]

Value = Any
"""None, bool, int, float, str, bytes, or a list or a str-keyed dict of these."""

SCHEMA_VERSION: Final = 1
_VERSION_BYTE: Final = bytes([SCHEMA_VERSION])
_BIG_INT: Final = 1
MAX_DEPTH: Final = 100

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
    """Encode a JSON value (or bytes, also nested). Raises ValidationError naming `field`."""
    kind = type(value)
    if kind is dict or kind is list or kind is tuple:
        _check(value, field, MAX_DEPTH)
    elif kind is float:
        if not math.isfinite(value):
            raise ValidationError(f"{field}: NaN and infinities are not JSON values", field=field)
    elif value is not None and kind not in _SCALARS:
        raise _not_storable(field, value)
    try:
        return _packb(value, default=_pack_other, unicode_errors="surrogatepass")
    except (TypeError, ValueError, OverflowError) as error:
        raise ValidationError(f"{field}: cannot be stored ({error})", field=field) from error


def unpack_value(data: bytes) -> Value:
    """Decode what `pack_value` encoded. Raises IntegrityError."""
    try:
        return _unpackb(data, ext_hook=_unpack_ext, unicode_errors="surrogatepass", max_ext_len=len(data))
    except Exception as error:
        raise IntegrityError("a stored value cannot be decoded; run verify") from error


_SCALARS: Final = frozenset({str, int, bool, bytes, float, type(None)})


def _check(value: Value, field: str, depth: int) -> None:
    if depth == 0:
        raise ValidationError(f"{field}: nested deeper than {MAX_DEPTH} levels", field=field)
    if type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise ValidationError(f"{field}: keys must be text, one is {type(key).__name__}", field=field)
            if type(item) not in _PLAIN:
                _check_item(item, field, depth)
        return
    for item in value:
        if type(item) not in _PLAIN:
            _check_item(item, field, depth)


_PLAIN: Final = frozenset({str, int, bool, bytes, type(None)})


def _check_item(item: Value, field: str, depth: int) -> None:
    kind = type(item)
    if kind is float:
        if not math.isfinite(item):
            raise ValidationError(f"{field}: NaN and infinities are not JSON values", field=field)
    elif kind is dict or kind is list or kind is tuple:
        _check(item, field, depth - 1)
    else:
        raise _not_storable(field, item)


def _not_storable(field: str, value: object) -> ValidationError:
    return ValidationError(
        f"{field}: {type(value).__name__} cannot be stored; use None, bool, int, float, str, bytes, list or dict",
        field=field,
    )


# One packer serves all threads: it is used only on values that greenroom itself has built from plain types,
# so packing runs no Python code and holds the GIL from start to end.
_envelope_packer = msgpack.Packer(unicode_errors="surrogatepass")


def seal(key: bytes, payload: Any) -> bytes:
    """Encode a payload of plain built-in values as the record to store under `key`."""
    body: bytes = _VERSION_BYTE + _envelope_packer.pack(payload)
    return body + crc32(body, crc32(key)).to_bytes(4, "little")


def unseal(key: bytes, record: bytes, name: str | Callable[[bytes], str] = "a record") -> Any:
    """Decode the record stored under `key`. Raises IntegrityError or SchemaTooNew.

    `name` says what the record is, in the error; a function of the key, where naming it costs something.
    """
    if len(record) < 6 or crc32(record[:-4], crc32(key)) != int.from_bytes(record[-4:], "little"):
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
        raise _damaged(key, name) from error


def _damaged(key: bytes, name: str | Callable[[bytes], str]) -> IntegrityError:
    what = name if isinstance(name, str) else name(key)
    return IntegrityError(f"{what} is damaged on disk; run verify", what=what)
