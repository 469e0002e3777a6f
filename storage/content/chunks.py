"""Cut, hash and compress content on its way to the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

import lz4.block
from blake3 import blake3

from greenroom.storage.errors import IntegrityError, ValidationError

__all__ = [
    "ARTIFACT",
    "CHUNK_ABOVE",
    "CONTENT_REFERENCE",
    "EVENT",
    "MESSAGE",
    "RECORD",
    "BlobPart",
    "Encoded",
    "Readable",
    "Reference",
    "WriteAhead",
    "content_digest",
    "encode",
    "read_chunks",
    "read_up_to",
    "record_chunks",
]

CHUNK_ABOVE: Final = 128 << 10
"""Content of more bytes than this is cut into chunks."""

_LARGE_ABOVE: Final = 4 << 20

READ_SIZE: Final = 1 << 20

_THREADED_ABOVE: Final = 1 << 20

_RAW: Final = 0

_LZ4: Final = 1

CONTENT_REFERENCE: Final = b"c"
"""First byte of the keys of references to contents."""
ARTIFACT: Final = b"a"
MESSAGE: Final = b"m"
RECORD: Final = b"r"
EVENT: Final = b"e"
"""Kinds of references to contents."""


class Reference(NamedTuple):
    """A use of a content: by a session, as what (`a`rtifact, `m`essage, data of an `e`vent or `r`ecord), and the number
    of the artifact, event or change."""

    session: bytes
    kind: bytes
    sequence: int

    def key(self, content: bytes) -> bytes:
        return CONTENT_REFERENCE + content + self.session + self.kind + self.sequence.to_bytes(8, "big")

    @classmethod
    def parse(cls, key: bytes) -> tuple[bytes, Reference]:
        """Return the content hash and the reference that a key stands for."""
        return key[1:33], cls(key[33:49], key[49:50], int.from_bytes(key[50:58], "big"))


class WriteAhead:
    """A blob that is being written before anything refers to it. It counts as in progress as long as this object
    lives."""

    __slots__ = ("__weakref__", "blob")

    def __init__(self, blob: bytes) -> None:
        self.blob = blob


class Encoded(NamedTuple):
    """Content ready for the writer: its hash, size and stored size, and its stored form or the blob with its chunks.
    With `parts`, the chunks are not written ahead but together with the content.

    Payload and blob are both None if the store already had the content when it was prepared.
    """

    hash: bytes
    size: int
    stored_size: int
    payload: bytes | None = None
    blob: bytes | None = None
    parts: tuple[BlobPart, ...] | None = None
    ahead: WriteAhead | None = None
    """Keeps the blob from being taken for an abandoned one."""


class BlobPart(NamedTuple):
    """One chunk of a blob on its way to the writer. `payload` is None if the store seemed to have the chunk."""

    offset: int
    size: int
    hash: bytes
    payload: bytes | None


def encode(data: bytes | memoryview, compress_above: int) -> bytes:
    """Return the stored form: one codec byte and the payload. LZ4 is used only above the threshold and only if it
    shrinks."""
    if len(data) > compress_above:
        packed: bytes = lz4.block.compress(data, store_size=False)
        if len(packed) < len(data):
            return b"".join((b"\x01", packed))
    return b"".join((b"\x00", data))


def content_digest(data: bytes | memoryview) -> bytes:
    """Return the BLAKE3 hash of a content, computed on all cores if it is large."""
    return blake3(data, max_threads=blake3.AUTO if len(data) > _THREADED_ABOVE else 1).digest()


def decode(stored: bytes, size: int, digest: bytes | None, what: str) -> bytes:
    """Return the content of a stored form. It is verified, unless the caller verifies it and gives no digest."""
    codec = stored[0] if stored else -1
    try:
        if codec == _LZ4:
            data: bytes = lz4.block.decompress(memoryview(stored)[1:], uncompressed_size=size)
        elif codec == _RAW:
            data = stored[1:]
        else:
            raise ValueError
    except (lz4.block.LZ4BlockError, ValueError) as error:
        raise IntegrityError(f"{what} is damaged on disk; run verify") from error
    if len(data) != size or (digest is not None and blake3(data).digest() != digest):
        raise IntegrityError(f"{what} is damaged on disk; run verify")
    return data


def decode_any_size(stored: bytes, size: int | None) -> bytes | None:
    """Return the content of a stored form whose size may be unknown; None if it cannot be decoded."""
    try:
        if stored[:1] == b"\x01":
            limit = size if size is not None else CHUNK_ABOVE
            data: bytes = lz4.block.decompress(memoryview(stored)[1:], uncompressed_size=limit)
            return data
    except (lz4.block.LZ4BlockError, ValueError):
        return None
    return stored[1:] if stored[:1] == b"\x00" else None


def read_chunks(source: bytes | memoryview | Readable) -> Iterator[memoryview]:
    """Cut content into chunks whose borders depend on the content near them, with bounded memory."""
    from . import cutters

    if isinstance(source, (bytes, memoryview)):
        cutter = cutters.LARGE if len(source) > _LARGE_ABOVE else cutters.SMALL
        for chunk in cutter.cut_buf(source):
            yield chunk.data
        return
    # A stream's length is unknown until it ends. Content that fits into the first window is cut as bytes would be.
    window = read_up_to(source, _LARGE_ABOVE + 1)
    cutter = cutters.LARGE if len(window) > _LARGE_ABOVE else cutters.SMALL
    while window:
        # A window smaller than asked for was the whole stream.
        following = read_up_to(source, READ_SIZE) if cutter is cutters.LARGE else b""
        if not following:
            for chunk in cutter.cut_buf(window):
                yield chunk.data
            return
        kept = 0
        for chunk in cutter.cut_buf(window):
            # The last chunks end with the window and not by their content: cut them again with more data.
            if len(window) - chunk.offset <= cutter.max_size:
                break
            yield chunk.data
            kept = chunk.offset + chunk.length
        window = window[kept:] + following


def record_chunks(content: bytes) -> Iterator[memoryview]:
    """Cut the value of a record into small chunks: such values grow by little from one to the next."""
    from . import cutters

    for chunk in cutters.RECORD.cut_buf(content):
        yield chunk.data


class Readable(Protocol):
    """A stream: gives up to `size` bytes, and none at its end."""

    def read(self, size: int, /) -> bytes: ...


def read_up_to(source: Readable, size: int) -> bytes:
    """Return exactly `size` bytes, or fewer if the stream ends. Raises ValidationError for a text stream."""
    parts: list[bytes] = []
    while size > 0:
        part = source.read(size)
        if not part:
            break
        if not isinstance(part, bytes):
            raise ValidationError("content: the file must be opened in binary mode", field="content")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
