"""The engine: atomic batches, ordered scans, three durabilities, and errors that say what is wrong."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import rocksdict
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.storage.codec.records import seal
from greenroom.storage.engine.engine import CF, FORMAT_VERSION, Durability, Engine, EngineOptions
from greenroom.storage.errors import (
    IntegrityError,
    InvalidOperation,
    RuntimeClosed,
    SchemaTooNew,
    StorageError,
    StoreLocked,
)


def open_engine(path: Path, durability: Durability = Durability.WAL, *, read_only: bool = False) -> Engine:
    return Engine(path, durability, EngineOptions(), read_only=read_only)


def crashed_copy(path: Path, target: Path) -> Path:
    """What a machine would find if the process died now: the files as they are, without the lock."""
    shutil.copytree(path, target, ignore=shutil.ignore_patterns("LOCK"))
    return target


def files_of(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


# -- reading and writing


def test_what_is_written_is_read_until_it_is_deleted(engine: Engine) -> None:
    engine.write([(CF.META, b"a", b"1"), (CF.INDEX, b"a", b"2"), (CF.META, b"empty", b"")])
    assert engine.get(CF.META, b"a") == b"1"
    assert engine.get(CF.INDEX, b"a") == b"2"
    assert engine.get(CF.META, b"empty") == b""
    assert engine.get(CF.JOURNAL, b"a") is None
    engine.write([(CF.META, b"a", None)])
    assert engine.get(CF.META, b"a") is None
    assert engine.get(CF.INDEX, b"a") == b"2"


def test_the_last_operation_on_a_key_wins(engine: Engine) -> None:
    engine.write([(CF.META, b"k", b"1"), (CF.META, b"k", b"2"), (CF.INDEX, b"x", b"1"), (CF.INDEX, b"x", None)])
    assert engine.get(CF.META, b"k") == b"2"
    assert engine.get(CF.INDEX, b"x") is None


def test_a_range_is_deleted_with_its_beginning_and_without_its_end(engine: Engine) -> None:
    engine.write([(CF.INDEX, bytes([number]), b"") for number in range(10)])
    engine.write([(CF.INDEX, b"\x04", b"new")], ranges=[(CF.INDEX, b"\x02", b"\x07")])
    found = [key[0] for key, _ in engine.scan(CF.INDEX, b"", b"\xff")]
    assert found == [0, 1, 4, 7, 8, 9]  # what the same batch writes stays


def test_a_batch_with_a_bad_operation_writes_nothing(engine: Engine) -> None:
    bad: Any = (CF.META, b"b", "text")
    with pytest.raises(StorageError):
        engine.write([(CF.META, b"a", b"1"), bad])
    assert engine.get(CF.META, b"a") is None


KEYS = st.binary(min_size=1, max_size=4)


@given(
    st.dictionaries(KEYS, st.binary(max_size=4), max_size=30),
    st.binary(max_size=4),
    st.binary(max_size=5),
    st.booleans(),
    st.none() | st.integers(0, 35),
    st.integers(1, 7),
)
@settings(max_examples=60)
def test_scans_and_pages_answer_as_a_sorted_list_would(
    engine: Engine,
    entries: dict[bytes, bytes],
    begin: bytes,
    end: bytes,
    reverse: bool,
    limit: int | None,
    page: int,
) -> None:
    engine.write([], ranges=[(CF.INDEX, b"", b"\xff" * 6)])
    engine.write([(CF.INDEX, key, value) for key, value in entries.items()])
    expected = sorted((key, value) for key, value in entries.items() if begin <= key < end)
    if reverse:
        expected.reverse()
    assert engine.scan(CF.INDEX, begin, end, reverse=reverse, limit=limit) == expected[:limit]
    assert list(engine.pages(CF.INDEX, begin, end, reverse=reverse, page=page)) == expected
    assert engine.entries(CF.INDEX, begin, end, reverse=reverse, limit=limit) == expected[:limit]


@given(st.integers(0, 120), st.integers(0, 120), st.booleans(), st.none() | st.integers(0, 130))
@settings(max_examples=60)
def test_many_entries_are_what_a_scan_finds(
    engine: Engine, begin: int, end: int, reverse: bool, limit: int | None
) -> None:
    engine.write([(CF.INDEX, bytes([number]), bytes([number]) * 9) for number in range(100)])
    found = engine.entries(CF.INDEX, bytes([begin]), bytes([end]), reverse=reverse, limit=limit)
    assert found == engine.scan(CF.INDEX, bytes([begin]), bytes([end]), reverse=reverse, limit=limit)


@given(
    sizes=st.lists(st.sampled_from([0, 10, 3000, 40_000, 1 << 20]), max_size=150),
    begin=st.integers(0, 150),
    end=st.integers(0, 160),
    page=st.sampled_from([1, 7, 64, 100]),
)
@settings(max_examples=40)
def test_runs_are_what_a_scan_finds(engine: Engine, sizes: list[int], begin: int, end: int, page: int) -> None:
    entries = [(bytes([1, number]), bytes(size)) for number, size in enumerate(sizes)]
    engine.write([(CF.JOURNAL, b"\0", b""), (CF.JOURNAL, b"\2", b"")], [(CF.JOURNAL, b"\1", b"\2")])
    engine.write([(CF.JOURNAL, key, value) for key, value in entries])
    found = list(engine.runs(CF.JOURNAL, bytes([1, begin]), bytes([1, end]), page=page))
    assert [entry for run in found for entry in run] == entries[begin:end]
    assert max(map(len, found)) <= max(page, 8)
    assert max(sum(len(value) for _, value in run) for run in found) <= 20 << 20


@given(st.sets(st.tuples(st.binary(min_size=2, max_size=2), st.integers(0, 300)), max_size=20))
@settings(max_examples=30)
def test_last_finds_the_greatest_key_of_a_prefix_or_nothing(engine: Engine, entries: set[tuple[bytes, int]]) -> None:
    engine.write([], ranges=[(CF.SNAPSHOTS, b"", b"\xff" * 20)])
    engine.write([(CF.SNAPSHOTS, prefix + number.to_bytes(8, "big"), b"x") for prefix, number in entries])
    for prefix in {prefix for prefix, _ in entries} | {b"\x00\x00", b"zz"}:
        numbers = [number for owner, number in entries if owner == prefix]
        found = engine.last(CF.SNAPSHOTS, prefix)
        assert (int.from_bytes(found[0][2:], "big") if found else None) == max(numbers, default=None)


# -- opening


def test_a_store_keeps_what_it_has_over_closing(store_path: Path) -> None:
    first = open_engine(store_path)
    first.write([(cf, b"key", bytes([cf])) for cf in range(len(CF.NAMES))])
    first.close()
    first.close()
    second = open_engine(store_path)
    assert [second.get(cf, b"key") for cf in range(len(CF.NAMES))] == [bytes([cf]) for cf in range(len(CF.NAMES))]
    second.close()


def test_a_closed_engine_says_that_it_is_closed(store_path: Path) -> None:
    engine = open_engine(store_path)
    engine.close()
    for use in (
        lambda: engine.get(CF.META, b"k"),
        lambda: engine.scan(CF.META, b"", b"x"),
        lambda: list(engine.pages(CF.META, b"", b"x")),
        lambda: engine.last(CF.META, b""),
        lambda: engine.write([(CF.META, b"k", b"v")]),
        engine.statistics,
    ):
        with pytest.raises(RuntimeClosed):
            use()


def test_a_second_opening_is_refused_and_the_first_goes_on(store_path: Path) -> None:
    first = open_engine(store_path)
    with pytest.raises(StoreLocked, match="read_only=True"):
        open_engine(store_path)
    first.write([(CF.META, b"k", b"v")])
    assert first.get(CF.META, b"k") == b"v"
    first.close()
    open_engine(store_path).close()


@pytest.mark.parametrize("durability", Durability)
def test_every_durability_keeps_what_it_has_over_closing(store_path: Path, durability: Durability) -> None:
    engine = open_engine(store_path, durability)
    engine.write([(CF.META, b"k", b"v"), (CF.JOURNAL, b"k", b"w")])
    engine.close()
    again = open_engine(store_path)
    assert again.get(CF.META, b"k") == b"v"
    assert again.get(CF.JOURNAL, b"k") == b"w"
    again.close()


def test_a_directory_that_holds_other_things_is_refused_and_left_alone(store_path: Path) -> None:
    store_path.mkdir()
    (store_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StorageError, match="not a greenroom store") as caught:
        open_engine(store_path)
    assert caught.value.fields["path"] == str(store_path)
    assert files_of(store_path) == {"thesis.txt": b"years of work"}


def test_another_programs_rocksdb_is_refused_and_left_alone(store_path: Path) -> None:
    other = rocksdict.Rdict(str(store_path), rocksdict.Options(raw_mode=True))
    other[b"theirs"] = b"1"
    other.close()
    with pytest.raises(StorageError):
        open_engine(store_path)
    assert rocksdict.Rdict.list_cf(str(store_path), rocksdict.Options(raw_mode=True)) == ["default"]


def test_a_file_where_the_directory_should_be_is_refused(store_path: Path) -> None:
    store_path.write_text("a file")
    with pytest.raises(StorageError, match=str(store_path)):
        open_engine(store_path)
    assert store_path.read_text() == "a file"


def test_what_a_process_killed_while_creating_leaves_behind_is_no_obstacle(store_path: Path) -> None:
    store_path.mkdir()
    for name in ("LOCK", "LOG", "IDENTITY", "000001.dbtmp"):
        (store_path / name).write_bytes(b"")
    open_engine(store_path).close()


def test_a_store_of_a_newer_format_is_refused(store_path: Path) -> None:
    engine = open_engine(store_path)
    engine.write([(CF.META, b"format", seal(b"format", [FORMAT_VERSION + 1]))])
    engine.close()
    for _ in range(2):  # the refusal does not keep the lock
        with pytest.raises(SchemaTooNew) as caught:
            open_engine(store_path)
        assert caught.value.fields == {"found": FORMAT_VERSION + 1, "supported": FORMAT_VERSION}


def test_a_format_record_of_a_newer_schema_is_refused(store_path: Path) -> None:
    engine = open_engine(store_path)
    body = b"\x02" + seal(b"format", [1])[1:-4]
    engine.write([(CF.META, b"format", body + crc32(body, crc32(b"format")).to_bytes(4, "little"))])
    engine.close()
    with pytest.raises(SchemaTooNew):
        open_engine(store_path)


@pytest.mark.parametrize("record", [None, b"garbage"])
def test_a_store_whose_format_record_is_lost_or_damaged_is_refused(store_path: Path, record: bytes | None) -> None:
    engine = open_engine(store_path)
    engine.write([(CF.JOURNAL, b"k" * 24, b"an event"), (CF.META, b"format", record)])
    engine.close()
    with pytest.raises(IntegrityError):
        open_engine(store_path)


# -- reading beside a writer


def test_reading_needs_a_store_and_makes_none(store_path: Path) -> None:
    with pytest.raises(StorageError, match="no store"):
        open_engine(store_path, read_only=True)
    assert not store_path.exists()


def test_a_reader_sees_the_writers_work_after_catching_up(
    store_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    writer = open_engine(store_path)
    writer.write([(CF.META, b"k", b"1"), (CF.CHUNKS, b"big", b"x" * 100_000)])
    reader = open_engine(store_path, read_only=True)
    assert reader.get(CF.META, b"k") == b"1"
    assert reader.get(CF.CHUNKS, b"big") == b"x" * 100_000
    writer.write([(CF.META, b"k", b"2")])
    reader.catch_up()
    assert reader.get(CF.META, b"k") == b"2"
    writer.flush()
    writer.write([(CF.META, b"k", None), (CF.META, b"new", b"3")])
    writer.flush()
    writer.compact()
    reader.catch_up()
    assert reader.get(CF.META, b"k") is None
    assert reader.get(CF.META, b"new") == b"3"
    assert reader.get(CF.CHUNKS, b"big") == b"x" * 100_000
    with pytest.raises(InvalidOperation, match="reading only"):
        reader.write([(CF.META, b"k", b"4")])
    reader.close()
    assert list(scratch.iterdir()) == []  # nothing stays in the temporary directory
    writer.write([(CF.META, b"k", b"5")])
    assert writer.get(CF.META, b"k") == b"5"
    writer.close()


# -- durability


def test_with_a_log_every_write_is_there_after_the_process_dies(store_path: Path, tmp_path: Path) -> None:
    engine = open_engine(store_path)
    for number in range(50):
        engine.write([(CF.META, b"%d" % number, b"x"), (CF.JOURNAL, b"%d" % number, b"y")])
    survivor = open_engine(crashed_copy(store_path, tmp_path / "copy"))
    assert len(survivor.scan(CF.JOURNAL, b"", b"\xff")) == 50
    assert all(survivor.get(CF.META, b"%d" % number) == b"x" for number in range(50))
    survivor.close()
    engine.close()


def test_without_a_log_column_families_reach_the_disk_together(store_path: Path, tmp_path: Path) -> None:
    engine = open_engine(store_path, Durability.MEMORY)
    engine.write([(CF.META, b"a", b"x"), (CF.JOURNAL, b"a", b"y")])
    engine.sync()
    engine.write([(CF.META, b"b", b"x"), (CF.JOURNAL, b"b", b"y")])
    survivor = open_engine(crashed_copy(store_path, tmp_path / "copy"))
    for key, kept in ((b"a", True), (b"b", False)):
        assert (survivor.get(CF.META, key) is not None) is kept
        assert (survivor.get(CF.JOURNAL, key) is not None) is kept
    survivor.close()
    engine.close()


def test_one_fsync_serves_all_who_wrote_before_it(store_path: Path) -> None:
    engine = open_engine(store_path, Durability.FSYNC)
    tickets = [engine.write([(CF.META, b"%d" % number, b"x")]) for number in range(10)]
    assert tickets == sorted(set(tickets))
    before = engine.fsyncs
    engine.wait_synced(tickets[-1], 10.0)
    for commit_number in tickets:
        engine.wait_synced(commit_number, 10.0)
    assert engine.fsyncs - before == 1
    engine.wait_synced(engine.write([(CF.META, b"more", b"x")]), 10.0)
    assert engine.fsyncs - before == 2
    engine.close()


def test_concurrent_writers_are_all_answered_and_never_need_more_fsyncs_than_writes(store_path: Path) -> None:
    engine = open_engine(store_path, Durability.FSYNC)
    writers, rounds = 16, 20
    start = threading.Barrier(writers)
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            start.wait(10.0)
            for number in range(rounds):
                engine.wait_synced(engine.write([(CF.META, b"%d/%d" % (writer, number), b"x")]), 30.0)
        except BaseException as error:
            failures.append(error)

    before = engine.fsyncs
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert not failures
    assert not any(thread.is_alive() for thread in threads)
    assert 0 < engine.fsyncs - before <= writers * rounds
    assert len(engine.scan(CF.META, b"0", b":")) == writers * rounds
    engine.close()


# -- failing disks


def test_reads_go_on_whatever_fails_while_the_store_is_reopened_and_writes_come_back(store_path: Path) -> None:
    engine = open_engine(store_path)
    for number in range(100):
        engine.write([(CF.META, b"%d" % number, b"x")])
    engine.flush()
    engine.write([(CF.META, b"in the log", b"y")])

    def reads() -> bool:
        found = engine.get(CF.META, b"7"), engine.get(CF.META, b"in the log")
        return found == (b"x", b"y") and len(engine.scan(CF.META, b"0", b"a")) == 100

    def fail_to_write() -> None:
        engine._heal_after = 0.0
        with pytest.raises(StorageError):
            engine.write([(CF.META, b"never", b"z")])
        assert reads()

    engine._broken = True  # as after a write that the disk refused
    (store_path / "CURRENT").rename(store_path / "hidden")  # nothing can be opened
    fail_to_write()
    (store_path / "hidden").rename(store_path / "CURRENT")
    (store_path / "LOCK").unlink()
    (store_path / "LOCK").mkdir()  # reading works, writing does not
    fail_to_write()
    fail_to_write()
    (store_path / "LOCK").rmdir()
    engine._heal_after = 0.0
    engine.write([(CF.META, b"more", b"z")])
    assert reads()
    engine.close()
    again = open_engine(store_path)
    assert again.get(CF.META, b"in the log") == b"y"
    assert again.get(CF.META, b"more") == b"z"
    assert again.get(CF.META, b"never") is None
    again.close()


# -- damage that RocksDB itself finds


def test_a_damaged_table_is_an_integrity_error_and_does_not_keep_the_store_locked(store_path: Path) -> None:
    engine = open_engine(store_path)
    engine.write([(CF.JOURNAL, b"%04d" % number, bytes([number % 251]) * 50) for number in range(400)])
    engine.close()
    before = {path: path.read_bytes() for path in store_path.glob("*.sst")}
    largest = max(before, key=lambda path: len(before[path]))
    damaged = bytearray(before[largest])
    damaged[100:140] = bytes(40)
    largest.write_bytes(damaged)

    engine = open_engine(store_path)
    with pytest.raises(IntegrityError) as by_get:
        engine.get(CF.JOURNAL, b"0000")
    with pytest.raises(IntegrityError) as by_scan:
        engine.scan(CF.JOURNAL, b"", b"\xff")
    with pytest.raises(IntegrityError):
        engine.entries(CF.JOURNAL, b"", b"\xff")
    with pytest.raises(IntegrityError):
        engine.entries(CF.JOURNAL, b"", b"\xff", reverse=True)
    engine.write([(CF.META, b"k", b"v")])
    engine.close()

    largest.write_bytes(before[largest])
    again = open_engine(store_path)  # although the errors, with all that their frames hold, are still alive
    assert by_get.value.code == by_scan.value.code == "IntegrityError"
    assert again.get(CF.META, b"k") == b"v"
    assert len(again.scan(CF.JOURNAL, b"", b"\xff")) == 400
    again.close()


def test_a_log_damaged_in_its_middle_stops_the_opening(store_path: Path, tmp_path: Path) -> None:
    engine = open_engine(store_path)
    for number in range(100):
        engine.write([(CF.META, b"%d" % number, b"x" * 2000)])
    copy = crashed_copy(store_path, tmp_path / "copy")
    engine.close()
    log = max(copy.glob("*.log"), key=lambda path: path.stat().st_size)
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 0xFF
    log.write_bytes(content)
    with pytest.raises(IntegrityError):
        open_engine(copy)


def test_a_log_whose_last_record_is_unfinished_opens_with_all_before_it(store_path: Path, tmp_path: Path) -> None:
    engine = open_engine(store_path)
    for number in range(100):
        engine.write([(CF.META, b"%02d" % number, b"x" * 2000)])
    copy = crashed_copy(store_path, tmp_path / "copy")
    engine.close()
    log = max(copy.glob("*.log"), key=lambda path: path.stat().st_size)
    log.write_bytes(log.read_bytes()[:-700])
    with pytest.raises(IntegrityError, match="acknowledged"):  # here it was acknowledged
        open_engine(copy)
    (copy / "WITNESS").unlink()
    survivor = open_engine(copy)
    assert len(survivor.scan(CF.META, b"00", b":")) == 99
    survivor.close()
