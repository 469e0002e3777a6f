"""The content store: bytes addressed by their BLAKE3 hash, stored once, compressed if it pays, verified when read.

Small content is one value. Large content is a *blob*: content-defined chunks, each stored once across all blobs, and a
manifest whose entries are keyed by offset, so that neither writing nor reading ever needs the whole. The uses of a
content are a set of reference keys, not a counter: adding and dropping one needs no read, the set cannot drift, and
`gc` and `stats` can see each use.

Writing, reading and removing share the layout of these records, so they stand in one file, which is longer than others.
"""

from __future__ import annotations

import contextlib
import io
import os
from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Final

from blake3 import blake3

from greenroom.storage.codec.keys import after_prefix
from greenroom.storage.codec.records import seal, unseal
from greenroom.storage.common.logs import logger_of
from greenroom.storage.engine.engine import CF, Engine, Op
from greenroom.storage.engine.settled import settled
from greenroom.storage.errors import ArtifactNotFound, IntegrityError, SchemaTooNew

from .cache import ContentCache
from .chunks import CONTENT_REFERENCE, BlobPart, Encoded, Reference, content_digest, decode, decode_any_size

__all__ = ["CHUNK", "Contents"]

logger = logger_of("content")


_MANIFEST_PAGE: Final = 64

_PENDING: Final = b"pending/"
_CHUNK_REFERENCE: Final = b"k"
_WHOLE: Final = b"\x00"
CHUNK: Final = b"\x01"
"""First byte of the keys of chunks that contents may share."""
_NO_MORE: Final = (b"\xff" * 33, 0, 0, None)
"""Stands behind all contents that are known."""


class Contents:
    """Stores content. Reading and preparing are thread-safe; the `…_ops` belong to the one writer."""

    def __init__(self, engine: Engine, cache_bytes: int) -> None:
        self._engine = engine
        self.cache = ContentCache(cache_bytes)
        self.doubtful = False
        """Whether operations concern damaged content, so that what they change is not what they say. Set back by who
        asks."""

    # -- preparing, on the caller's thread

    def record(self, digest: bytes) -> tuple[int, int, bytes | None] | None:
        """Return (size, stored size, blob id or None) of a known content; None if it is not known."""
        stored = self._engine.get(CF.CONTENTS, digest)
        if stored is None:
            return None
        size, stored_size, blob, *_ = unseal(digest, stored, _content_name)
        return size, stored_size, blob

    def intact(self, digest: bytes) -> tuple[int, int, bytes | None] | None:
        """Return the record of a known content that can be referred to. Return None also for content that repair has
        found damaged, so that storing it again stores it anew."""
        # Unknown content is the common case, and the filters detect it without a search.
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
        """Return the operation that marks a content as damaged."""
        return CF.CONTENTS, digest, seal(digest, [size, stored_size, blob, True])

    def known_chunk(self, digest: bytes) -> int | None:
        """Return the stored size of a chunk, or None: a chunk is stored exactly as long as a blob refers to it."""
        # A new chunk is the common case, and the filters detect it without a search.
        if not self._engine.may_exist(CF.CHUNKS, CHUNK + digest):
            return None
        prefix = _CHUNK_REFERENCE + digest
        found = self._engine.scan(CF.REFERENCES, prefix, after_prefix(prefix), limit=1)
        # Repair sets the size of a damaged chunk to 0.
        return (int.from_bytes(found[0][1], "big") or None) if found else None

    def chunk_bytes(self, digest: bytes) -> int:
        """Return the stored size of a chunk; 0 if the store does not have it, or if it is damaged."""
        if not self._engine.may_exist(CF.CHUNKS, CHUNK + digest):
            return 0
        prefix = _CHUNK_REFERENCE + digest
        sizes = self._engine.scan(CF.REFERENCES, prefix, after_prefix(prefix))
        return max((int.from_bytes(value, "big") for _, value in sizes), default=0)

    # -- the writer's operations

    def add_ops(self, content: Encoded, reference: Reference) -> list[Op] | None:
        """Return the operations that add a content and a reference to it. Known content costs one reference.

        Return None if the content was known when it was prepared and is gone since, or if its blob was abandoned: the
        content must be prepared again.
        """
        ops: list[Op] = []
        there = self._engine.may_exist(CF.CONTENTS, content.hash)
        if there and self.intact(content.hash) is not None:
            if content.blob is not None and content.parts is None:
                ops += self.abort_blob_ops(content.blob)  # another writer was first
        else:
            if content.payload is not None:
                ops.append((CF.CHUNKS, _WHOLE + content.hash, content.payload))
            elif content.blob is not None and content.parts is not None:
                more, missing = self.blob_part_ops(content.blob, content.parts)
                if missing:
                    return None
                ops += more
            elif content.blob is not None and self._engine.get(CF.META, _PENDING + content.blob) is not None:
                ops.append((CF.META, _PENDING + content.blob, None))
            else:
                return None
            self.doubtful = self.doubtful or (there and self._engine.get(CF.CONTENTS, content.hash) is not None)
            replaced = self._blob_of(content.hash) if there else None
            if replaced is not None:
                # The new content replaces the damaged one.
                ops += self.drop_blobs_ops({replaced}, {part.hash for part in content.parts or ()})
            record = [content.size, content.stored_size, content.blob]
            ops.append((CF.CONTENTS, content.hash, seal(content.hash, record)))
        ops.append(self.refer_op(content.hash, reference))
        return ops

    @staticmethod
    def refer_op(digest: bytes, reference: Reference) -> Op:
        """Return the operation that adds a reference to a content."""
        return CF.REFERENCES, reference.key(digest), b""

    def _blob_of(self, digest: bytes) -> bytes | None:
        try:
            record = self.record(digest)
        except IntegrityError:
            return None  # `gc` finds what is left of its blob
        return record[2] if record is not None else None

    def begin_blob_ops(self, blob: bytes) -> list[Op]:
        """Return the operations that mark a blob as pending: if nothing completes it, recovery removes what was written
        of it."""
        return [(CF.META, _PENDING + blob, b"")]

    def blob_part_ops(self, blob: bytes, parts: Iterable[BlobPart]) -> tuple[list[Op], list[BlobPart]]:
        """Return the operations that write chunks ahead, and the parts whose chunk is missing from the store after
        all."""
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
                    ops.append((CF.CHUNKS, CHUNK + part.hash, part.payload))
                fresh[part.hash] = stored
            key = blob + part.offset.to_bytes(8, "big")
            ops.append((CF.MANIFESTS, key, seal(key, [part.hash, part.size])))
            ops.append((CF.REFERENCES, _CHUNK_REFERENCE + part.hash + blob, stored.to_bytes(4, "big")))
        return ops, missing

    def drop_blobs_ops(self, blobs: set[bytes], kept: Container[bytes] = ()) -> list[Op]:
        """Return the operations that remove blobs: manifests, references to chunks, and chunks that no other blob uses,
        except the chunks in `kept`."""
        ops: list[Op] = []
        dropped: set[bytes] = set()
        for blob in blobs:
            for key, record in self._engine.pages(CF.MANIFESTS, blob, after_prefix(blob)):
                ops.append((CF.MANIFESTS, key, None))
                try:
                    digest = unseal(key, record, "a manifest entry")[0]
                except IntegrityError:
                    continue  # its chunk is unknown: `gc` removes the reference
                prefix = _CHUNK_REFERENCE + digest
                ops.append((CF.REFERENCES, prefix + blob, None))
                if digest in dropped or digest in kept:
                    continue
                holders = self._engine.scan(CF.REFERENCES, prefix, after_prefix(prefix), limit=len(blobs) + 1)
                others = [size for holder, size in holders if holder[-16:] not in blobs]
                if not others:
                    dropped.add(digest)
                    ops.append((CF.CHUNKS, CHUNK + digest, None))
                elif not any(others[0]):
                    self.doubtful = True  # of a damaged content: perhaps no reference that is left states the size
        return ops

    @staticmethod
    def without_losses(ops: list[Op]) -> list[Op]:
        """Return the operations that add several contents, without the removal of chunks that one gives up and another
        refers to."""
        added = [key for cf, key, value in ops if cf == CF.REFERENCES and value is not None]
        used = {CHUNK + key[1:33] for key in added if key[:1] == _CHUNK_REFERENCE}
        return [op for op in ops if op[0] != CF.CHUNKS or op[2] is not None or op[1] not in used]

    def release_ops(self, released: Iterable[tuple[bytes, Reference]], added: Iterable[Op] = ()) -> list[Op]:
        """Return the operations that drop references, and every content that has no reference left. `added` are
        operations of the same batch, written before these: what they refer to stays."""
        by_content: dict[bytes, set[bytes]] = {}
        referred = [key for cf, key, value in added if cf == CF.REFERENCES and value is not None]
        kept = {key[1:33] for key in referred if key[:1] == CONTENT_REFERENCE}
        kept_chunks = {key[1:33] for key in referred if key[:1] == _CHUNK_REFERENCE}
        for digest, reference in released:
            by_content.setdefault(digest, set()).add(reference.key(digest))
        ops: list[Op] = []
        blobs: set[bytes] = set()
        for digest, keys in by_content.items():
            ops += [(CF.REFERENCES, key, None) for key in keys]
            if digest in kept:
                continue
            prefix = CONTENT_REFERENCE + digest
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
        return ops + self.drop_blobs_ops(blobs, kept_chunks)

    def pending_blobs(self) -> list[bytes]:
        """Return the blobs that nothing has completed. On opening these are the remains of interrupted writes."""
        return [key[len(_PENDING) :] for key, _ in self._engine.pages(CF.META, _PENDING, after_prefix(_PENDING))]

    def abort_blob_ops(self, blob: bytes) -> list[Op]:
        """Return the operations that remove an uncompleted blob; none for a blob that is in use."""
        if self._engine.get(CF.META, _PENDING + blob) is None:
            return []
        return [*self.drop_blobs_ops({blob}), (CF.META, _PENDING + blob, None)]

    # -- repairing; in the writer's turn

    @staticmethod
    def record_op(digest: bytes, size: int, stored_size: int, blob: bytes | None) -> Op:
        """Return the operation that writes a content's record."""
        return CF.CONTENTS, digest, seal(digest, [size, stored_size, blob])

    def recovered(self, digest: bytes, size: int | None) -> Op | None:
        """Return the operation that writes a content's record anew, if the content is there and matches its hash; else
        None. `size` is the size that an artifact states, if one does."""
        stored = self._engine.get(CF.CHUNKS, _WHOLE + digest)
        if stored is not None:
            data = decode_any_size(stored, size)
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
        """Yield (content, blob) of every chunked content whose record can be read."""
        for digest, stored in self._engine.pages(CF.CONTENTS, b"", b"\xff" * 33):
            with contextlib.suppress(IntegrityError):
                blob = unseal(digest, stored, _content_name)[2]
                if blob is not None:
                    yield digest, blob

    def _measured(self, blob: bytes) -> tuple[bytes, int, int] | None:
        """Return (hash, size, stored size) of a blob's content; None if it cannot be read."""
        hasher = blake3()
        size = stored_size = 0
        try:
            for key, record in self._engine.pages(CF.MANIFESTS, blob, after_prefix(blob), page=_MANIFEST_PAGE):
                if int.from_bytes(key[16:], "big") != size:
                    return None
                data = self._load_chunk(b"", key, record)
                hasher.update(data)
                size += len(data)
                stored_size += len(self._engine.get(CF.CHUNKS, CHUNK + unseal(key, record)[0]) or b"") - 1
        except (IntegrityError, ArtifactNotFound):
            return None
        return hasher.digest(), size, stored_size

    def drop_ops(self, digest: bytes) -> list[Op]:
        """Return the operations that remove a content without references."""
        self.cache.drop(digest)
        blob = self._blob_of(digest)
        ops: list[Op] = [(CF.CONTENTS, digest, None)]
        return ops + (self.drop_blobs_ops({blob}) if blob is not None else [(CF.CHUNKS, _WHOLE + digest, None)])

    def wrong_chunk_references(self, blob: bytes, *, sizes: bool, discredited: bool) -> list[Op]:
        """Return the operations that write a blob's references to chunks which are missing or (with `sizes`, which
        reads the chunks) state a wrong size. With `discredited`, references may state 0."""
        ops: list[Op] = []
        for key, record in self._engine.pages(CF.MANIFESTS, blob, after_prefix(blob)):
            try:
                name = unseal(key, record)[0]
            except IntegrityError:
                continue  # reported when the content is read
            if sizes or self._engine.get(CF.REFERENCES, _CHUNK_REFERENCE + name + blob) is None:
                stored = self._engine.get(CF.CHUNKS, CHUNK + name)
                ops += self._right_reference(name, blob, stored, discredited)
        return ops

    def _right_reference(self, name: bytes, blob: bytes, stored: bytes | None, discredited: bool) -> list[Op]:
        """Return the operation that writes the reference of a blob to a chunk that is missing or states a wrong size;
        none if it is right."""
        reference = _CHUNK_REFERENCE + name + blob
        value = self._engine.get(CF.REFERENCES, reference)
        right = (len(stored) - 1 if stored else 0).to_bytes(4, "big")
        if value == right or (discredited and value == bytes(4)):
            return []
        return [(CF.REFERENCES, reference, right)]

    def discredit_ops(self, blob: bytes) -> list[Op]:
        """Return the operations that keep the damaged chunks of a blob from being used for other content: they delete
        the chunk, and set the size in its references to 0."""
        ops: list[Op] = []
        for key, record in self._engine.pages(CF.MANIFESTS, blob, after_prefix(blob), page=_MANIFEST_PAGE):
            try:
                name = unseal(key, record)[0]
            except IntegrityError:
                continue
            try:
                self._load_chunk(b"", key, record)
            except (IntegrityError, ArtifactNotFound):
                ops.append((CF.CHUNKS, CHUNK + name, None))
                prefix = _CHUNK_REFERENCE + name
                for reference, _ in self._engine.scan(CF.REFERENCES, prefix, after_prefix(prefix)):
                    ops.append((CF.REFERENCES, reference, bytes(4)))
        return ops

    # -- reading

    def readable(self, digest: bytes) -> bytes | None:
        """Return a content; None if it is damaged, or gone with the session that used it."""
        try:
            return self.read(digest)
        except (ArtifactNotFound, IntegrityError, SchemaTooNew):
            return None

    def read(self, digest: bytes, *, cached: bool = True) -> bytes:
        """Return the whole content, verified. Raises IntegrityError if it is missing or damaged."""
        if cached and (hot := self.cache.get(digest)) is not None:
            return hot
        data = settled(self._engine, lambda: self._read(digest))
        if cached:
            self.cache.put(digest, data)
        return data

    def _read(self, digest: bytes) -> bytes:
        what = f"content {digest.hex()}"
        record = self.record(digest)
        if record is None:
            raise self._missing(digest, what)
        size, _, blob = record
        if blob is None:
            stored = self._engine.get(CF.CHUNKS, _WHOLE + digest)
            if stored is None:
                raise self._missing(digest, what)
            return decode(stored, size, digest, what)
        # Chunks go into one buffer, which is verified as a whole: no second copy, no second hashing.
        buffer = io.BytesIO()
        for chunk in self._chunks(digest, blob, size, verify=False):
            buffer.write(chunk)
        data = buffer.getvalue()
        if content_digest(data) != digest:
            raise IntegrityError(f"{what} is damaged on disk; run verify", content_hash=digest.hex())
        return data

    def check(self, digest: bytes, *, discredited: bool = False) -> list[Op]:
        """Read a content from disk and verify it, with bounded memory. Return what `wrong_chunk_references` does, of
        which each chunk is read once. Raises IntegrityError, also where it changes meanwhile, or ArtifactNotFound."""
        size, blob = self._found(digest)
        if blob is None:
            self._read(digest)
            return []
        ops: list[Op] = []
        hasher, offset = blake3(), 0
        for key, record in self._engine.pages(CF.MANIFESTS, blob, after_prefix(blob), page=_MANIFEST_PAGE):
            what = f"a chunk of content {digest.hex()}"
            name, length = unseal(key, record, what)
            stored = self._engine.get(CF.CHUNKS, CHUNK + name)
            if int.from_bytes(key[16:], "big") == offset < size:
                if stored is None:
                    raise self._missing(digest, what)
                hasher.update(decode(stored, length, name, what))
                offset += length
            ops += self._right_reference(name, blob, stored, discredited)
        if offset != size:
            raise self._missing(digest, f"the chunk at {offset} of content {digest.hex()}")
        if hasher.digest() != digest:
            raise IntegrityError(f"content {digest.hex()} is damaged on disk", content_hash=digest.hex())
        return ops

    def open(self, digest: bytes, *, cached: bool = True) -> io.BufferedReader:
        """Return a seekable binary stream over the content. It is verified chunk by chunk, and holds one chunk at a
        time.

        Opening and reading raise IntegrityError, or ArtifactNotFound if the content has been deleted meanwhile.
        """
        size, blob = settled(self._engine, lambda: self._found(digest))
        if blob is None:
            data = self.read(digest, cached=cached)
            return io.BufferedReader(_ChunkedReader(len(data), lambda _offset: (0, data)))
        entries: list[tuple[bytes, bytes]] = []

        def look(offset: int) -> tuple[int, bytes]:
            nonlocal entries
            assert blob is not None
            found = self._covering_chunk(digest, entries, offset)
            if found is None:
                entries = self._manifest_page(blob, offset)
                found = self._covering_chunk(digest, entries, offset)
            if found is None:
                raise self._missing(digest, f"the chunk at {offset} of content {digest.hex()}")
            return found

        def again(offset: int) -> tuple[int, bytes]:
            nonlocal entries, blob
            try:
                return look(offset)
            except IntegrityError:
                now = self._found(digest)[1]
                if now is not None and now != blob:  # it was deleted and is stored anew: the same bytes
                    blob, entries = now, []
                raise

        def load(offset: int) -> tuple[int, bytes]:
            return settled(self._engine, lambda: again(offset))

        return io.BufferedReader(_ChunkedReader(size, load), buffer_size=64 << 10)

    def _found(self, digest: bytes) -> tuple[int, bytes | None]:
        """(size, blob) of a content that somebody refers to."""
        record = self.record(digest)
        if record is None:
            raise self._missing(digest, f"content {digest.hex()}")
        return record[0], record[2]

    def _missing(self, digest: bytes, what: str) -> IntegrityError | ArtifactNotFound:
        """Return the error for a missing part: content without references has just been deleted."""
        prefix = CONTENT_REFERENCE + digest
        if self._engine.scan(CF.REFERENCES, prefix, after_prefix(prefix), limit=1):
            return IntegrityError(f"{what} is missing from the store; run verify", content_hash=digest.hex())
        return ArtifactNotFound("the artifact has been deleted meanwhile", content_hash=digest.hex())

    def _chunks(self, digest: bytes, blob: bytes, size: int, *, verify: bool) -> Iterator[bytes]:
        """Yield the chunks of a blob in order. They must make up `size` bytes. Each is verified, unless the caller
        verifies them."""
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
        """Return the manifest entry that covers an offset, and the entries after it, up to a page."""
        before = self._engine.scan(CF.MANIFESTS, blob, blob + (offset + 1).to_bytes(8, "big"), reverse=True, limit=1)
        if not before:
            return []
        return self._engine.scan(CF.MANIFESTS, before[0][0], after_prefix(blob), limit=_MANIFEST_PAGE)

    def _covering_chunk(
        self, digest: bytes, entries: list[tuple[bytes, bytes]], offset: int
    ) -> tuple[int, bytes] | None:
        """Return (offset, bytes) of the chunk that covers `offset`, verified; None if no entry covers it."""
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
        stored = self._engine.get(CF.CHUNKS, CHUNK + name)
        if stored is None:
            raise self._missing(digest, what)
        return decode(stored, size, name if verify else None, what)

    def known(self) -> Iterator[tuple[bytes, int, int, bytes | None]]:
        """Yield (hash, size, stored size, blob) of every content whose record can be read."""
        for digest, stored in self._engine.pages(CF.CONTENTS, b"", b"\xff" * 33):
            try:
                size, stored_size, blob, *_ = unseal(digest, stored, _content_name)
            except IntegrityError as error:
                logger.error("skipped in the figures: %s", error)
                continue
            yield digest, size, stored_size, blob

    def usage(self) -> tuple[int, int, int]:
        """Return (contents, bytes of all contents, bytes of their stored forms with every chunk counted once)."""
        count = size = stored = 0
        for _, content_size, stored_size, blob in self.known():
            count += 1
            size += content_size
            stored += stored_size if blob is None else 0
        previous, longest = b"", 0
        for key, value in self._engine.pages(CF.REFERENCES, _CHUNK_REFERENCE, after_prefix(_CHUNK_REFERENCE)):
            if key[1:33] != previous:
                previous, longest, stored = key[1:33], 0, stored + longest
            longest = max(longest, int.from_bytes(value, "big"))
        stored += longest
        return count, size, stored

    def uses(self) -> Iterator[tuple[int, bytes]]:
        """Yield (size of the content, kind) of every reference to a content whose record can be read, in one sweep over
        both."""
        contents = self.known()
        digest, size = b"", 0
        for key, _ in self._engine.pages(CF.REFERENCES, CONTENT_REFERENCE, after_prefix(CONTENT_REFERENCE)):
            while digest < key[1:33]:
                digest, size, *_ = next(contents, _NO_MORE)
            if digest == key[1:33]:
                yield size, key[49:50]

    def references(self, digest: bytes) -> Iterator[Reference]:
        prefix = CONTENT_REFERENCE + digest
        for key, _ in self._engine.pages(CF.REFERENCES, prefix, after_prefix(prefix)):
            yield Reference.parse(key)[1]


def _content_name(key: bytes) -> str:
    return f"the record of content {key.hex()}"


class _ChunkedReader(io.RawIOBase):
    """A raw stream over a function that returns (offset, bytes) of the chunk at an offset."""

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
