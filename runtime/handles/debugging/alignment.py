"""Align two sequences: what is the same in both, in order. The time and the memory are bounded for any input."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

__all__ = ["Block", "opcodes"]

_MAX_CELLS: Final = 1 << 27
"""The product of two lengths up to which the best alignment is looked for: 16 MiB of bits."""

Tag = Literal["equal", "replace", "delete", "insert"]


class Block(NamedTuple):
    """A part of both sequences, as in `difflib`: one[begin:end] and other[other_begin:other_end]."""

    tag: Tag
    begin: int
    end: int
    other_begin: int
    other_end: int


def opcodes(one: Iterable[Hashable], other: Iterable[Hashable]) -> list[Block]:
    """Return blocks that cover both sequences, in order.

    Short sequences get the longest common subsequence. Long ones are first cut at the items that are in both exactly
    once, and at last by position.
    """
    numbers: dict[Hashable, int] = {}
    a, b = ([numbers.setdefault(each, len(numbers)) for each in side] for side in (one, other))
    made: list[Block] = []
    for block in _blocks(a, 0, len(a), b, 0, len(b)):
        _add(made, block)
    return made


def _add(made: list[Block], block: Block) -> None:
    """Add a block, joined with the one before if that changes nothing."""
    if block.begin == block.end and block.other_begin == block.other_end:
        return
    if made and (made[-1].tag == "equal") == (block.tag == "equal"):
        last = made.pop()
        block = Block(last.tag, last.begin, block.end, last.other_begin, block.other_end)
        if block.tag != "equal":
            block = block._replace(tag=_tag(block))
    made.append(block)


def _tag(block: Block) -> Tag:
    if block.begin == block.end:
        return "insert"
    return "delete" if block.other_begin == block.other_end else "replace"


def _blocks(one: Sequence[int], i1: int, i2: int, other: Sequence[int], j1: int, j2: int) -> Iterator[Block]:
    begin = i1
    while i1 < i2 and j1 < j2 and one[i1] == other[j1]:
        i1, j1 = i1 + 1, j1 + 1
    yield Block("equal", begin, i1, j1 - (i1 - begin), j1)
    tail = 0
    while i1 < i2 - tail and j1 < j2 - tail and one[i2 - tail - 1] == other[j2 - tail - 1]:
        tail += 1
    i2, j2 = i2 - tail, j2 - tail
    if i1 == i2 or j1 == j2:
        yield _different(i1, i2, j1, j2)
    elif (i2 - i1) * (j2 - j1) <= _MAX_CELLS:
        yield from _best(one, i1, i2, other, j1, j2)
    else:
        yield from _cut(one, i1, i2, other, j1, j2)
    yield Block("equal", i2, i2 + tail, j2, j2 + tail)


def _different(i1: int, i2: int, j1: int, j2: int) -> Block:
    block = Block("replace", i1, i2, j1, j2)
    return block._replace(tag=_tag(block))


def _best(one: Sequence[int], i1: int, i2: int, other: Sequence[int], j1: int, j2: int) -> Iterator[Block]:
    from rapidfuzz.distance import LCSseq

    found: Any = LCSseq.opcodes(one[i1:i2], other[j1:j2])
    for tag, a1, a2, b1, b2 in found:
        if tag == "equal":
            yield Block("equal", i1 + a1, i1 + a2, j1 + b1, j1 + b2)
        else:
            yield _different(i1 + a1, i1 + a2, j1 + b1, j1 + b2)


def _cut(one: Sequence[int], i1: int, i2: int, other: Sequence[int], j1: int, j2: int) -> Iterator[Block]:
    """Cut long parts at items that are once in each, or in two halves by position where there are none."""
    anchors = _anchors(one, i1, i2, other, j1, j2)
    if not anchors:
        middle, other_middle = (i1 + i2) // 2, (j1 + j2) // 2
        yield from _blocks(one, i1, middle, other, j1, other_middle)
        yield from _blocks(one, middle, i2, other, other_middle, j2)
        return
    for i, j in anchors:
        yield from _blocks(one, i1, i, other, j1, j)
        yield Block("equal", i, i + 1, j, j + 1)
        i1, j1 = i + 1, j + 1
    yield from _blocks(one, i1, i2, other, j1, j2)


def _anchors(one: Sequence[int], i1: int, i2: int, other: Sequence[int], j1: int, j2: int) -> list[tuple[int, int]]:
    """Return the longest ascending run of places of items that are exactly once in each part."""
    once = {each for each, count in Counter(one[i1:i2]).items() if count == 1}
    once &= {each for each, count in Counter(other[j1:j2]).items() if count == 1}
    places = {other[j]: j for j in range(j1, j2) if other[j] in once}
    ends: list[int] = []
    rows: list[tuple[int, int, int]] = []
    """(place in one, place in other, row before)"""
    last: list[int] = []
    for i in range(i1, i2):
        j = places.get(one[i])
        if j is None:
            continue
        at = bisect_left(ends, j)
        rows.append((i, j, last[at - 1] if at else -1))
        if at == len(ends):
            ends.append(j)
            last.append(len(rows) - 1)
        else:
            ends[at] = j
            last[at] = len(rows) - 1
    found: list[tuple[int, int]] = []
    row = last[-1] if last else -1
    while row >= 0:
        i, j, row = rows[row]
        found.append((i, j))
    found.reverse()
    return found
