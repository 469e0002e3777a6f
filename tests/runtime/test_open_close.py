"""Opening, closing, reading beside a writer, and what each durability keeps.

The file is long because opening, reading beside a writer and closing are tested on the same filled store.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.session.decisions import decide as deciding
from greenroom.runtime import (
    ArtifactNotFound,
    ConfigurationError,
    Durability,
    InvalidOperation,
    OperationTimeout,
    Runtime,
    RuntimeClosed,
    RuntimeConfig,
    SchemaTooNew,
    Session,
    SessionConfig,
    SessionNotFound,
    StorageError,
    StoreLocked,
    ValidationError,
    messages,
)
from greenroom.storage.codec.records import seal
from greenroom.storage.engine.engine import CF, Engine

BOUND = 20.0


def fill(rt: Runtime) -> Session:
    session = rt.create_session(name="filled", tags=["t"])
    session.set("k", {"a": 1})
    session.add_message("user", "hello")
    session.add_message("user", "long " * 2000)
    session.store_artifact("x", "small", b"content")
    session.store_artifact("x", "large", bytes(range(256)) * 2000)
    return session


def check(rt: Runtime, session_id: str) -> None:
    session = rt.session(session_id)
    assert session.info().name == "filled"
    assert session.get("k") == {"a": 1}
    assert [turn.content for turn in session.messages()] == ["hello", "long " * 2000]
    assert session.get_artifact("small").content == b"content"
    assert session.get_artifact("large").content == bytes(range(256)) * 2000
    assert [info.id for info in rt.list_sessions(tags=["t"])] == [session_id]
    assert rt.verify().ok


def crashed_copy(path: Path, target: Path) -> Path:
    """What a machine would find if the process died now."""
    return shutil.copytree(path, target, ignore=shutil.ignore_patterns("LOCK"))


# -- opening


def test_what_was_stored_is_there_after_reopening(store_path: Path) -> None:
    for _ in range(2):
        with Runtime.open(store_path) as rt:
            session = fill(rt)
        with Runtime.open(str(store_path)) as rt:
            check(rt, session.id)
            rt.delete_session(session.id)


def test_without_a_path_the_store_is_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Runtime.open() as rt:
        check(rt, fill(rt).id)
        assert rt.path.parent == tmp_path
        assert list(tmp_path.iterdir()) == [rt.path]
    assert list(tmp_path.iterdir()) == []


def test_a_config_may_be_a_mapping_and_bad_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Runtime.open(config={"durability": "fsync", "workers": 1}) as rt:
        assert rt.config.durability is Durability.FSYNC
        assert rt.config.workers == 1
        check(rt, fill(rt).id)
    for config, field in (
        ({"durabilty": "wal"}, "durabilty"),
        ({"durability": "paper"}, "durability"),
        ({"workers": 0}, "workers"),
        ({"ask_timeout": 0}, "ask_timeout"),
        ({"ask_timeout": -1}, "ask_timeout"),
        ({"mailbox_capacity": 0}, "mailbox_capacity"),
        ({"max_resident_sessions": 0}, "max_resident_sessions"),
        ({"artifact_cache_bytes": -1}, "artifact_cache_bytes"),
        ({"max_restarts": -1}, "max_restarts"),
        ({"write_buffer_bytes": 1}, "write_buffer_bytes"),
    ):
        with pytest.raises((ValidationError, ConfigurationError)) as caught:
            Runtime.open(config=config)
        assert field in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_defaults_are_those_of_the_specification() -> None:
    session = SessionConfig()
    assert (session.max_duration, session.idle_timeout, session.auto_save_interval) == (None, None, 300)
    assert (session.max_artifacts, session.max_storage_bytes, session.max_operations) == (10_000, 10 << 30, None)
    assert (session.auto_collect_artifacts, session.enable_replay, session.retention_days) == (True, True, None)
    runtime = RuntimeConfig()
    assert runtime.durability is Durability.WAL
    assert (runtime.artifact_cache_bytes, runtime.max_artifact_bytes, runtime.max_artifact_name) == (
        64 << 20,
        100 << 20,
        255,
    )
    assert (runtime.max_restarts, runtime.restart_window, runtime.compress_above) == (3, 60, 10 << 10)


def test_a_second_runtime_is_refused_and_the_first_goes_on(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session = fill(rt)
        for _ in range(3):
            with pytest.raises(StoreLocked) as caught:
                Runtime.open(store_path)
            assert "read_only" in str(caught.value)
        check(rt, session.id)
        session.set("still", "writing")
    with Runtime.open(store_path) as rt:
        assert rt.session(session.id).get("still") == "writing"


def test_a_directory_of_something_else_is_refused(store_path: Path) -> None:
    store_path.mkdir()
    (store_path / "letter.txt").write_text("dear")
    with pytest.raises(StorageError, match="not a greenroom store"):
        Runtime.open(store_path)
    assert [entry.name for entry in store_path.iterdir()] == ["letter.txt"]


def test_a_newer_store_is_refused(store_path: Path, on_disk: Callable[[], AbstractContextManager[Engine]]) -> None:
    Runtime.open(store_path).close()
    with on_disk() as engine:
        engine.write([(CF.META, b"format", seal(b"format", [99]))])
    with pytest.raises(SchemaTooNew) as caught:
        Runtime.open(store_path)
    assert (caught.value.fields["found"], caught.value.code) == (99, "SchemaTooNew")
    with pytest.raises(SchemaTooNew):
        Runtime.open(store_path, read_only=True)


# -- closing


def test_closing_is_idempotent_and_everything_says_closed_afterwards(store_path: Path) -> None:
    rt = Runtime.open(store_path)
    session = fill(rt)
    large, small = session.open_artifact("large"), session.open_artifact("small")
    events = session.events()
    scope = rt.state_scope("global")
    scope.set("k", 1)
    assert not rt.closed
    rt.close()
    rt.close()
    assert rt.closed
    uses: dict[str, Callable[[], Any]] = {
        "create_session": rt.create_session,
        "create_session with a parent": lambda: rt.create_session(parent=session),
        "session": lambda: rt.session(session.id),
        "exists": lambda: rt.exists(session.id),
        "list": rt.list_sessions,
        "list a page": lambda: rt.list_sessions(limit=3),
        "count": rt.count_sessions,
        "find": lambda: rt.find_sessions("a"),
        "delete_session": lambda: rt.delete_session(session.id),
        "save_all": rt.save_all,
        "restore_recent": rt.restore_recent,
        "cleanup": rt.cleanup,
        "ask": lambda: rt.ask(session.id, messages.GetInfo()),
        "tell": lambda: rt.tell(session.id, messages.SetVariable("k", 1)),
        "verify": rt.verify,
        "stats": rt.stats,
        "compact": rt.compact,
        "run_script": lambda: rt.run_script("return 1"),
        "state_scope": lambda: rt.state_scope("global").get("k"),
        "a new scope": lambda: rt.state_scope("user:new").get("k"),
        "scope.get": lambda: scope.get("k"),
        "scope.set": lambda: scope.set("k", 2),
        "set": lambda: session.set("k", 1),
        "get": lambda: session.get("k"),
        "variables": session.variables,
        "info": session.info,
        "save": session.save,
        "load": session.load,
        "suspend": session.suspend,
        "children": session.children,
        "parent": session.parent,
        "tree": session.tree,
        "messages": session.messages,
        "add_message": lambda: session.add_message("user", "x"),
        "events": lambda: list(session.events()),
        "events begun before": lambda: list(events),
        "store_artifact": lambda: session.store_artifact("x", "a", b""),
        "store a large artifact": lambda: session.store_artifact("x", "a", b"x" * 300_000),
        "get_artifact": lambda: session.get_artifact("small"),
        "open_artifact": lambda: session.open_artifact("small"),
        "read an open stream": large.read,
        "list_artifacts": session.list_artifacts,
        "artifact_versions": lambda: session.artifact_versions("small"),
        "delete_artifact": lambda: session.delete_artifact("small"),
        "delete": session.delete,
    }
    answers: dict[str, object] = {}
    for name, use in uses.items():
        try:
            answers[name] = use()
        except Exception as error:
            answers[name] = type(error)
    assert answers == dict.fromkeys(uses, RuntimeClosed)
    assert small.read() == b"content"  # it was in memory already
    assert "closed" in repr(rt)
    with Runtime.open(store_path) as again:
        check(again, session.id)


def test_an_error_inside_the_block_closes_too(store_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Runtime.open(store_path) as rt:
        raise ZeroDivisionError
    assert rt.closed
    Runtime.open(store_path).close()


def test_closing_handles_what_waits_and_saves(store_path: Path) -> None:
    rt = Runtime.open(store_path)
    sessions = [rt.create_session() for _ in range(20)]
    for number in range(100):
        for session in sessions:
            rt.tell(session.id, messages.SetVariable(f"k{number}", number))
    rt.close()
    with Runtime.open(store_path) as again:
        for session in sessions:
            assert len(again.session(session.id).variables()) == 100
        report = again.verify()
        assert report.ok
        assert report.checked["snapshots"] == 20


def test_closing_ends_the_threads(store_path: Path) -> None:
    Runtime.open(store_path).close()  # from here on one thread of the process is there that starts others
    before = threading.active_count()
    for _ in range(3):
        rt = Runtime.open(store_path)
        rt.tell(rt.create_session().id, messages.SetVariable("k", 1))
        assert threading.active_count() > before
        rt.close()
    assert threading.active_count() == before


def test_closing_from_many_threads_closes_once(store_path: Path) -> None:
    rt = Runtime.open(store_path)
    session = fill(rt)
    failures: list[BaseException] = []
    start = threading.Barrier(8)

    def close() -> None:
        try:
            start.wait(BOUND)
            rt.close()
            assert rt.closed
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    assert not failures
    with Runtime.open(store_path) as again:
        check(again, session.id)


def test_closing_under_load_refuses_or_keeps_each_write(store_path: Path) -> None:
    rt = Runtime.open(store_path)
    sessions = [rt.create_session() for _ in range(4)]
    acknowledged: list[list[int]] = [[] for _ in sessions]
    unexpected: list[BaseException] = []
    under_way = threading.Barrier(5)

    def write(which: int) -> None:
        number = 0
        try:
            while True:
                sessions[which].set(f"k{number}", number)
                acknowledged[which].append(number)
                number += 1
                if number == 20:
                    under_way.wait(BOUND)
        except RuntimeClosed:
            pass
        except BaseException as error:
            unexpected.append(error)

    threads = [threading.Thread(target=write, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    under_way.wait(BOUND)
    rt.close()
    for thread in threads:
        thread.join(BOUND)
    assert not unexpected
    with Runtime.open(store_path) as again:
        for which, session in enumerate(sessions):
            variables = again.session(session.id).variables()
            assert {f"k{number}" for number in acknowledged[which]} <= variables.keys()
        assert again.verify().ok


def test_closing_does_not_wait_for_ever_for_a_session_at_work(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, opened = threading.Event(), threading.Event()
    decider = deciding.DECIDERS[messages.AddTag]

    def hold(*arguments: Any) -> Any:
        entered.set()
        assert opened.wait(BOUND)
        return decider(*arguments)

    rt = Runtime.open(store_path)
    session, other = fill(rt), rt.create_session()
    with monkeypatch.context() as patch:
        patch.setitem(deciding.DECIDERS, messages.AddTag, hold)
        rt.tell(session.id, messages.AddTag("never acknowledged"))
        assert entered.wait(BOUND)
        other.set("k", 1)
        rt.close(timeout=0.2)
        assert rt.closed
        opened.set()
    with Runtime.open(store_path) as again:
        check(again, session.id)
        assert again.session(other.id).get("k") == 1


# -- a busy session


def test_asking_a_busy_session_gives_up_in_time_and_nothing_was_done(
    rt: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, opened = threading.Event(), threading.Event()
    decider = deciding.DECIDERS[messages.AddTag]

    def hold(*arguments: Any) -> Any:
        entered.set()
        assert opened.wait(BOUND)
        return decider(*arguments)

    session, other = rt.create_session(), rt.create_session()
    monkeypatch.setitem(deciding.DECIDERS, messages.AddTag, hold)
    rt.tell(session.id, messages.AddTag("slow"))
    assert entered.wait(BOUND)
    for message in (
        messages.SetVariable("k", 1),
        messages.GetVariable("k"),
        messages.StoreArtifact("x", "small", b"content"),
        messages.StoreArtifact("x", "large", bytes(300_000)),
        messages.AddMessage("user", "long " * 2000),
    ):
        with pytest.raises(OperationTimeout) as caught:
            rt.ask(session.id, message, timeout=0.02)
        assert caught.value.fields == {"timeout": 0.02, "started": False}
    other.set("k", "not held up")
    assert other.get("k") == "not held up"
    opened.set()
    assert session.info().tags == ("slow",)
    assert session.variables() == {}
    assert session.messages() == []
    with pytest.raises(ArtifactNotFound):
        session.get_artifact("large")
    for family in (CF.CHUNKS, CF.CONTENTS, CF.MANIFESTS):
        assert rt._store.engine.scan(family, b"", b"\xff" * 40) == []
    assert rt.verify().ok


# -- reading beside a writer


def test_a_reader_sees_what_the_writer_has_done_when_it_refreshes(store_path: Path) -> None:
    with Runtime.open(store_path) as writer:
        session = fill(writer)
        with Runtime.open(store_path, read_only=True) as reader:
            check(reader, session.id)
            session.set("k", 2)
            later = writer.create_session(name="later")
            later.store_artifact("x", "a", bytes(500_000))
            reader.refresh()
            assert reader.session(session.id).get("k") == 2
            assert reader.session(later.id).get_artifact("a").content == bytes(500_000)
            assert reader.list_sessions(limit=10).total == 2
            session.complete()
            later.delete()
            writer.compact()
            reader.refresh()
            assert reader.session(session.id).info().status == "completed"
            assert not reader.exists(later.id)
            with pytest.raises(SessionNotFound):
                reader.session(later.id)
            assert reader.list_sessions(limit=10).total == 0
            assert reader.verify().ok
        session.archive()
        assert session.info().status == "archived"


def test_a_reader_outlives_the_writer(store_path: Path) -> None:
    writer = Runtime.open(store_path)
    session = fill(writer)
    reader = Runtime.open(store_path, read_only=True)
    session.set("last", "word")
    session.suspend()
    writer.close()
    reader.refresh()
    assert reader.session(session.id).get("last") == "word"
    assert reader.session(session.id).info().status == "suspended"
    assert reader.list_sessions(limit=5, status="suspended").total == 1
    check(reader, session.id)
    reader.close()


def test_a_reader_refuses_to_write(store_path: Path) -> None:
    with Runtime.open(store_path) as writer:
        session = fill(writer)
        writer.state_scope("user:ann").set("k", 1)
        before = session.info()
        with Runtime.open(store_path, read_only=True) as reader:
            assert reader.read_only
            assert "read-only" in repr(reader)
            same = reader.session(session.id)
            for write in (
                reader.create_session,
                lambda: same.set("k", 1),
                lambda: same.delete_variable("k"),
                lambda: same.add_tag("u"),
                lambda: same.update_metadata({"a": 1}),
                lambda: same.add_message("user", "x"),
                lambda: same.add_message("user", "new and long " * 2000),
                lambda: same.store_artifact("x", "a", b"new"),
                lambda: same.store_artifact("x", "a", bytes(700_000)),
                lambda: same.delete_artifact("small"),
                same.suspend,
                same.complete,
                same.save,
                same.delete,
                lambda: reader.delete_session(session.id),
                lambda: reader.state_scope("user:ann").set("k", 2),
                lambda: reader.state_scope("user:new").set("k", 2),
                reader.compact,
            ):
                with pytest.raises(InvalidOperation, match="reading only"):
                    write()
            check(reader, session.id)
            assert same.load() == before
            assert reader.state_scope("user:ann").get("k") == 1
            assert reader.state_scope("user:new").get("k", 7) == 7
            assert reader.state_scope("user:new").list() == {}
        assert session.info() == before
        check(writer, session.id)


def test_reading_needs_a_store(store_path: Path) -> None:
    with pytest.raises(StorageError, match="no store"):
        Runtime.open(store_path, read_only=True)
    with pytest.raises(InvalidOperation):
        Runtime.open(read_only=True)
    assert not store_path.exists()


# -- durability


def test_what_was_acknowledged_survives_the_process(store_path: Path, tmp_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session = fill(rt)
        copy = crashed_copy(store_path, tmp_path / "copy")
    with Runtime.open(copy) as survivor:
        check(survivor, session.id)


def test_memory_durability_keeps_what_was_saved_or_closed(store_path: Path, tmp_path: Path) -> None:
    config = RuntimeConfig(durability=Durability.MEMORY)
    with Runtime.open(store_path, config=config) as rt:
        saved = fill(rt)
        saved.save()
        after = rt.create_session(name="after")
        urgent = rt.create_session(name="urgent")
        urgent.set("k", 1, durability="fsync")
        last = rt.create_session(name="last")
        copy = crashed_copy(store_path, tmp_path / "copy")
    with Runtime.open(copy, config=config) as survivor:
        check(survivor, saved.id)
        assert survivor.session(urgent.id).get("k") == 1
        assert survivor.exists(after.id)  # the flush for the urgent one took it along
        assert not survivor.exists(last.id)
        assert survivor.verify().ok
    with Runtime.open(store_path) as reopened:
        check(reopened, saved.id)
        assert reopened.session(last.id).info().name == "last"


def test_fsync_can_be_asked_for_and_waived_for_one_write(store_path: Path) -> None:
    def fsyncs(rt: Runtime) -> int:
        found: int = rt.stats()["fsyncs"]
        return found

    with Runtime.open(store_path) as rt:
        session = rt.create_session()
        before = fsyncs(rt)
        session.set("k", 1)
        assert fsyncs(rt) == before
        session.set("k", 2, durability="fsync")
        assert fsyncs(rt) == before + 1
        session.store_artifact("x", "a", b"content", durability=Durability.FSYNC)
        assert fsyncs(rt) == before + 2
        session.save()
        assert fsyncs(rt) == before + 3
    with Runtime.open(store_path, config={"durability": "fsync"}) as rt:
        session = rt.session(session.id)
        before = fsyncs(rt)
        session.set("k", 3)
        session.add_message("user", "x")
        assert fsyncs(rt) == before + 2
        session.set("k", 4, durability="wal")
        session.set("k", 5, durability="memory")
        assert fsyncs(rt) == before + 2
        assert session.get("k") == 5
        with pytest.raises(ValidationError):
            session.set("k", 1, durability="stone")


def test_concurrent_fsync_writers_all_succeed(store_path: Path) -> None:
    with Runtime.open(store_path, config={"durability": "fsync"}) as rt:
        sessions = [rt.create_session() for _ in range(16)]
        before = rt.stats()["fsyncs"]
        failures: list[BaseException] = []

        def write(session: Session) -> None:
            try:
                for number in range(15):
                    session.set("k", number)
                    assert session.get("k") == number
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=write, args=(session,)) for session in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not failures
        assert rt.stats()["fsyncs"] - before <= 16 * 15


# -- care


def test_stats_are_json_and_tell_what_is_there(rt: Runtime) -> None:
    import json

    session = fill(rt)
    rt.create_session().complete()
    stats = rt.stats()
    assert json.loads(json.dumps(stats)) == stats
    assert stats["sessions"] == {"active": 1, "suspended": 0, "completed": 1, "failed": 0, "archived": 0}
    assert stats["resident"] == 2
    artifacts = stats["artifacts"]
    assert artifacts["count"] == 2
    assert artifacts["contents"] == 3  # two artifacts and a long message
    assert artifacts["unique_bytes"] == artifacts["logical_bytes"] == 7 + 512_000 + 10_000
    assert 0 < artifacts["stored_bytes"] < artifacts["unique_bytes"]
    assert stats["disk_bytes"] > 0
    session.delete()
    assert rt.stats()["artifacts"]["contents"] == 0


def test_verify_counts_what_it_checked(rt: Runtime) -> None:
    fill(rt).save()
    report = rt.verify()
    assert report.ok
    assert report.problems == []
    assert report.checked["sessions"] == 1
    assert report.checked["events"] == 7
    assert report.checked["artifacts"] == 2
    assert report.checked["contents"] == 3
    assert report.checked["snapshots"] == 1


def test_sessions_are_counted_right_after_a_clean_close_a_crash_and_damage_to_the_counts(
    store_path: Path, tmp_path: Path, on_disk: Callable[[], AbstractContextManager[Engine]]
) -> None:
    copy = tmp_path / "crashed"
    with Runtime.open(store_path) as rt:
        for _ in range(3):
            rt.create_session()
        rt.create_session().complete()
        rt.create_session().delete()
        expected = rt.stats()["sessions"]
        shutil.copytree(store_path, copy)
        with Runtime.open(store_path, read_only=True) as follower:
            assert follower.stats()["sessions"] == expected
    assert (expected["active"], expected["completed"]) == (3, 1)
    for path in (store_path, copy):
        with Runtime.open(path) as rt:
            assert rt.stats()["sessions"] == expected
    with on_disk() as engine:
        record = bytearray(engine.get(CF.META, b"counts") or b"")
        record[-1] ^= 1
        engine.write([(CF.META, b"counts", bytes(record))])
    with Runtime.open(store_path) as rt:
        assert rt.stats()["sessions"] == expected


@pytest.mark.parametrize("module", ["greenroom.runtime.runtime", "greenroom.runtime.open"])
def test_a_module_of_the_runtime_can_be_imported_first(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
