from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import ResourceLimitExceeded, Runtime, Session, messages
from greenroom.storage.engine.engine import CF

from ...warm import run_warm


def everything(rt: Runtime) -> list[tuple[bytes, bytes]]:
    return [entry for cf in range(len(CF.NAMES)) for entry in rt._store.engine.scan(cf, b"", b"\xff" * 200)]


def used(rt: Runtime) -> int:
    bytes_: int = rt.stats()["artifacts"]["unique_bytes"]
    return bytes_


def small(limit: int, **more: Any) -> dict[str, Any]:
    return {"max_store_bytes": limit, **more}


class Endless(io.RawIOBase):
    """A stream that tells how much was taken from it."""

    taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = len(buffer)
        buffer[:] = os.urandom(size)
        self.taken += size
        return size


@pytest.mark.parametrize("size", [2000, 50_000, 400_000])
def test_what_is_refused_changes_nothing(size: int) -> None:
    with Runtime.open(config=small(2 * size)) as rt:
        session = rt.create_session()
        for number in range(2):
            session.store_artifact("t", f"n{number}", os.urandom(size))
        assert used(rt) == 2 * size
        before = everything(rt)
        for refused in (
            lambda: session.store_artifact("t", "more", os.urandom(1)),
            lambda: session.store_artifact("t", "more", os.urandom(size)),
            lambda: session.store_artifact("t", "more", io.BytesIO(os.urandom(size))),
            lambda: session.store_many([{"type": "t", "name": "more", "content": c} for c in (b"", b"x", b"y")]),
            lambda: session.add_message("user", "x" * 10_000),
        ):
            with pytest.raises(ResourceLimitExceeded) as caught:
                refused()
            assert caught.value.fields["resource"] == "store_bytes"
            assert caught.value.fields["limit"] == 2 * size
            assert everything(rt) == before
        session.set("k", 1)  # only content counts
        assert rt.verify().problems == []


def test_content_that_is_there_needs_no_room() -> None:
    with Runtime.open(config=small(500_000)) as rt:
        session = rt.create_session()
        content = os.urandom(500_000)
        session.store_artifact("t", "n", content)
        session.store_artifact("t", "again", content)
        session.store_artifact("t", "streamed", io.BytesIO(content))
        rt.tell(session.id, messages.StoreArtifact("t", "told", content))
        fork = session.fork()
        assert used(rt) == 500_000
        assert session.get_artifact("told").content == content
        fork.delete()
        session.delete()
        rt.create_session().store_artifact("t", "n", os.urandom(500_000))


def test_a_stream_ends_where_the_room_does() -> None:
    with Runtime.open(config=small(1_000_000)) as rt:
        session, stream = rt.create_session(), Endless()
        before = everything(rt)
        with pytest.raises(ResourceLimitExceeded):
            session.store_artifact("t", "n", stream)  # type: ignore[arg-type]
        assert stream.taken < 12_000_000
        assert everything(rt) == before


def test_the_count_is_right_after_closing_and_after_a_crash(store_path: Path) -> None:
    with Runtime.open(store_path, config=small(1000)) as rt:
        session = rt.create_session()
        session.store_artifact("t", "a", "a" * 600)
    with Runtime.open(store_path) as rt:  # not watched: the count that was left is of no use any more
        rt.session(session.id).store_artifact("t", "b", "b" * 300)
    for _ in range(2):
        with Runtime.open(store_path, config=small(1000)) as rt:
            again = rt.session(session.id)
            with pytest.raises(ResourceLimitExceeded) as caught:
                again.store_artifact("t", "c", "c" * 101)
            assert caught.value.fields["value"] == 1001
            again.store_artifact("t", "c", "c" * 100)
            again.delete_artifact("c")
    crashing = (
        "import os, sys\n"
        "from greenroom.runtime import Runtime\n"
        "rt = Runtime.open(sys.argv[1], config={'max_store_bytes': 1000})\n"
        "rt.session(sys.argv[2]).store_artifact('t', 'd', 'd' * 50)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ended = run_warm([sys.executable, "-c", crashing, str(store_path), session.id])
    assert ended.returncode == -9
    with Runtime.open(store_path, config=small(1000)) as rt:
        with pytest.raises(ResourceLimitExceeded) as caught:
            rt.session(session.id).store_artifact("t", "e", "e" * 51)
        assert caught.value.fields["value"] == 1001


def test_many_at_once_share_what_room_there_is() -> None:
    with Runtime.open(config=small(10 * 3000)) as rt:
        sessions = [rt.create_session() for _ in range(4)]
        stored: list[int] = []

        def store(session: Session, number: int) -> None:
            for each in range(10):
                try:
                    session.store_artifact("t", f"n{each}", os.urandom(3000))
                except ResourceLimitExceeded:
                    continue
                stored.append(number)

        threads = [threading.Thread(target=store, args=(session, n)) for n, session in enumerate(sessions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(stored) == 10
        assert used(rt) == 30_000


def test_an_import_needs_room_too(tmp_path: Path) -> None:
    with Runtime.open() as rt:
        session = rt.create_session()
        for number in range(3):
            session.store_artifact("t", f"n{number}", os.urandom(1000))
        session.export(tmp_path / "bundle")
    with Runtime.open(config=small(2999)) as rt:
        before = everything(rt)
        with pytest.raises(ResourceLimitExceeded):
            rt.import_bundle(tmp_path / "bundle")
        assert everything(rt) == before
    with Runtime.open(config=small(3000)) as rt:
        rt.import_bundle(tmp_path / "bundle")
