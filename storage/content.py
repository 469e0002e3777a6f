"""Content: bytes addressed by their BLAKE3 hash, stored once, compressed where it pays, verified when read.

Small content is one value. Large content is a *blob*: content-defined chunks, each stored once across all blobs,
listed by a manifest whose entries are keyed by offset, so that neither writing nor reading ever needs it whole.
Who uses a content is a set of reference keys, not a counter: adding and dropping one needs no read, it cannot
drift, and `gc` and `stats` can see who holds what.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import lz4.block
from blake3 import blake3
from pyfastcdc import FastCDC

from .engine import CF, Engine, Op
from .errors import ArtifactNotFound, IntegrityError, ValidationError
from .keys import after_prefix
from .logs import logger_of
from .records import seal, unseal

__all__ = [
    "CHUNK_ABOVE",
    "BlobPart",
    "Contents",
    "Encoded",
    "Readable",
    "Reference",
    "content_digest",
    "encode",
    "read_chunks",
    "read_up_to",
]

logger = logger_of("content")

CHUNK_ABOVE: Final = 128 << 10
"""Content of more bytes than this is cut into chunks."""

# Chunk sizes by measurement (docs/performance.md): small ones for the text that agents rewrite, larger ones where
# the number of chunks would cost more than sharing them saves.
_SMALL_CHUNKS: Final = FastCDC(avg_size=16 << 10, min_size=4 << 10, max_size=64 << 10)
_LARGE_CHUNKS: Final = FastCDC(avg_size=256 << 10, min_size=64 << 10, max_size=1 << 20)
_LARGE_ABOVE: Final = 4 << 20
_READ_SIZE: Final = 1 << 20
_THREADED_ABOVE: Final = 1 << 20
_MANIFEST_PAGE: Final = 64

_RAW: Final = 0
_LZ4: Final = 1
_PENDING: Final = b"pending/"
_CONTENT_REFERENCE: Final = b"c"
_CHUNK_REFERENCE: Final = b"k"
_WHOLE: Final = b"\x00"
_CHUNK: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class Reference:
    """Who uses a content: a session, as what (`a`rtifact or `m`essage), and the artifact or event sequence."""

    session: bytes
    kind: bytes
    sequence: int

    def key(self, content: bytes) -> bytes:
        return _CONTENT_REFERENCE + content + self.session + self.kind + self.sequence.to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class Encoded:
    """Content ready for the writer: hash, size and stored size, and its stored form or the blob with its chunks.

    Payload and blob are both None when the store already knew the content when it was prepared.
    """

    hash: bytes
    size: int
    stored_size: int
    payload: bytes | None = None
    blob: bytes | None = None


@dataclass(frozen=True, slots=True)
class BlobPart:
    """One chunk of a blob on its way to the writer. `payload` is None when the chunk seemed to be known."""

    offset: int
    size: int
    hash: bytes
    payload: bytes | None


def encode(data: bytes | memoryview, compress_above: int) -> bytes:
    """The stored form: one codec byte and the payload; LZ4 only above the threshold and only if it shrinks."""
    if len(data) > compress_above:
        packed: bytes = lz4.block.compress(data, store_size=False)
        if len(packed) < len(data):
            return b"".join((b"\x01", packed))
    return b"".join((b"\x00", data))


def content_digest(data: bytes | memoryview) -> bytes:
    """The BLAKE3 of a content; of a large one on all cores."""
    return blake3(data, max_threads=blake3.AUTO if len(data) > _THREADED_ABOVE else 1).digest()


def _decode(stored: bytes, size: int, digest: bytes | None, what: str) -> bytes:
    """The content of a stored form; verified, unless the caller does that and gives no digest."""
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


def _any_size(stored: bytes, size: int | None) -> bytes | None:
    """The content of a stored form whose size may be unknown."""
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
    if isinstance(source, (bytes, memoryview)):
        cutter = _LARGE_CHUNKS if len(source) > _LARGE_ABOVE else _SMALL_CHUNKS
        for chunk in cutter.cut_buf(source):
            yield chunk.data
        return
    # A stream's length is unknown until it ends; what fits into the first window is cut as memory would be.
    window = read_up_to(source, _LARGE_ABOVE + 1)
    cutter = _LARGE_CHUNKS if len(window) > _LARGE_ABOVE else _SMALL_CHUNKS
    while window:
        # A window smaller than asked for was the whole stream.
        following = read_up_to(source, _READ_SIZE) if cutter is _LARGE_CHUNKS else b""
        if not following:
            for chunk in cutter.cut_buf(window):
                yield chunk.data
            return
        kept = 0
        for chunk in cutter.cut_buf(window):
            # The last chunks end where the window does, not where the content says: cut them again with more.
            if len(window) - chunk.offset <= cutter.max_size:
                break
            yield chunk.data
            kept = chunk.offset + chunk.length
        window = window[kept:] + following


class Readable(Protocol):
    """What a stream must be able to do: give up to `size` bytes, none at its end."""

    def read(self, size: int, /) -> bytes: ...


def read_up_to(source: Readable, size: int) -> bytes:
    """Exactly `size` bytes, or fewer where the stream ends. Raises ValidationError for a text stream."""
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


class ContentCache:
    """A byte-bounded LRU of verified content. Thread-safe; 0 bytes turn it off."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def get(self, digest: bytes) -> bytes | None:
        with self._lock:
            data = self._entries.get(digest)
            if data is None:
                self.misses += 1
                return None
            self._entries.move_to_end(digest)
            self.hits += 1
            return data

    def put(self, digest: bytes, data: bytes) -> None:
        # One huge content must not push out everything else.
        if len(data) > self._capacity // 4:
            return
        with self._lock:
            if digest in self._entries:
                return
            self._entries[digest] = data
            self.bytes += len(data)
            while self.bytes > self._capacity:
                self.bytes -= len(self._entries.popitem(last=False)[1])

    def drop(self, digest: bytes) -> None:
        with self._lock:
            data = self._entries.pop(digest, None)
            if data is not None:
                self.bytes -= len(data)


class Contents:
    """The content store. Reading and preparing are thread-safe; the `…_ops` belong to the one writer."""

    def __init__(self, engine: Engine, cache_bytes: int) -> None:
        self._engine = engine
        self.cache = ContentCache(cache_bytes)

    # -- preparing, on the caller's thread

    def record(self, digest: bytes) -> tuple[int, int, bytes | None] | None:
        """(size, stored size, blob id or None) of a known content."""
        stored = self._engine.get(CF.CONTENTS, digest)
        if stored is None:
            return None
        size, stored_size, blob, *_ = unseal(digest, stored, _content_name)
        return size, stored_size, blob

    def intact(self, digest: bytes) -> tuple[int, int, bytes | None] | None:
        """The record of a known content that can be referred to; None also where repair has found it damaged, so
        that storing it again stores it anew."""
        # Unknown content is the common case, and the filters can say so without a search.
        if not self._engine.may_exist(CF.CONTENTS, digest):
            return None
        stored = self._engine.get(CF.CONTENTS, digest)
        if stored is None:
            return None
        try:
            size, stored_size, blob, *damaged = unseal(digest, stored, _content_name)
        except IntegrityError:
            return None
        return None if damaged else (size, stored_size, blob)

    @staticmethod
    def mark_damaged(digest: bytes, size: int, stored_size: int, blob: bytes | None) -> Op:
        """The operation that marks a content as damaged."""
        return CF.CONTENTS, digest, seal(digest, [size, stored_size, blob, True])

    def known_chunk(self, digest: bytes) -> int | None:
        """The stored size of a chunk, or None: a chunk is stored exactly while a blob refers to it."""
        # A new chunk is the common case, and the filters can say so without a search.
        if not self._engine.may_exist(CF.CHUNKS, _CHUNK + digest):
            return None
        prefix = _CHUNK_REFERENCE + digest
        found = self._engine.scan(CF.REFERENCES, prefix, after_prefix(prefix), limit=1)
        # Repair sets the size of a chunk that it has found damaged to 0.
        return (int.from_bytes(found[0][1], "big") or None) if found else None

    # -- the writer's operations

    def add_ops(self, content: Encoded, reference: Reference) -> list[Op] | None:
        """The operations that add a content and a reference to it. Known content costs one reference.

        None: the content was known when it was prepared and is gone since, or its blob was given up; it must be
        prepared again.
        """
        ops: list[Op] = []
        there = self._engine.may_exist(CF.CONTENTS, content.hash)
        if there and self.intact(content.hash) is not None:
            if content.blob is not None:
                ops += self.abort_blob_ops(content.blob)  # another writer was first
        else:
            if content.payload is not None:
                ops.append((CF.CHUNKS, _WHOLE + content.hash, content.payload))
            elif content.blob is not None and self._engine.get(CF.META, _PENDING + content.blob) is not None:
                ops.append((CF.META, _PENDING + content.blob, None))
            else:
                return None
            replaced = self._blob_of(content.hash) if there else None
            if replaced is not None:
                ops += self.drop_blobs_ops({replaced})  # what is stored anew takes the place of what was damaged
            record = [content.size, content.stored_size, content.blob]
            ops.append((CF.CONTENTS, content.hash, seal(content.hash, record)))
        ops.append(self.refer_op(content.hash, reference))
        return ops

    @staticmethod
    def refer_op(digest: bytes, reference: Reference) -> Op:
        """The operation that adds a reference to a content."""
        return CF.REFERENCES, reference.key(digest), b""

    def _blob_of(self, digest: bytes) -> bytes | None:
        try:
            record = self.record(digest)
        except IntegrityError:
            return None  # `gc` finds what its blob has left
        return record[2] if record is not None else None

    def begin_blob_ops(self, blob: bytes) -> list[Op]:
        """Mark a blob as pending: if nothing completes it, recovery drops what was written of it."""
        return [(CF.META, _PENDING + blob, b"")]

    def blob_part_ops(self, blob: bytes, parts: Iterable[BlobPart]) -> tuple[list[Op], list[BlobPart]]:
        """The operations that write chunks ahead, and the parts whose chunk is not known after all."""
        ops: list[Op] = []
        missing: list[BlobPart] = []
        fresh: dict[bytes, int] = {}
        for part in parts:
            stored = fresh.get(part.hash)
            if stored is None:
                stored = self.known_chunk(part.hash)
                if stored is None:
                    if part.payload is None:
                        missing.append(part)
                        continue
                    stored = len(part.payload) - 1
                    ops.append((CF.CHUNKS, _CHUNK + part.hash, part.payload))
                fresh[part.hash] = stored
            key = blob + part.offset.to_bytes(8, "big")
            ops.append((CF.MANIFESTS, key, seal(key, [part.hash, part.size])))
            ops.append((CF.REFERENCES, _CHUNK_REFERENCE + part.hash + blob, stored.to_bytes(4, "big")))
        return ops, missing

    def drop_blobs_ops(self, blobs: set[bytes]) -> list[Op]:
        """The operations that remove blobs: manifests, references to chunks, and chunks that no other blob uses."""
        ops: list[Op] = []
        dropped: set[bytes] = set()
        for blob in blobs:
            for key, record in self._engine.pages(CF.MANIFESTS, blob, after_prefix(blob)):
                ops.append((CF.MANIFESTS, key, None))
                try:
                    digest = unseal(key, record, "a manifest entry")[0]
                except IntegrityError:
                    continue  # which chunk it was is unknown: its reference is left to `gc`
                prefix = _CHUNK_REFERENCE + digest
                ops.append((CF.REFERENCES, prefix + blob, None))
                if digest in dropped:
                    continue
                holders = self._engine.scan(CF.REFERENCES, prefix, after_prefix(prefix), limit=len(blobs) + 1)
                if all(holder[-16:] in blobs for holder, _ in holders):
                    dropped.add(digest)
                    ops.append((CF.CHUNKS, _CHUNK + digest, None))
        return ops

    def release_ops(self, released: Iterable[tuple[bytes, Reference]]) -> list[Op]:
        """The operations that drop references, and every content that has none left."""
        by_content: dict[bytes, set[bytes]] = {}
        for digest, reference in released:
            by_content.setdefault(digest, set()).add(reference.key(digest))
        ops: list[Op] = []
        blobs: set[bytes] = set()
        for digest, keys in by_content.items():
            ops += [(CF.REFERENCES, key, None) for key in keys]
            prefix = _CONTENT_REFERENCE + digest
            holders = self._engine.scan(CF.REFERENCES, prefix, after_prefix(prefix), limit=len(keys) + 1)
            if any(holder not in keys for holder, _ in holders):
                continue
            self.cache.drop(digest)
            ops.append((CF.CONTENTS, digest, None))
            blob = self._blob_of(digest)
            if blob is not None:
                blobs.add(blob)
            else:
                ops.append((CF.CHUNKS, _WHOLE + digest, None))
        return ops + self.drop_blobs_ops(blobs)

    def pending_blobs(self) -> list[bytes]:
        """Blobs that nothing has completed. On open these are the remains of interrupted writes."""
        return [key[len(_PENDING) :] for key, _ in self._engine.pages(CF.META, _PENDING, after_prefix(_PENDING))]

    def abort_blob_ops(self, blob: bytes) -> list[Op]:
        """The operations that remove a blob which nothing has completed; none for one that is in use."""
        if self._engine.get(CF.META, _PENDING + blob) is None:
            return []
        return [*self.drop_blobs_ops({blob}), (CF.META, _PENDING + blob, None)]

    # -- repairing; in the writer's turn

    @staticmethod
    def record_op(digest: bytes, size: int, stored_size: int, blob: bytes | None) -> Op:
        """The operation that writes a content's record."""
        return CF.CONTENTS, digest, seal(digest, [size, stored_size, blob])

    def recovered(self, digest: bytes, size: int | None) -> Op | None:
        """The operation that writes a content's record anew, where what it told of is there and proves itself by its
        hash; None where not. `size` is what an artifact says, if one does."""
        stored = self._engine.get(CF.CHUNKS, _WHOLE + digest)
        if stored is not None:
            data = _any_size(stored, size)
            if data is not None and content_digest(data) == digest:
                return self.record_op(digest, len(data), len(stored) - 1, None)
        owned = {blob for _, blob in self._blobs()}
        position = b""
        while keys := self._engine.keys(CF.MANIFESTS, position, b"\xff" * 25, limit=1):
            blob = keys[0][:16]
            position = blob + b"\xff" * 9
            if blob in owned or self._engine.get(CF.META, _PENDING + blob) is not None:
                continue
            found = self._measured(blob)
            if found is not None and found[0] == digest:
                return self.record_op(digest, found[1], found[2], blob)
        return None

    def _blobs(self) -> Iterator[tuple[bytes, bytes]]:
        """(content, blob) of every chunked content whose record can be read."""
        for digest, stored in self._engine.pages(CF.CONTENTS, b"", b"\xff" * 33):
            with contextlib.suppress(IntegrityError):
                blob = unseal(digest, stored, _content_name)[2]
                if blob is not None:
                    yield digest, blob

    def _measured(self, blob: bytes) -> tuple[bytes, int, int] | None:
        """(hash, size, stored size) of a blob's content; None where it cannot be read."""
        hasher = blake3()
        size = stored_size = 0
        try:
            for key, record in self._engine.pages(CF.MANIFESTS, blob, after_prefix(blob), page=_MANIFEST_PAGE):
                if int.from_bytes(key[16:], "big") != size:
                    return None
                data = self._load_chunk(b"", key, record)
                hasher.update(data)
                size += len(data)
                stored_size += len(self._engine.get(CF.CHUNKS, _CHUNK + unseal(key, record)[0]) or b"") - 1
        except (IntegrityError, ArtifactNotFound):
            return None
        return hasher.digest(), size, stored_size

    def drop_ops(self, digest: bytes) -> list[Op]:
        """The operations that remove a content that nobody refers to."""
        self.cache.drop(digest)
        blob = self._blob_of(digest)
        ops: list[Op] = [(CF.CONTENTS, digest, None)]
        return ops + (self.drop_blobs_ops({blob}) if blob is not None else [(CF.CHUNKS, _WHOLE + digest, None)])

    def wrong_chunk_references(self, blob: bytes, *, sizes: bool, discredited: bool) -> list[Op]:
        """The operations that write the references to chunks which a blob lacks, or (with `sizes`, which reads the
        chunks) which do not say how large they are. `discredited`: they may say 0."""
        ops: list[Op] = []
        for key, record in self._engine.pages(CF.MANIFESTS, blob, after_prefix(blob)):
            try:
                name = unseal(key, record)[0]
            except IntegrityError:
                continue  # found when the content is read
            reference = _CHUNK_REFERENCE + name + blob
            value = self._engine.get(CF.REFERENCES, reference)
            if value is None or sizes:
                stored = self._engine.get(CF.CHUNKS, _CHUNK + name)
                right = (len(stored) - 1 if stored else 0).to_bytes(4, "big")
                if value != right and not (discredited and value == bytes(4)):
                    ops.append((CF.REFERENCES, reference, right))
        return ops

    def discredit_ops(self, blob: bytes) -> list[Op]:
        """The operations that keep the damaged chunks of a blob from being used for other content: the chunk goes,
        and the references to it say size 0."""
        ops: list[Op] = []
        for key, record in self._engine.pages(CF.MANIFESTS, blob, after_prefix(blob), page=_MANIFEST_PAGE):
            try:
                name = unseal(key, record)[0]
            except IntegrityError:
                continue
            try:
                self._load_chunk(b"", key, record)
            except (IntegrityError, ArtifactNotFound):
                ops.append((CF.CHUNKS, _CHUNK + name, None))
                prefix = _CHUNK_REFERENCE + name
                for reference, _ in self._engine.scan(CF.REFERENCES, prefix, after_prefix(prefix)):
                    ops.append((CF.REFERENCES, reference, bytes(4)))
        return ops

    # -- reading

    def read(self, digest: bytes, *, cached: bool = True) -> bytes:
        """The whole content, verified. Raises IntegrityError when it is missing or damaged."""
        if cached and (hot := self.cache.get(digest)) is not None:
            return hot
        what = f"content {digest.hex()}"
        record = self.record(digest)
        if record is None:
            raise self._missing(digest, what)
        size, _, blob = record
        if blob is None:
            stored = self._engine.get(CF.CHUNKS, _WHOLE + digest)
            if stored is None:
                raise self._missing(digest, what)
            data = _decode(stored, size, digest, what)
        else:
            # Written into one buffer, and verified as a whole: no second copy, no second hashing.
            buffer = io.BytesIO()
            for chunk in self._chunks(digest, blob, size, verify=False):
                buffer.write(chunk)
            data = buffer.getvalue()
            if content_digest(data) != digest:
                raise IntegrityError(f"{what} is damaged on disk; run verify", content_hash=digest.hex())
        if cached:
            self.cache.put(digest, data)
        return data

    def check(self, digest: bytes) -> None:
        """Read a content from disk and verify it, with bounded memory. Raises IntegrityError."""
        hasher = blake3()
        with self.open(digest, cached=False) as stream:
            while block := stream.read(_READ_SIZE):
                hasher.update(block)
        if hasher.digest() != digest:
            raise IntegrityError(f"content {digest.hex()} is damaged on disk", content_hash=digest.hex())

    def open(self, digest: bytes, *, cached: bool = True) -> io.BufferedReader:
        """A seekable binary stream over the content, verified chunk by chunk, holding one chunk at a time.

        Opening and reading raise IntegrityError, or ArtifactNotFound when the content has been deleted meanwhile.
        """
        record = self.record(digest)
        if record is None:
            raise self._missing(digest, f"content {digest.hex()}")
        size, blob = record[0], record[2]
        if blob is None:
            data = self.read(digest, cached=cached)
            return io.BufferedReader(_ChunkedReader(len(data), lambda _offset: (0, data)))
        entries: list[tuple[bytes, bytes]] = []

        def load(offset: int) -> tuple[int, bytes]:
            nonlocal entries
            found = self._covering_chunk(digest, entries, offset)
            if found is None:
                entries = self._manifest_page(blob, offset)
                found = self._covering_chunk(digest, entries, offset)
            if found is None:
                raise self._missing(digest, f"the chunk at {offset} of content {digest.hex()}")
            return found

        return io.BufferedReader(_ChunkedReader(size, load), buffer_size=64 << 10)

    def _missing(self, digest: bytes, what: str) -> IntegrityError | ArtifactNotFound:
        """The error for something that is not there: content that nobody refers to has just been deleted."""
        prefix = _CONTENT_REFERENCE + digest
        if self._engine.scan(CF.REFERENCES, prefix, after_prefix(prefix), limit=1):
            return IntegrityError(f"{what} is missing from the store; run verify", content_hash=digest.hex())
        return ArtifactNotFound("the artifact has been deleted meanwhile", content_hash=digest.hex())

    def _chunks(self, digest: bytes, blob: bytes, size: int, *, verify: bool) -> Iterator[bytes]:
        """The chunks of a blob in order, which must make up `size` bytes; each verified, or the caller must."""
        offset = 0
        for key, record in self._engine.pages(CF.MANIFESTS, blob, after_prefix(blob)):
            if int.from_bytes(key[16:], "big") != offset:
                break
            data = self._load_chunk(digest, key, record, verify=verify)
            offset += len(data)
            yield data
        if offset != size:
            raise self._missing(digest, f"the chunk at {offset} of content {digest.hex()}")

    def _manifest_page(self, blob: bytes, offset: int) -> list[tuple[bytes, bytes]]:
        """The manifest entry that covers an offset, and those that follow it, up to a page."""
        before = self._engine.scan(CF.MANIFESTS, blob, blob + (offset + 1).to_bytes(8, "big"), reverse=True, limit=1)
        if not before:
            return []
        return self._engine.scan(CF.MANIFESTS, before[0][0], after_prefix(blob), limit=_MANIFEST_PAGE)

    def _covering_chunk(
        self, digest: bytes, entries: list[tuple[bytes, bytes]], offset: int
    ) -> tuple[int, bytes] | None:
        """(offset, bytes) of the chunk that covers `offset`, verified, if one of the entries does."""
        keys = [key for key, _ in entries]
        at = bisect_right(keys, keys[0][:16] + offset.to_bytes(8, "big")) - 1 if keys else -1
        if at < 0:
            return None
        start = int.from_bytes(keys[at][16:], "big")
        size = unseal(*entries[at], "a manifest entry")[1]
        if not start <= offset < start + size:
            return None
        return start, self._load_chunk(digest, *entries[at])

    def _load_chunk(self, digest: bytes, key: bytes, record: bytes, *, verify: bool = True) -> bytes:
        what = f"a chunk of content {digest.hex()}"
        name, size = unseal(key, record, what)
        stored = self._engine.get(CF.CHUNKS, _CHUNK + name)
        if stored is None:
            raise self._missing(digest, what)
        return _decode(stored, size, name if verify else None, what)

    def known(self) -> Iterator[tuple[bytes, int, int, bytes | None]]:
        """(hash, size, stored size, blob) of every content whose record can be read."""
        for digest, stored in self._engine.pages(CF.CONTENTS, b"", b"\xff" * 33):
            try:
                size, stored_size, blob, *_ = unseal(digest, stored, _content_name)
            except IntegrityError as error:
                logger.error("left out of the figures: %s", error)
                continue
            yield digest, size, stored_size, blob

    def usage(self) -> tuple[int, int, int]:
        """(contents, bytes of all contents, bytes of their stored forms with every chunk counted once)."""
        count = size = stored = 0
        for _, content_size, stored_size, blob in self.known():
            count += 1
            size += content_size
            stored += stored_size if blob is None else 0
        previous = b""
        for key, value in self._engine.pages(CF.REFERENCES, _CHUNK_REFERENCE, after_prefix(_CHUNK_REFERENCE)):
            if key[1:33] != previous:
                previous = key[1:33]
                stored += int.from_bytes(value, "big")
        return count, size, stored

    def references(self, digest: bytes) -> Iterator[Reference]:
        prefix = _CONTENT_REFERENCE + digest
        for key, _ in self._engine.pages(CF.REFERENCES, prefix, after_prefix(prefix)):
            yield Reference(key[33:49], key[49:50], int.from_bytes(key[50:58], "big"))


def _content_name(key: bytes) -> str:
    return f"the record of content {key.hex()}"


class _ChunkedReader(io.RawIOBase):
    """Reads through a function that returns (offset, bytes) of the chunk at an offset."""

    def __init__(self, size: int, load: Callable[[int], tuple[int, bytes]]) -> None:
        self._size = size
        self._load = load
        self._position = 0
        self._start = 0
        self._chunk = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._position >= self._size or not len(buffer):
            return 0
        if not self._start <= self._position < self._start + len(self._chunk):
            self._start, self._chunk = self._load(self._position)
        at = self._position - self._start
        part = memoryview(self._chunk)[at : at + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position
