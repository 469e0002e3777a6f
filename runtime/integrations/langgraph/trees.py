"""Long lists as trees of segments, so that a list that changes a little stores little.

A leaf holds some elements, a node the hashes of leaves or of other nodes. Where a leaf or a node ends depends on what
stands there, not on its place: elements that are added or removed anywhere change only what is near them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final
from zlib import crc32

import ormsgpack

from greenroom.runtime import IntegrityError

from .rows import Typed, digest_of

__all__ = ["children_of", "digests_in", "is_long", "joined", "read_tree", "write_tree"]

SPLIT_FROM: Final = 8
"""Elements from which on a list is stored as a tree."""

_ENDS: Final = 7
"""One of eight elements, or of eight hashes, ends its segment."""
_MOST: Final = 32
_TOP: Final = 15
"""Hashes that the top of a tree has at most."""
_DIGEST: Final = 16
_LEAF_BYTES: Final = 4000
"""A record of more bytes would be cut into chunks, which takes time and spares nothing here."""
_OVERHEAD: Final = 5
_LEAF: Final = 0


def is_long(value: object) -> bool:
    """Return whether a value is stored as a tree: a list, but not one of numbers."""
    if type(value) is not list or len(value) < SPLIT_FROM:
        return False
    return not any(each is None or isinstance(each, int | float) for each in (value[0], value[-1]))


def write_tree(elements: Sequence[Typed], add: Callable[[bytes, bytes], None]) -> bytes:
    """Return the top of the tree of a list. `add` is called with the hash and the bytes of each leaf and node."""
    digests: list[bytes] = []
    for segment in _leaves(elements):
        content = bytes([_LEAF]) + ormsgpack.packb([segment[0][0], [each for _, each in segment]])
        digests.append(digest_of(content))
        add(digests[-1], content)
    level = 1
    while len(digests) > _TOP:
        nodes: list[bytes] = []
        for children in _groups(digests):
            content = _node(level, children)
            nodes.append(digest_of(content))
            add(nodes[-1], content)
        digests, level = nodes, level + 1
    return _node(level, digests)


def _node(level: int, children: Sequence[bytes]) -> bytes:
    return bytes([level]) + b"".join(children)


def _leaves(elements: Sequence[Typed]) -> Iterator[Sequence[Typed]]:
    """Yield the elements in segments: of one form each, and small unless one element alone is large."""
    begin = size = 0
    for number, (form, content) in enumerate(elements):
        grown = size + len(content) + _OVERHEAD
        if number > begin and (grown > _LEAF_BYTES or form != elements[begin][0]):
            yield elements[begin:number]
            begin, grown = number, len(content) + _OVERHEAD
        size = grown
        if number - begin >= _MOST - 1 or (number > begin and crc32(content) & _ENDS == 0):
            yield elements[begin : number + 1]
            begin, size = number + 1, 0
    if begin < len(elements):
        yield elements[begin:]


def _groups(digests: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Yield hashes in segments of at least two, but for the last."""
    begin = 0
    for number, digest in enumerate(digests):
        if number - begin >= _MOST - 1 or (number > begin and digest[0] & _ENDS == 0):
            yield digests[begin : number + 1]
            begin = number + 1
    if begin < len(digests):
        yield digests[begin:]


def children_of(content: bytes) -> tuple[list[bytes], bool]:
    """Return the hashes in a node, and whether they are those of leaves. Raises IntegrityError for a leaf."""
    if not content or content[0] == _LEAF:
        raise IntegrityError("the list of a channel cannot be read: a leaf stands where a node is needed")
    return [content[begin : begin + _DIGEST] for begin in range(1, len(content), _DIGEST)], content[0] == 1


def read_tree(top: bytes, read: Callable[[bytes], bytes]) -> Iterator[Typed]:
    """Yield the elements of a tree. `read` returns the bytes of a leaf or a node by its hash."""
    children, are_leaves = children_of(top)
    for each in children:
        content = read(each)
        if are_leaves:
            form, elements = ormsgpack.unpackb(content[1:])
            for element in elements:
                yield form, element
        else:
            yield from read_tree(content, read)


def joined(elements: Sequence[bytes]) -> bytes:
    """Return the list of elements that are in MessagePack, in MessagePack."""
    count = len(elements)
    if count < 1 << 4:
        head = bytes([0x90 | count])
    elif count < 1 << 16:
        head = b"\xdc" + count.to_bytes(2, "big")
    else:
        head = b"\xdd" + count.to_bytes(4, "big")
    return head + b"".join(elements)


def digests_in(top: bytes, read: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Yield the hashes of all leaves and nodes of a tree. Reads no leaf."""
    children, are_leaves = children_of(top)
    yield from children
    if not are_leaves:
        for each in children:
            yield from digests_in(read(each), read)
