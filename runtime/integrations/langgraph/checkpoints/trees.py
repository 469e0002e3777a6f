"""Long lists as trees of segments, so that a list that changes a little stores little.

A leaf holds some elements, a node the hashes of leaves or of other nodes. Where a leaf or a node ends depends on what
stands there, not on its place: elements that are added or removed anywhere change only what is near them.

The first byte of a leaf says how it holds its elements: 0 as a form and a list of contents, in MessagePack; 255, where
all of them are in MessagePack, as their number in one byte and they themselves one behind the other. The first byte of
a node is its level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final
from zlib import crc32

import msgpack
import ormsgpack

from greenroom.runtime import IntegrityError

from .rows import Typed, digest_of

__all__ = ["digests_in", "elements_of", "is_long", "joined", "leaves_of", "write_list", "write_tree"]

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
_JOINED: Final = 255

Add = Callable[[bytes, bytes], None]
"""Called with the hash and the bytes of each leaf and node."""
Read = Callable[[Sequence[bytes]], list[bytes]]
"""Returns the bytes of leaves and nodes by their hashes."""


def is_long(value: object) -> bool:
    """Return whether a value is stored as a tree: a list, but not one of numbers."""
    if type(value) is not list or len(value) < SPLIT_FROM:
        return False
    return not any(each is None or isinstance(each, int | float) for each in (value[0], value[-1]))


def write_list(packed: bytes, add: Add, before: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """Return the top of the tree of a list in MessagePack. Its leaves are slices of these bytes. `before` are the first
    leaves of the list that this one comes from, with their hashes: those with which it begins are not hashed again."""
    head = msgpack.Unpacker(max_buffer_size=0)
    head.feed(packed[:5])
    left, begin = head.read_array_header(), head.tell()
    digests: list[bytes] = []
    for digest, leaf in before[:-1]:  # where the last one ends does not depend on what stands there
        if leaf[0] != _JOINED or leaf[1] > left or not packed.startswith(leaf[2:], begin):
            break
        digests.append(digest)
        left -= leaf[1]
        begin += len(leaf) - 2
    rest = packed[begin:]
    for count, first, end in _segments(rest, left):
        content = bytes([_JOINED, count]) + rest[first:end]
        digests.append(digest_of(content))
        add(digests[-1], content)
    return _top(digests, add)


def _segments(packed: bytes, left: int) -> Iterator[tuple[int, int, int]]:
    """Yield the segments of elements in MessagePack: how many they are, where they begin and where they end."""
    elements = msgpack.Unpacker(max_buffer_size=0)
    elements.feed(packed)
    skip, tell = elements.skip, elements.tell
    first = begin = count = 0
    for _ in range(left):
        skip()
        end = tell()
        if count and end - first > _LEAF_BYTES:
            yield count, first, begin
            first, count = begin, 0
        count += 1
        if count >= _MOST or (count > 1 and crc32(packed[begin:end]) & _ENDS == 0):
            yield count, first, end
            first, count = end, 0
        begin = end
    if count:
        yield count, first, begin


def write_tree(elements: Sequence[Typed], add: Add) -> bytes:
    """Return the top of the tree of a list whose elements were serialized one by one."""
    digests: list[bytes] = []
    for segment in _leaves(elements):
        content = bytes([_LEAF]) + ormsgpack.packb([segment[0][0], [each for _, each in segment]])
        digests.append(digest_of(content))
        add(digests[-1], content)
    return _top(digests, add)


def _top(digests: list[bytes], add: Add) -> bytes:
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


def _children_of(content: bytes) -> tuple[list[bytes], bool]:
    """Return the hashes in a node, and whether they are those of leaves. Raises IntegrityError for a leaf."""
    if not content or content[0] in (_LEAF, _JOINED):
        raise IntegrityError("the list of a channel cannot be read: a leaf stands where a node is needed")
    return [content[begin : begin + _DIGEST] for begin in range(1, len(content), _DIGEST)], content[0] == 1


def leaves_of(top: bytes, read: Read) -> list[bytes]:
    """Return the leaves of a tree in order. Reads each level at once."""
    children, are_leaves = _children_of(top)
    while not are_leaves:
        children, are_leaves = _below(read(children))
    return read(children)


def _below(nodes: Iterable[bytes]) -> tuple[list[bytes], bool]:
    """Return the hashes in the nodes of a level, and whether they are those of leaves."""
    found: list[bytes] = []
    are_leaves = True
    for each in nodes:
        children, are_leaves = _children_of(each)
        found += children
    return found, are_leaves


def elements_of(leaves: Iterable[bytes]) -> Iterator[Typed]:
    """Yield the elements of leaves."""
    for leaf in leaves:
        if leaf[0] == _JOINED:
            unpacker = msgpack.Unpacker(max_buffer_size=0)
            unpacker.feed(leaf[2:])
            begin = 0
            for _ in range(leaf[1]):
                unpacker.skip()
                yield "msgpack", leaf[2 + begin : 2 + unpacker.tell()]
                begin = unpacker.tell()
        else:
            form, contents = ormsgpack.unpackb(leaf[1:])
            for content in contents:
                yield form, content


def joined(leaves: Sequence[bytes]) -> bytes | None:
    """Return the list that leaves make, in MessagePack; None if it cannot be put together from them."""
    if any(leaf[0] != _JOINED for leaf in leaves):
        elements = [*elements_of(leaves)]
        if any(form != "msgpack" for form, _ in elements):
            return None
        return _list_of(len(elements), [content for _, content in elements])
    return _list_of(sum([leaf[1] for leaf in leaves]), [leaf[2:] for leaf in leaves])


def _list_of(count: int, contents: Sequence[bytes]) -> bytes:
    if count < 1 << 4:
        head = bytes([0x90 | count])
    elif count < 1 << 16:
        head = b"\xdc" + count.to_bytes(2, "big")
    else:
        head = b"\xdd" + count.to_bytes(4, "big")
    return head + b"".join(contents)


def digests_in(top: bytes, read: Read) -> tuple[list[bytes], list[bytes]]:
    """Return the hashes of all nodes of a tree, and those of its leaves in order. Reads no leaf."""
    nodes: list[bytes] = []
    children, are_leaves = _children_of(top)
    while not are_leaves:
        nodes += children
        children, are_leaves = _below(read(children))
    return nodes, children
