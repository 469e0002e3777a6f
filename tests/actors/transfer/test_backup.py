from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from greenroom.runtime import InvalidOperation, Runtime, StorageError


def busy(runtime: Runtime, stop: threading.Event, ready: threading.Barrier, number: int) -> None:
    """Everything that a session can do, without a pause."""
    session = runtime.create_session(name=f"writer {number}")
    turn = 0
    while not stop.is_set():
        turn += 1
        session.set("turn", turn)
        session.store_artifact("t", "a", b"%d " % turn * 2000)
        session.store_artifact("t", f"big {turn % 3}", os.urandom(200_000))
        session.add_message("user", f"{turn} " * 3000)
        if turn > 5:
            session.delete_artifact("a", turn - 5)
        runtime.create_session(name="short-lived").delete()
        runtime.create_session(name="child", parent=session)
        if turn == 6:
            ready.wait(60)


@pytest.mark.parametrize("durability", ["wal", "fsync", "memory"])
def test_a_backup_under_load_is_one_moment_and_whole(store_path: Path, tmp_path: Path, durability: str) -> None:
    with Runtime.open(store_path, config={"durability": durability}) as runtime:
        ordered = runtime.create_session(name="ordered")
        stop, ready = threading.Event(), threading.Barrier(3)
        threads = [threading.Thread(target=busy, args=(runtime, stop, ready, number)) for number in range(2)]

        def in_order() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                ordered.set("first", number)
                ordered.set("second", number)

        threads.append(threading.Thread(target=in_order))
        for thread in threads:
            thread.start()
        try:
            ready.wait(60)
            acknowledged = []
            for number in range(3):
                acknowledged.append(ordered.get("second", 0))
                report = runtime.backup(tmp_path / f"backup-{number}")
                assert report.bytes > 0
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    for number in range(3):
        restored = Runtime.restore(tmp_path / f"backup-{number}", tmp_path / f"restored-{number}")
        assert restored.verified is not None
        assert restored.verified.problems == []
        with Runtime.open(tmp_path / f"restored-{number}") as runtime:
            session = runtime.session(ordered.id)
            # What was acknowledged before is in it, and a later write never without an earlier one.
            assert session.get("second") >= acknowledged[number]
            assert session.get("first") - session.get("second") in (0, 1)
            runtime.create_session(name="it goes on").set("k", 1)
            assert runtime.verify().problems == []


def test_a_backup_does_not_change_when_the_store_goes_on(store_path: Path, tmp_path: Path) -> None:
    with Runtime.open(store_path) as runtime:
        session = runtime.create_session(name="s")
        session.store_artifact("t", "a", b"x" * 500_000)
        runtime.backup(tmp_path / "backup")
        session.delete()
        runtime.compact()
    with Runtime.open(tmp_path / "backup") as kept:
        assert kept.session(session.id).get_artifact("a").content == b"x" * 500_000
    # A backup serves any number of times, and opening it has not spoiled it.
    for name in ("one", "two"):
        assert Runtime.restore(tmp_path / "backup", tmp_path / name, verify=False).verified is None
        with Runtime.open(tmp_path / name) as runtime:
            assert runtime.count_sessions() == 1


def test_paths_that_are_taken_are_refused(rt: Runtime, tmp_path: Path) -> None:
    rt.create_session()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    os.symlink(tmp_path / "nowhere", tmp_path / "link")
    rt.backup(tmp_path / "new" / "backup")
    for name in ("file", "full", "empty", "link", "new/backup"):
        with pytest.raises(StorageError):
            rt.backup(tmp_path / name)
    for name in ("file", "full", "link", "new/backup"):
        with pytest.raises(StorageError):
            Runtime.restore(tmp_path / "new" / "backup", tmp_path / name)
    Runtime.restore(tmp_path / "new" / "backup", tmp_path / "empty")
    assert (tmp_path / "file").read_text() == (tmp_path / "full" / "file").read_text() == "mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["empty", "file", "full", "link", "new"]


def test_what_is_no_backup_is_refused(rt: Runtime, tmp_path: Path) -> None:
    rt.create_session()
    rt.backup(tmp_path / "good")
    (tmp_path / "nothing").mkdir()
    for name, spoil in {
        "link": lambda path: os.symlink("/etc/passwd", path / "000099.sst"),
        "directory": lambda path: (path / "000099.sst").mkdir(),
        "fifo": lambda path: os.mkfifo(path / "000099.sst"),
        "no manifest": lambda path: [each.unlink() for each in path.glob("MANIFEST*")],
        "bad pointer": lambda path: (path / "CURRENT").write_bytes(b"MANIFEST-999999\n"),
        "outside": lambda path: (path / "CURRENT").write_bytes(b"../../../etc/passwd\n"),
    }.items():
        rt.backup(tmp_path / name)
        spoil(tmp_path / name)
        with pytest.raises(StorageError):
            Runtime.restore(tmp_path / name, tmp_path / "restored")
    for name in ("nothing", "missing"):
        with pytest.raises(StorageError):
            Runtime.restore(tmp_path / name, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_damaged_backup_is_restored_as_far_as_it_goes_and_says_so(store_path: Path, tmp_path: Path) -> None:
    with Runtime.open(store_path) as runtime:
        session = runtime.create_session()
        session.store_artifact("t", "a", os.urandom(100_000))
        content = session.get_artifact("a").content
        runtime.backup(tmp_path / "backup")
    # Hard links: the store's own file must not be touched.
    for file in (tmp_path / "backup").iterdir():
        data = file.read_bytes()
        file.unlink()
        file.write_bytes(data.replace(content[5000:6000], bytes(1000)))
    try:
        report = Runtime.restore(tmp_path / "backup", tmp_path / "restored")
    except StorageError:
        return  # RocksDB itself has found it
    assert report.verified is not None
    assert not report.verified.ok


def test_a_follower_makes_no_backup(store_path: Path, tmp_path: Path) -> None:
    Runtime.open(store_path).close()
    with Runtime.open(store_path, read_only=True) as follower, pytest.raises(InvalidOperation):
        follower.backup(tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_a_backup_during_an_import_has_all_of_it_or_nothing(rt: Runtime, other: Runtime, tmp_path: Path) -> None:
    root = rt.create_session(name="root")
    for number in range(4):
        rt.create_session(parent=root).store_artifact("t", "a", os.urandom(300_000 + number))
    root.export(tmp_path / "s.bundle", tree=True)
    taken: list[Path] = []

    def show(done: int, total: int) -> None:
        path = tmp_path / f"backup-{len(taken)}"
        other.backup(path)
        taken.append(path)

    other.import_bundle(tmp_path / "s.bundle", on_progress=show)
    assert len(taken) > 10
    totals = []
    for path in taken:
        with Runtime.open(path) as runtime:
            totals.append(runtime.count_sessions())
            assert runtime.verify().problems == []
    assert set(totals) == {0, 5}
