"""Search while the store changes, and with an index that is damaged while it is open."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from greenroom.actors.search import changes, indexer
from greenroom.runtime import Runtime
from greenroom.storage.search.place import index_path


@pytest.fixture
def rt(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime.open(tmp_path / "store") as runtime:
        yield runtime


@pytest.mark.parametrize("batch", [7, indexer._LISTED])
def test_sessions_that_change_while_they_are_listed_are_listed(
    rt: Runtime, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "_LISTED", batch)
    sessions = [rt.create_session() for _ in range(1200)]
    listed = rt._parts.search.indexer._recent(0)
    found = {next(listed)[1]}
    for session in sessions[1::2]:
        session.suspend()
    for session in sessions[::2]:
        session.add_message("user", "later")
    found |= {session for _, session in listed}
    assert {session.hex() for session in found} == {session.id.replace("-", "") for session in sessions}


def test_a_search_does_not_wait_for_what_is_written_after_it(rt: Runtime) -> None:
    s, done = rt.create_session(), threading.Event()
    s.add_messages([{"role": "user", "content": "hello"}] * 2000)

    def write() -> None:
        while not done.wait(0.005):  # without a pause, one thread hardly lets another have Python
            s.add_messages([{"role": "user", "content": "more"}] * 300)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert rt.search("hello", timeout=60).total == 2000
    finally:
        done.set()
        writer.join()


@pytest.mark.parametrize("batch", [1, 7, 160])
def test_sessions_with_more_texts_than_are_written_together_are_indexed_once(
    rt: Runtime, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_BATCH", batch)
    monkeypatch.setattr(indexer, "_PAGE", 5)
    assert rt.search("hello").total == 0
    for _ in range(2):
        sessions = [rt.create_session() for _ in range(3)]  # the writer tells of them, and they have new events
        for session in sessions:
            session.add_messages([{"role": "user", "content": f"hello {number}"} for number in range(40)])
        assert rt.search("hello", session=sessions[0]).total == 40
    assert rt.search("hello").total == 240
    assert rt.verify().problems == []


def fill(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def spoil(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(path.stat().st_size - 8192))


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def drop(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("DROP TABLE facts")


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("first", ["search", "compact", "erase", "reader"])
@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize("damage", [fill, spoil, halve, empty, drop, remove])
def test_a_damaged_index_is_made_anew_whoever_finds_it(
    tmp_path: Path, damage: Callable[[Path], None], is_open: bool, first: str
) -> None:
    path = tmp_path / "store"
    rt = Runtime.open(path)
    s = rt.create_session(created_by="ada")
    s.add_messages([{"role": "user", "content": f"hello number{number}"} for number in range(1000)])
    rt.create_session(created_by="bob").add_message("user", "hello quokkaword")
    assert rt.search("hello").total == 1001
    if not is_open:
        rt.close()
    with closing(sqlite3.connect(index_path(path))) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    damage(index_path(path))
    rt = rt if is_open else Runtime.open(path)
    with rt:
        s = rt.session(s.id)
        s.add_message("user", "hello newest")
        if first == "reader":
            with Runtime.open(path, read_only=True) as reader:
                assert reader.search("hello").total == 1002
        elif first == "compact":
            rt.compact()
        elif first == "erase":
            assert rt.erase("bob", needles=["quokkaword"]).clean
        assert rt.search("newest").total == 1
        assert rt.search("number7").total == 1
        assert rt.search("hello").total == (1001 if first == "erase" else 1002)
        assert rt.verify().problems == []


def test_a_folder_in_the_place_of_the_index_is_reported(rt: Runtime) -> None:
    s = rt.create_session()
    index_path(rt.path).mkdir()
    s.add_message("user", "hello")
    assert [(each.kind, each.repaired) for each in rt.verify().problems] == [("search", None)]
