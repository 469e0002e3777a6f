"""Streams in and out: they tell how far they are, hold little memory, and leave nothing behind when they end early."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, Session

MIB = 1 << 20


class Pipe:
    """A stream without an end that is known."""

    def __init__(self, content: bytes) -> None:
        self._source = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._source.read(size)


class Stop(Exception):
    """What a callback raises that has had enough."""


def nothing_is_left(rt: Runtime) -> bool:
    engine = rt._store.engine
    return (
        rt.stats()["artifacts"]["contents"] == 0
        and rt._store.contents.pending_blobs() == []
        and all(engine.count(family, b"", b"\xff" * 80) == 0 for family in (6, 7, 8, 9))
        and rt.verify().ok
    )


def test_storing_and_saving_tell_how_far_they_are(session: Session, tmp_path: Path) -> None:
    content = os.urandom(9 * MIB)
    source = tmp_path / "source.bin"
    source.write_bytes(content)
    told: list[tuple[int, int | None]] = []
    session.store_file(source, on_progress=lambda done, total: told.append((done, total)))
    done = [each for each, _ in told]
    assert done == sorted(done)
    assert len(done) > 3
    assert told[-1] == (len(content), len(content))
    assert {total for _, total in told} == {len(content)}
    told.clear()
    session.save_artifact("source.bin", tmp_path / "back", on_progress=lambda done, total: told.append((done, total)))
    assert (tmp_path / "back").read_bytes() == content
    assert told[-1] == (len(content), len(content))
    assert len(told) == 9


def test_a_length_that_is_not_known_is_told_as_such(session: Session) -> None:
    told: list[tuple[int, int | None]] = []
    session.store_artifact(
        "log", "piped", Pipe(b"x" * 3 * MIB), on_progress=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (3 * MIB, None)
    part = io.BytesIO(b"y" * 100)
    part.seek(40)
    told.clear()
    session.store_artifact("log", "part", part, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(60, 60)]
    session.store_artifact("log", "bytes", b"at once", on_progress=lambda done, total: told.append((done, total)))
    assert len(told) == 1


@pytest.mark.parametrize("at", [1, 5 * MIB, 9 * MIB])
def test_a_callback_that_raises_ends_the_storing_and_leaves_nothing(rt: Runtime, session: Session, at: int) -> None:
    def enough(done: int, total: int | None) -> None:
        if done >= at:
            raise Stop

    before = session.info()
    with pytest.raises(Stop):
        session.store_artifact("log", "a", Pipe(os.urandom(9 * MIB)), on_progress=enough)
    assert session.info() == before
    assert nothing_is_left(rt)


def test_a_callback_that_raises_ends_the_saving_and_leaves_no_file(session: Session, tmp_path: Path) -> None:
    session.store_artifact("log", "a", io.BytesIO(b"x" * 5 * MIB))
    (tmp_path / "back").write_bytes(b"as it was")

    def enough(done: int, total: int | None) -> None:
        raise Stop

    with pytest.raises(Stop):
        session.save_artifact("a", tmp_path / "back", on_progress=enough)
    assert [each.name for each in tmp_path.iterdir()] == ["back"]
    assert (tmp_path / "back").read_bytes() == b"as it was"


MEASURED = """
import io, json, resource, sys
from blake3 import blake3
from greenroom.runtime import Runtime

class Source:
    def __init__(self, size):
        self.left, self.hash, self.count = size, blake3(), 0
    def read(self, size=-1):
        size = min(size, self.left)
        self.count += 1
        part = (self.count.to_bytes(8, "big") * (size // 8 + 1))[:size]
        self.left -= size
        self.hash.update(part)
        return part

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

size, what = int(sys.argv[2]), sys.argv[3]
small = {"write_buffer_bytes": 4 << 20, "block_cache_bytes": 1 << 20, "artifact_cache_bytes": 1 << 20}
with Runtime.open(sys.argv[1], config=small) as rt:
    if what == "in":
        session = rt.create_session()
        session.store_artifact("log", "warm", Source(5 << 20))
        before, source = peak(), Source(size)
        info = session.store_artifact("log", "large", source)
        found = info.id.content_hash == source.hash.hexdigest() and info.size == size
    else:
        session = rt.session(rt.list_sessions()[0].id)
        with session.open_artifact("warm") as stream:
            stream.read(1 << 20)
        before, hasher, length = peak(), blake3(), 0
        with session.open_artifact("large") as stream:
            while block := stream.read(1 << 20):
                hasher.update(block)
                length += len(block)
            stream.seek(size // 2)
            middle = stream.read(10)
            stream.seek(-10, 2)
            found = len(stream.read()) == len(middle) == 10
        info = session.get_artifact_info("large")
        found = found and length == size and hasher.hexdigest() == info.id.content_hash
    print(json.dumps({"extra": peak() - before, "right": found}))
"""


def test_large_content_goes_in_and_out_within_little_memory(store_path: Path) -> None:
    size = int(os.environ.get("GREENROOM_TEST_STREAM_MIB", "64")) * MIB
    for what in ("in", "out"):
        command = [sys.executable, "-c", MEASURED, str(store_path), str(size), what]
        done = subprocess.run(command, capture_output=True, timeout=280, check=False)
        assert done.returncode == 0, done.stderr.decode()
        figures: dict[str, Any] = json.loads(done.stdout)
        assert figures["right"]
        assert figures["extra"] <= 32 * MIB + (5 << 20), what  # with RocksDB's buffers, as configured here
