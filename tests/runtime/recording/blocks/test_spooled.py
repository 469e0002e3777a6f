"""What is recorded in a block stands in a spool before the program goes on, and in the journal before anybody reads the
session."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from greenroom.runtime import Runtime, RuntimeConfig
from greenroom.runtime.recording.journal.reading import tape_of
from greenroom.runtime.recording.tape.endings import ending_of
from greenroom.storage.common.durability import Durability
from greenroom.storage.errors import RuntimeClosed

from .spool_worker import CALLS, answer, clock
from .test_behind_the_back import ask_model, busy, occupied

__all__ = ["busy"]

_WORKER = Path(__file__).with_name("spool_worker.py")
_ENDINGS = {
    "closed": "without an exception",
    "ended": "without an exception",
    "raised": "by LookupError: the block",
    "killed": "no: it was killed, or goes on",
}


def spools(path: Path) -> list[Path]:
    return sorted((path / "recordings").glob("*.spool"))


@pytest.mark.parametrize("size", [10, 300_000], ids=["small", "large"])
@pytest.mark.parametrize("looks", ["looks", "blind"])
@pytest.mark.parametrize("how", _ENDINGS)
def test_a_block_is_there_however_it_ends_and_whoever_reads(store_path: Path, how: str, looks: str, size: int) -> None:
    command = [sys.executable, _WORKER, store_path, how, looks, str(size)]
    session_id, *told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.splitlines()
    assert len(told) == CALLS
    assert bool(spools(store_path)) == (how != "closed")
    for _ in range(2):  # what was taken up once is not taken again
        with Runtime.open(store_path) as rt:
            tape = tape_of(rt.session(session_id))
            assert [each.outcome["value"][:30] for each in tape.crossings] == told
            assert [read[4] for each in tape.reads for read in each.reads] == [*range(CALLS)]
            assert ending_of(tape.about) == _ENDINGS[how]
            assert rt.verify().ok
        assert not spools(store_path)


def test_what_a_killed_block_tells_is_understood_by_who_opens_the_store(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as rt, rt.recording("chat") as session:
        ask_model("Hello")
        left = tmp_path / "left"
        shutil.copytree(rt.path / "recordings", left)
        rt.backup(tmp_path / "backup")
    with Runtime.open(_restored(tmp_path, left)) as again:
        assert [each.text for each in again.session(session.id).messages()] == ["Hello", "Hi."]
        assert len(tape_of(again.session(session.id)).crossings) == 1


def _restored(path: Path, left: Path) -> Path:
    """Return a store as it is after a crash: the journal has what the spool has, which was not removed."""
    Runtime.restore(path / "backup", path / "restored")
    shutil.copytree(left, path / "restored" / "recordings")
    return path / "restored"


@pytest.mark.usefixtures("busy")
def test_a_backup_has_all_that_was_acknowledged(rt: Runtime, tmp_path: Path) -> None:
    with rt.recording("chat") as session:
        ask_model("Hello")
        rt.backup(tmp_path / "backup")
        ask_model("Hello", "Hi.", "Bye")
    Runtime.restore(tmp_path / "backup", tmp_path / "restored")
    with Runtime.open(tmp_path / "restored") as again:
        assert len(tape_of(again.session(session.id)).crossings) == 1
    assert len(tape_of(session).crossings) == 2


@pytest.mark.usefixtures("busy")
def test_a_full_disk_ends_the_recording_and_not_the_block(rt: Runtime) -> None:
    with rt.recording("block") as session:
        answer("first", 10)
        with _limited(resource.RLIMIT_FSIZE, 4096):
            assert answer("second", 10_000).endswith("xxx")
        assert answer("third", 10).startswith("third")
    tape = tape_of(session)
    assert [each.input["arguments"]["question"] for each in tape.crossings] == ["first"]
    assert "StorageError" in tape.about["failure"]
    assert not spools(rt.path)


@pytest.mark.usefixtures("busy")
def test_a_block_that_may_open_no_file_is_recorded_all_the_same(rt: Runtime) -> None:
    with rt.recording("block") as session:
        with _limited(resource.RLIMIT_NOFILE, 1):
            assert clock(7) == 7
            answer("first", 10)
        answer("second", 10)
    tape = tape_of(session)
    assert [each.input["arguments"]["question"] for each in tape.crossings] == ["first", "second"]
    assert [read[4] for each in tape.reads for read in each.reads] == [7]


@contextmanager
def _limited(what: int, most: int) -> Iterator[None]:
    before = resource.getrlimit(what)
    resource.setrlimit(what, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


def test_a_store_that_takes_no_spool_keeps_the_block_unrecorded(rt: Runtime) -> None:
    (rt.path / "recordings").write_text("")
    with rt.recording("block") as session:
        assert answer("first", 10).startswith("first")
    tape = tape_of(session)
    assert not tape.crossings
    assert "StorageError" in tape.about["failure"]


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("end", ["complete", "delete"])
def test_a_session_that_ends_within_its_block_has_what_came_before(rt: Runtime, end: str) -> None:
    with rt.recording("block") as session:
        answer("first", 10)
        getattr(session, end)()
        assert answer("second", 10).startswith("second")
    rt.core.settle()
    assert not spools(rt.path)
    if end == "complete":
        assert [each.input["arguments"]["question"] for each in tape_of(session).crossings] == ["first"]


@pytest.mark.usefixtures("busy")
def test_two_blocks_of_one_session_at_once_are_two_recordings(rt: Runtime) -> None:
    session = rt.create_session()
    with rt.recording(session=session):
        answer("outer", 1)
        with rt.recording(session=session):
            answer("both", 1)
        answer("outer again", 1)
    runs = [each.sequence for each in session.events() if each.type == "recording.started"]
    asked = [[each.input["arguments"]["question"] for each in tape_of(session, run=run).crossings] for run in runs]
    assert asked == [["outer", "both", "outer again"], ["both"]]


def test_a_process_that_was_forked_off_leaves_the_spool_alone(rt: Runtime) -> None:
    with rt.recording("block") as session:
        answer("first", 10)
        if (child := os.fork()) == 0:
            answer("of the child", 10)
            os._exit(0)
        os.waitpid(child, 0)
        answer("second", 10)
    assert [each.input["arguments"]["question"] for each in tape_of(session).crossings] == ["first", "second"]


def test_a_block_that_outlives_its_runtime_ends_quietly(store_path: Path) -> None:
    rt = Runtime.open(store_path)
    with rt.recording("block") as session:
        answer("first", 10)
        rt.close()
        assert answer("second", 10).startswith("second")
    with pytest.raises(RuntimeClosed):
        session.info()
    with Runtime.open(store_path) as again:
        tape = tape_of(again.session(session.id))
        assert [each.input["arguments"]["question"] for each in tape.crossings] == ["first"]


@pytest.mark.parametrize("durability", ["memory", "wal", "fsync"])
def test_no_secret_is_in_a_spool(tmp_path: Path, durability: str) -> None:
    config = RuntimeConfig(durability=Durability(durability), redact=[r"tok_\w+"])
    with Runtime.open(tmp_path, config=config) as rt, occupied(rt):
        with rt.recording("block", redact=[r"sk-\w+"]) as session:
            answer("sk-hunter2 and tok_hunter2", 10)
            (spool,) = spools(tmp_path)
            assert b"hunter2" not in spool.read_bytes()
            assert b"redacted" in spool.read_bytes()
        assert tape_of(session).crossings[0].input["arguments"]["question"].count("[redacted]") == 2
