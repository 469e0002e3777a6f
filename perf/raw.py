"""The same bytes by hand: blake3, lz4, msgpack and one RocksDB write batch, with greenroom's own RocksDB options.

No journal logic, no validation, no actors, no look whether content is known, no version numbers: what is left is
what the libraries cost. `bytes_written` counts what either side hands to RocksDB, so that nobody compares a full
record with an empty one.
"""

from __future__ import annotations

import gc
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

import lz4.block
import msgpack
import rocksdict
from blake3 import blake3

from greenroom.runtime import Runtime
from greenroom.storage.engine.options import CF, Durability, EngineOptions, Op, rocksdb_options

__all__ = ["RawStore", "bytes_written", "same_bytes"]

CHUNK: Final = 1 << 20
COMPRESS_ABOVE: Final = 10 << 10


class RawStore:
    """A RocksDB with greenroom's options and column families, and the writes that greenroom's operations come to."""

    def __init__(self, path: Path, durability: Durability = Durability.WAL) -> None:
        database, families = rocksdb_options(EngineOptions(), durability, read_only=False)
        self._db = rocksdict.Rdict(str(path / "raw"), database, column_families=families)
        self._families = [self._db.get_column_family(name) for name in families]
        self._handles = [self._db.get_column_family_handle(name) for name in families]
        self._options = rocksdict.WriteOptions()
        self._session = uuid.uuid4().bytes
        self._sequence = 0
        self.written = 0

    def __enter__(self) -> RawStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._families = []
        self._handles = []
        self._db.close()
        del self._db
        gc.collect(0)

    def write(self, ops: list[Op]) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        handles = self._handles
        for cf, key, value in ops:
            batch.put(key, value, handles[cf])
        self._db.write(batch, self._options)

    def flush(self) -> None:
        for family in self._families:
            family.flush(True)

    def _next_key(self) -> bytes:
        self._sequence += 1
        return self._session + self._sequence.to_bytes(8, "big")

    # -- what one operation of greenroom writes

    def create_session(self) -> None:
        session = uuid.uuid4().bytes
        now = time.time_ns()
        data: dict[str, Any] = {
            "name": "benchmark",
            "description": None,
            "created_by": None,
            "tags": [],
            "metadata": b"\x80",
            "parent": None,
            "config": None,
            "correlation_id": None,
        }
        row = [0, "benchmark", None, None, [], None, b"\x80", now, now, None, None, None, None]
        tail = now.to_bytes(8, "big") + session
        self.write(
            [
                (CF.JOURNAL, session + (1).to_bytes(8, "big"), msgpack.packb(["session.created", now, data, 1, 0, 0])),
                (CF.SESSIONS, session, msgpack.packb(row)),
                (CF.INDEX, b"c\x00" + tail, b""),
                (CF.INDEX, b"u\x00" + tail[:4] + session, b""),
            ]
        )

    def set_variable(self, key: str, value: Any) -> None:
        data: dict[str, Any] = {"key": key, "value": msgpack.packb(value)}
        event = ["variable.set", time.time_ns(), data, self._sequence, 0, 0]
        self.write([(CF.JOURNAL, self._next_key(), msgpack.packb(event))])

    def save(self, variables: dict[str, bytes]) -> None:
        """A snapshot with its digest, and the event that tells of it."""
        now = time.time_ns()
        row = [0, "benchmark", None, None, [], None, b"\x80", now, now, None, None, None, None]
        state = msgpack.packb([row, self._sequence, now, 1, 0, 0, 0, 0, sorted(variables.items())])
        event = ["session.saved", now, {}, self._sequence, 0, 0]
        self.write(
            [
                (CF.JOURNAL, self._next_key(), msgpack.packb(event)),
                (CF.SNAPSHOTS, self._next_key(), msgpack.packb([blake3(state).digest(), state])),
            ]
        )

    def store(self, name: str, content: bytes) -> None:
        """A small artifact: hash, compress, record, version entry, reference, event."""
        digest = blake3(content).digest()
        payload = b"\x00" + content
        if len(content) > COMPRESS_ABOVE:
            packed = lz4.block.compress(content, store_size=False)
            if len(packed) < len(content):
                payload = b"\x01" + packed
        ops: list[Op] = [(CF.CHUNKS, b"\x00" + digest, payload)]
        self.write(ops + self._record_ops(name, digest, len(content), len(payload) - 1, None))

    def store_large(self, name: str, content: bytes) -> None:
        """A large artifact: chunks of 1 MiB, compressed where it pays, hashed as a whole.

        A batch a chunk: one batch of the whole content was measured to be slower.
        """
        hasher = blake3()
        view = memoryview(content)
        blob = os.urandom(16)
        stored = 0
        for offset in range(0, len(view), CHUNK):
            chunk = view[offset : offset + CHUNK]
            hasher.update(chunk)
            packed = lz4.block.compress(chunk, store_size=False)
            payload = b"\x01" + packed if len(packed) < len(chunk) else b"".join((b"\x00", chunk))
            key = blob + offset.to_bytes(8, "big")
            self.write([(CF.CHUNKS, key, payload), (CF.MANIFESTS, key, msgpack.packb([len(chunk), len(payload)]))])
            stored += len(payload) - 1
        self.write(self._record_ops(name, hasher.digest(), len(content), stored, blob))

    def read_large(self, name: str) -> Iterator[bytes]:
        """Read back what `store_large` stored, chunk by chunk, and verify the hash of the whole at the end."""
        families = (CF.INDEX, CF.CONTENTS, CF.MANIFESTS, CF.CHUNKS)
        index, contents, manifests, chunks = (cast(Callable[[bytes], bytes], self._families[cf].get) for cf in families)
        digest = index(b"v" + self._session + name.encode())
        size, _, blob = msgpack.unpackb(contents(digest))
        hasher = blake3()
        for offset in range(0, size, CHUNK):
            key = blob + offset.to_bytes(8, "big")
            length = msgpack.unpackb(manifests(key))[0]
            stored = chunks(key)
            packed = memoryview(stored)[1:]
            data = lz4.block.decompress(packed, uncompressed_size=length) if stored[0] else bytes(packed)
            hasher.update(data)
            yield data
        if hasher.digest() != digest:
            raise AssertionError("the raw pipeline has read back something else")

    def _record_ops(self, name: str, digest: bytes, size: int, stored: int, blob: bytes | None) -> list[Op]:
        now = time.time_ns()
        key = self._next_key()
        facts = {
            "sequence": self._sequence,
            "content_hash": digest,
            "name": name,
            "version": 1,
            "previous_hash": None,
            "type": "tool_result",
            "mime_type": "text/plain",
            "size": size,
            "stored_size": stored,
            "description": None,
            "created_by": None,
            "parent_artifact": None,
            "tags": [],
            "custom": b"\x80",
        }
        record = [value for field, value in facts.items() if field != "sequence"]
        return [
            (CF.CONTENTS, digest, msgpack.packb([size, stored, blob])),
            (CF.REFERENCES, b"c" + digest + self._session + b"a" + key[16:], b""),
            (CF.ARTIFACTS, key, msgpack.packb([*record, now])),
            (CF.INDEX, b"v" + self._session + name.encode(), digest),
            (CF.JOURNAL, key, msgpack.packb(["artifact.stored", now, facts, self._sequence, 1, size])),
        ]


@contextmanager
def _counted(target: Any) -> Iterator[list[int]]:
    """Count the bytes of the keys and values that go through `target.write`."""
    total = [0]
    original = target.write

    def write(ops: Any, *rest: Any) -> Any:
        ops = list(ops)
        total[0] += sum(len(key) + len(value or b"") for _, key, value in ops)
        return original(ops, *rest)

    target.write = write
    try:
        yield total
    finally:
        del target.write


def bytes_written(target: Any, call: Callable[[], object]) -> int:
    """The bytes of keys and values that a call hands to RocksDB, through a runtime's engine or a RawStore."""
    with _counted(target._store.engine if isinstance(target, Runtime) else target) as total:
        call()
    return total[0]


def same_bytes(runtime: Runtime, ours: Callable[[], object], raw: RawStore, by_hand: Callable[[], object]) -> str:
    """What both sides write, as a note for the table. Raises AssertionError when the comparison would not be fair."""
    mine, theirs = bytes_written(runtime, ours), bytes_written(raw, by_hand)
    if not 0.85 <= theirs / mine <= 1.1:
        raise AssertionError(f"not the same bytes: greenroom writes {mine}, the raw baseline {theirs}")
    return f"{mine:,} B, raw {theirs:,} B"
