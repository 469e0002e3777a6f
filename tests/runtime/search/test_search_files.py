"""The file of the index: locked by another process, a link that leads nowhere, a disk that is full, a killed reader."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from greenroom.actors.search.indexer import Indexer
from greenroom.runtime import OperationTimeout, Runtime, StorageError
from greenroom.storage.files.temporary_folder import TemporaryFolder
from greenroom.storage.search.place import index_path


def test_a_search_waits_no_longer_than_its_timeout_for_a_locked_index(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        s = rt.create_session()
        s.add_message("user", "hello")
        assert rt.search("hello").total == 1
        with closing(sqlite3.connect(index_path(rt.path), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            s.add_message("user", "hello again")
            with pytest.raises(OperationTimeout):  # and not the error after the minute that others wait
                rt.search("hello", timeout=0.2)
            other.execute("ROLLBACK")
        assert rt.search("hello").total == 2


def test_what_was_deleted_and_stays_in_the_log_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenroom.storage.search.index._PATIENCE", 0.1)
    monkeypatch.setattr("greenroom.actors.search.indexer._LOCKED", 0.1)
    with Runtime.open(tmp_path / "store") as rt:
        s = rt.create_session()
        s.add_message("user", "hello quokkaword")
        assert rt.search("hello").total == 1
        with closing(sqlite3.connect(index_path(rt.path), isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM documents").fetchone()
            s.clear_messages()
            with pytest.raises(StorageError, match="another process reads it"):
                rt.compact()
        rt.compact()
        assert not any(b"quokkaword" in path.read_bytes() for path in rt.path.glob("search.sqlite*"))


def test_a_link_that_leads_nowhere_is_replaced(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        for target in (tmp_path / "elsewhere", tmp_path / "nowhere" / "file"):
            path = index_path(rt.path)
            path.symlink_to(target)
            rt.create_session().add_message("user", "hello")
            assert rt.search("hello").total >= 1
            assert not path.is_symlink()
            assert not target.exists()
            rt._parts.search.indexer.rebuild()


def test_a_trouble_that_goes_on_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        rt.search("hello")
        search = rt._parts.search
        caplog.set_level(logging.INFO, "greenroom.search")

        def fail(self: Indexer, timeout: float) -> None:
            raise StorageError("the disk is full")

        with monkeypatch.context() as full:
            full.setattr(Indexer, "catch_up", fail)
            for _ in range(3):
                search._index()
        search._index()
        search._index()
    told = [
        (each.levelname, "full" in each.getMessage()) for each in caplog.records if "up to date" in each.getMessage()
    ]
    assert told == [("WARNING", True), ("INFO", False)]


@pytest.mark.parametrize("search", [False, True])
def test_the_folders_of_a_killed_reader_are_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, search: bool
) -> None:
    folders = tmp_path / "temporary"
    folders.mkdir()
    monkeypatch.setenv("TMPDIR", str(folders))
    monkeypatch.setattr("tempfile.tempdir", None)
    with Runtime.open(tmp_path / "store") as rt:
        rt.create_session().add_message("user", "hello")
        program = (
            "import sys; from greenroom.runtime import Runtime\n"
            f"reader = Runtime.open({str(rt.path)!r}, read_only=True)\n"
            f"{'reader.search(sys.argv[1])' if search else ''}\n"
            "print('open', flush=True); sys.stdin.read()\n"
        )
        killed = subprocess.Popen(
            [sys.executable, "-c", program, "hello"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        assert killed.stdout is not None
        assert killed.stdout.readline() == "open\n"
        copies = list(folders.glob("greenroom-search-*"))
        assert len(copies) == search
        with Runtime.open(rt.path, read_only=True):
            assert all(each.exists() for each in copies)  # they are in use
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
        left = set(folders.iterdir())
        assert left
        with Runtime.open(rt.path, read_only=True) as reader:
            assert reader.search("hello").total == 1
            assert not left & set(folders.iterdir())
        assert not list(folders.iterdir())


def test_a_folder_of_another_kind_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "mine-unmarked").mkdir()
    (tmp_path / "mine-link").symlink_to(tmp_path / "mine-unmarked")
    (tmp_path / "mine-file").write_text("kept")
    folder = TemporaryFolder("mine-")
    folder.remove()
    folder.remove()
    assert {each.name for each in tmp_path.iterdir()} == {"mine-unmarked", "mine-link", "mine-file"}
