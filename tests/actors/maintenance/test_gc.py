from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from greenroom.actors.transfer.staged import StagedSessions
from greenroom.runtime import InvalidOperation, Runtime, Session
from greenroom.storage.codec.keys import INDEX_CREATED, INDEX_TAG, session_bytes
from greenroom.storage.content import staging
from greenroom.storage.content.contents import Contents
from greenroom.storage.engine.engine import CF, Op

SHORT = b"short content"
LONG = os.urandom(300_000)


@pytest.fixture
def s(rt: Runtime) -> Session:
    s = rt.create_session("kept", tags=["a"], metadata={"k": 1})
    s.set("v", 1)
    s.add_message("user", "x" * 5000)
    s.store_artifact("user_input", "short", SHORT)
    s.store_artifact("user_input", "long", LONG)
    return s


def write(rt: Runtime, ops: list[Op]) -> None:
    """Bring the store into a state that a fault could leave behind."""
    rt._store.engine.write(ops)


def keys(rt: Runtime, cf: int, prefix: bytes = b"") -> list[bytes]:
    return [key for key, _ in rt._store.engine.scan(cf, prefix, prefix + b"\xff" * 80)]


def assert_whole(rt: Runtime, s: Session) -> None:
    assert rt.verify().ok
    assert s.get_artifact("short").content == SHORT
    assert s.get_artifact("long").content == LONG
    assert s.messages()[0].content == "x" * 5000
    assert [info.id for info in rt.list_sessions(tags=["a"])] == [s.id]
    assert rt.gc().repaired == ()


def test_gc_of_a_sound_store_does_nothing(rt: Runtime, s: Session) -> None:
    report = rt.gc()
    assert report.repaired == ()
    assert report.remaining == ()
    assert report.freed_bytes == 0
    assert_whole(rt, s)


@pytest.mark.parametrize("cf", [CF.SESSIONS, CF.ARTIFACTS, CF.INDEX, CF.REFERENCES, CF.CONTENTS])
def test_whatever_is_missing_in_a_family_that_follows_from_the_journal_is_written_anew(
    rt: Runtime, s: Session, cf: int
) -> None:
    before = rt._store.engine.scan(cf, b"", b"\xff" * 80)
    for key, _ in before:
        write(rt, [(cf, key, None)])
        assert not rt.verify().ok
        report = rt.gc()
        assert report.repaired
        assert report.remaining == ()
        assert_whole(rt, s)
    assert rt._store.engine.scan(cf, b"", b"\xff" * 80) == before


def test_all_that_can_be_derived_is_written_anew_at_once(rt: Runtime, s: Session) -> None:
    families = (CF.SESSIONS, CF.ARTIFACTS, CF.INDEX, CF.REFERENCES, CF.CONTENTS)
    before = {cf: rt._store.engine.scan(cf, b"", b"\xff" * 80) for cf in families}
    write(rt, [(cf, key, None) for cf in families for key, _ in before[cf]])
    rt.gc()
    assert {cf: rt._store.engine.scan(cf, b"", b"\xff" * 80) for cf in families} == before
    assert rt.stats()["sessions"]["active"] == 1
    assert_whole(rt, s)


def test_a_leaked_reference_is_released_and_the_content_goes_with_it(rt: Runtime, s: Session) -> None:
    other = rt.create_session()
    for content in (b"nobody's" * 500, os.urandom(400_000)):
        other.store_artifact("user_input", "mine", content)
    held = set(keys(rt, CF.REFERENCES, b"c"))
    copies = [(CF.REFERENCES, key, b"") for key in held if key[33:49] == session_bytes(other.id)]
    other.delete()
    contents = len(keys(rt, CF.CONTENTS))
    # References that outlived their session, and what they refer to: as if the deletion had been cut in half.
    kept = rt.create_session()
    kept.store_artifact("user_input", "mine", b"nobody's" * 500)
    write(rt, copies)
    kept.delete()
    assert len(keys(rt, CF.CONTENTS)) == contents + 1
    report = rt.gc()
    assert report.counts["reference"] >= 1
    assert report.freed_bytes > 0
    assert len(keys(rt, CF.CONTENTS)) == contents
    assert_whole(rt, s)


def test_content_chunks_manifests_and_marks_of_nobody_are_removed(rt: Runtime, s: Session) -> None:
    before = {cf: rt._store.engine.scan(cf, b"", b"\xff" * 80) for cf in range(len(CF.NAMES))}
    blob, chunk, digest = os.urandom(16), os.urandom(32), os.urandom(32)
    stray = os.urandom(16)
    known = next(key for key in keys(rt, CF.REFERENCES, b"k"))
    write(
        rt,
        [
            Contents.record_op(digest, 5, 5, None),
            (CF.CHUNKS, b"\x00" + digest, b"\x00lost!"),
            (CF.CHUNKS, b"\x01" + chunk, b"\x00chunk"),
            (CF.MANIFESTS, blob + bytes(8), b"no record"),
            (CF.REFERENCES, b"k" + known[1:33] + blob, bytes(4)),
            (CF.META, b"pending/" + stray, b""),
            (CF.INDEX, INDEX_TAG + bytes(16) + session_bytes(s.id), b""),
            (CF.INDEX, INDEX_CREATED + bytes(9) + os.urandom(16), b""),
        ],
    )
    report = rt.gc()
    assert set(report.counts) >= {"content", "chunk", "blob", "index"}
    assert {cf: rt._store.engine.scan(cf, b"", b"\xff" * 80) for cf in range(len(CF.NAMES))} == before
    assert_whole(rt, s)


def test_a_stream_that_is_being_stored_is_left_alone(rt: Runtime, s: Session) -> None:
    reached, go_on = threading.Event(), threading.Event()

    class Slow:
        """A file that waits in its middle."""

        def __init__(self) -> None:
            self.left = 6

        def read(self, size: int) -> bytes:
            self.left -= 1
            if self.left == 1:
                reached.set()
                assert go_on.wait(30)
            return LONG * 8 if self.left > 0 else b""

    stored = []
    thread = threading.Thread(
        target=lambda: stored.append(s.store_artifact("user_input", "slow", Slow()))  # type: ignore[arg-type]
    )
    thread.start()
    assert reached.wait(30)
    assert keys(rt, CF.META, b"pending/")
    assert rt.gc().repaired == ()
    go_on.set()
    thread.join(60)
    assert s.get_artifact("slow").content == LONG * 8 * (stored[0].size // len(LONG * 8))
    assert rt.gc().repaired == ()
    assert_whole(rt, s)


def test_gc_and_verify_under_load_find_nothing_and_break_nothing(rt: Runtime, s: Session) -> None:
    stop = threading.Event()
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            while not stop.is_set():
                mine = rt.create_session(f"worker {number}", tags=["w"])
                mine.set("k", number)
                mine.add_message("user", f"{number}" * 3000)
                info = mine.store_artifact("user_input", "a", os.urandom(200_000))
                mine.store_artifact("user_input", "a", SHORT)
                mine.delete_artifact(info.id)
                assert mine.get_artifact("a").content == SHORT
                mine.delete()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(25):
            assert rt.gc().repaired == ()
            assert rt.verify(repair=True).problems == []
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert errors == []
    assert_whole(rt, s)


def test_damage_is_left_to_verify(rt: Runtime, s: Session) -> None:
    key = session_bytes(s.id) + (2).to_bytes(8, "big")
    write(rt, [(CF.JOURNAL, key, b"damaged")])
    report = rt.gc()
    assert report.repaired == ()
    assert [problem.kind for problem in report.remaining] == ["event"]
    assert rt.verify(repair=True).ok
    assert s.get_artifact("short").content == SHORT


def test_a_read_only_runtime_repairs_nothing(rt: Runtime, s: Session) -> None:
    with Runtime.open(rt.path, read_only=True) as follower:
        assert follower.verify().ok
        for attempt in (follower.gc, lambda: follower.verify(repair=True)):
            with pytest.raises(InvalidOperation, match="read_only"):
                attempt()


def test_an_import_that_is_being_written_is_left_alone(rt: Runtime, s: Session, tmp_path: Path) -> None:
    bundle = tmp_path / "s.bundle"
    rt.export_session(s.id, bundle)
    found = []

    calls: list[object] = []

    def while_importing(*done: object) -> None:
        calls.append(done)
        found.extend(rt.gc().repaired)
        found.extend(rt.verify(repair=True).problems)

    copy = rt.import_bundle(bundle, keep_ids=False, on_progress=while_importing)[0]
    assert calls
    assert found == []
    assert copy.get_artifact("long").content == LONG
    assert_whole_copy(rt, copy)


def test_what_an_interrupted_import_has_written_goes(rt: Runtime, s: Session, tmp_path: Path) -> None:
    bundle = tmp_path / "s.bundle"
    rt.export_session(s.id, bundle)
    engine = rt._store.engine

    def interrupt(*done: object) -> None:
        if list(staging.marks(engine)):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        # A second interrupt keeps what was written from being taken back.
        patch.setattr(StagedSessions, "undo", lambda staged: interrupt())
        with pytest.raises(KeyboardInterrupt):
            rt.import_bundle(bundle, keep_ids=False, on_progress=interrupt)
    assert len(list(staging.marks(engine))) == 1
    rt.gc()
    assert list(staging.marks(engine)) == []
    assert rt.verify().ok
    assert rt.gc().repaired == ()
    assert s.get_artifact("long").content == LONG


def assert_whole_copy(rt: Runtime, copy: Session) -> None:
    assert copy.messages()[0].content == "x" * 5000
    assert rt.verify().ok
    assert rt.gc().repaired == ()
