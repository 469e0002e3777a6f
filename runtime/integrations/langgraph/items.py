"""The records of a store's session: items, and the vectors by which they are found.

| key | value |
| --- | --- |
| `i` namespace, key | an item: `v` its value, `c` and `u` when it was created and updated, in µs since the epoch; if it expires, `t` its time to live in minutes and `x` when; `f` the fields that are indexed, if they are its own; `e` whether it has vectors |
| `x` namespace, key | a list of its vectors, in MessagePack |

Each label of a namespace is a part of the key behind 0x02, the item's key one behind 0x01: the items of a namespace stand
before those of the namespaces in it.
"""  # noqa: E501  # a table

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from typing import Final

import ormsgpack

from greenroom.runtime import IntegrityError, ValidationError

from .keys import part

__all__ = ["after_items_of", "item_key", "namespace_key", "place_of", "read_vectors", "vectors_key", "written_vectors"]

Namespace = tuple[str, ...]

_LABEL: Final = b"\2"
_KEY: Final = b"\1"
_PARTS: Final = re.compile(rb"([\1\2])((?:[^\0]|\0\xff)*)\0(?!\xff)")
_MAX_KEY: Final = 1024


def namespace_key(namespace: Namespace) -> bytes:
    """Return the prefix of the keys of all items in a namespace and below it."""
    return b"i" + b"".join(_LABEL + part(label) for label in namespace)


def item_key(namespace: Namespace, key: str) -> bytes:
    """Return the key of an item. Raises ValidationError if it is too long."""
    whole = namespace_key(namespace) + _KEY + part(key)
    if len(whole) > _MAX_KEY:
        raise ValidationError(
            f"key: namespace and key have at most {_MAX_KEY} bytes together, these {len(whole)}", field="key"
        )
    return whole


def after_items_of(namespace: Namespace) -> bytes:
    """Return a key behind all items of a namespace, and before those of the namespaces in it."""
    return namespace_key(namespace) + _KEY + b"\xff"


def place_of(key: bytes) -> tuple[Namespace, str]:
    """Return the namespace and the key of an item by the key of its record."""
    texts = [text.replace(b"\0\xff", b"\0").decode("utf-8", "surrogatepass") for _, text in _PARTS.findall(key)]
    return tuple(texts[:-1]), texts[-1]


def vectors_key(item: bytes) -> bytes:
    """Return the key of an item's vectors by that of the item."""
    return b"x" + item[1:]


def written_vectors(vectors: Iterable[Sequence[float]]) -> bytes:
    """Return vectors as the bytes of a record."""
    return ormsgpack.packb([array("f", each).tobytes() for each in vectors])


def read_vectors(record: object) -> list[array[float]]:
    """Return the vectors of a record. Raises IntegrityError."""
    try:
        return [array("f", each) for each in ormsgpack.unpackb(record)]  # type: ignore[arg-type]  # bytes, or refused
    except (TypeError, ValueError) as error:
        raise IntegrityError(f"the vectors of an item of LangGraph cannot be read: {error}") from error
