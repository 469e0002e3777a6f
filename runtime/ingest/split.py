"""Cuts a JSON array into its items without parsing it, one chunk in memory at a time.

A parser stops for good at the first error of an array. Cutting first and parsing each item by itself means
that one broken or huge item costs only itself, and that memory is bounded by one item.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

CHUNK_BYTES = 256 * 1024

_STRUCTURE = re.compile(rb'["\[\]{},]')
_STRING_REST = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Item:
    """The bytes of one item; None when it is longer than the limit."""

    index: int
    data: bytes | None


@dataclass(frozen=True, slots=True)
class End:
    """How the array ended: `error` is None for a proper end."""

    error: str | None


def array_items(stream: BinaryIO, limit: int) -> Iterator[Item | End]:
    """Yield every item of the array that starts at the stream's position (spaces allowed), then one `End`."""
    return _Splitter(stream, limit).items()


class _Splitter:
    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._depth = 0
        self._in_string = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._index = 0

    def items(self) -> Iterator[Item | End]:
        carry = b""
        while chunk := self._stream.read(CHUNK_BYTES):
            chunk = carry + chunk
            carry = b""
            pos = start = 0
            while pos < len(chunk):
                if self._in_string:
                    match = _STRING_REST.match(chunk, pos)
                    assert match is not None
                    pos = match.end()
                    if pos == len(chunk):
                        break
                    if chunk[pos] == 0x5C:  # a backslash at the very end of the chunk
                        carry = chunk[pos:]
                        break
                    self._in_string = False
                    pos += 1
                    continue
                match = _STRUCTURE.search(chunk, pos)
                if match is None:
                    pos = len(chunk)
                    break
                pos = match.end()
                token = match.group()
                if token == b'"':
                    self._in_string = True
                elif token in b"[{":
                    self._depth += 1
                    if self._depth == 1:
                        start = pos
                elif token == b",":
                    if self._depth == 1:
                        self._keep(chunk[start : pos - 1])
                        start = pos
                        yield self._item()
                else:
                    self._depth -= 1
                    if self._depth == 0:
                        self._keep(chunk[start : pos - 1])
                        if self._index or self._size:
                            last = self._item()
                            if last.data != b"":
                                yield last
                        yield End(self._after(chunk[pos:]))
                        return
            if self._depth:
                self._keep(chunk[start : len(chunk) - len(carry)])
        if self._depth == 0:
            yield End("no list here")
            return
        yield End(f"the file ends inside item {self._index} (counted from 0) of the list")

    def _keep(self, piece: bytes) -> None:
        if not self._size:
            piece = piece.lstrip(_SPACE)
        self._size += len(piece)
        if self._size > self._limit:
            self._pieces.clear()
        elif piece:
            self._pieces.append(piece)

    def _item(self) -> Item:
        data = None if self._size > self._limit else b"".join(self._pieces).rstrip(_SPACE)
        item = Item(self._index, data)
        self._index += 1
        self._pieces.clear()
        self._size = 0
        return item

    def _after(self, rest: bytes) -> str | None:
        while rest or (rest := self._stream.read(CHUNK_BYTES)):
            if rest.strip(_SPACE):
                return "there is more after the end of the list"
            rest = b""
        return None
