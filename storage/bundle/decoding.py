"""Decode msgpack from strangers: the cost is known from the size before anything is built."""

from __future__ import annotations

import re
from typing import Any, Final

from greenroom.storage.codec.plain import MAX_DEPTH
from greenroom.storage.codec.records import pack_value, unpack_value
from greenroom.storage.errors import BundleError, GreenroomError

__all__ = ["plain_record", "stored_value"]

# An array or map that announces more than 15 items: only these can ask for more memory than their bytes are worth.
_LARGE_CONTAINERS: Final = re.compile(rb"[\xdc-\xdf]")
_RECORD_DEPTH: Final = MAX_DEPTH + 20

# Bytes of the length that follows a type byte, where one does; the fixed sizes of the others.
_LENGTHS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_EXTENSIONS: Final = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_FIXED: Final = {
    0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8,
    0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17,
}  # fmt: skip


def plain_record(data: bytes) -> Any:
    """Decode a record of a bundle: built-in values, text keys, and no extensions except large integers.

    Raises BundleError.
    """
    try:
        _measure(data)
        return unpack_value(data)
    except GreenroomError:
        raise BundleError("the bundle has a record that cannot be decoded") from None


def stored_value(data: object, what: str) -> Any:
    """Decode a value that must be encoded exactly as greenroom encodes it. Raises BundleError."""
    if type(data) is not bytes:
        raise BundleError(f"the bundle has a journal whose {what} is not a value")
    try:
        _measure(data)
        value = unpack_value(data)
        if pack_value(value) == data:
            return value
    except (GreenroomError, RecursionError):
        pass
    raise BundleError(f"the bundle has a journal whose {what} cannot be decoded")


def _measure(data: bytes) -> None:
    """Raise BundleError if containers announce more items than there are bytes, or are nested too deep."""
    if _LARGE_CONTAINERS.search(data) is None:
        return
    end = len(data)
    position = 0
    open_items = [1]
    while open_items:
        if open_items[-1] == 0:
            open_items.pop()
            continue
        open_items[-1] -= 1
        if position >= end:
            raise BundleError("the bundle has a truncated record")
        kind = data[position]
        position += 1
        items = -1
        if kind <= 0x7F or kind >= 0xE0:
            continue
        if kind <= 0x8F:
            items = 2 * (kind & 15)
        elif kind <= 0x9F:
            items = kind & 15
        elif kind <= 0xBF:
            position += kind & 31
        elif kind in _FIXED:
            position += _FIXED[kind]
        elif kind in _LENGTHS or kind in _EXTENSIONS:
            width = _LENGTHS.get(kind) or _EXTENSIONS[kind]
            position += width + int.from_bytes(data[position : position + width], "big") + (kind in _EXTENSIONS)
        elif kind >= 0xDC:
            width = 4 if kind & 1 else 2
            items = int.from_bytes(data[position : position + width], "big") * (2 if kind >= 0xDE else 1)
            position += width
        else:
            raise BundleError("the bundle has a record that cannot be decoded")
        if items > 0:
            if items > end - position or len(open_items) > _RECORD_DEPTH:
                raise BundleError("the bundle has a record that announces more than it has")
            open_items.append(items)
    if position != end:
        raise BundleError("the bundle has a record with more bytes than its value")
