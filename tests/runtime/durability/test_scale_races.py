"""What users do at the same moment on purpose or by chance, each of it again and again."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    ArtifactNotFound,
    GreenroomError,
    ResourceLimitExceeded,
    Runtime,
    Session,
    SessionNotFound,
    messages,
)
from greenroom.storage.engine.engine import CF, Durability, Engine, EngineOptions

BOUND = 60.0
MANY = {"max_operations": 10**9, "max_artifacts": 10**6}


@pytest.fixture(autouse=True)
def eager_switching() -> Iterator[None]:
    """Threads take turns far more often than usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


def together(*works: Callable[[], object]) -> None:
    """Run all at the same time; raise what one of them raised."""
    failures: list[BaseException] = []
    ready = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        ready.wait(BOUND)
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
        assert not thread.is_alive(), "somebody waits for ever"
    if failures:
        raise failures[0]


def until(stop: threading.Event, work: Callable[[], object]) -> Callable[[], None]:
    def repeat() -> None:
        while not stop.is_set():
            work()

    return repeat


def then(work: Callable[[], object], stop: threading.Event) -> Callable[[], None]:
    def run() -> None:
        try:
            work()
        finally:
            stop.set()

    return run


def test_a_session_found_while_it_is_being_made_has_one_journal(rt: Runtime) -> None:
    stop = threading.Event()
    acknowledged: dict[str, set[str]] = {}
    seen: set[str] = set()

    def make() -> None:
        for _ in range(1000):
            session = rt.create_session()
            session.set("maker", 1)
            acknowledged.setdefault(session.id, set()).add("maker")

    def find() -> None:
        for info in rt.list_sessions(sort_by="created_at", descending=True, limit=3):
            if info.id not in seen:
                seen.add(info.id)
                rt.session(info.id).set("finder", 1)
                acknowledged.setdefault(info.id, set()).add("finder")

    together(then(make, stop), until(stop, find), until(stop, find))
    assert any("finder" in keys for keys in acknowledged.values())
    for session_id, keys in acknowledged.items():
        assert rt.session(session_id).variables().keys() == keys
        journaled = {event.data["key"] for event in rt.session(session_id).events(after=1)}
        assert journaled == keys


def test_one_message_object_can_be_sent_to_many_sessions_at_once(rt: Runtime) -> None:
    sessions = [rt.create_session() for _ in range(4)]
    for number in range(20):
        content = os.urandom(200_000)
        store = messages.StoreArtifact("user_input", f"a{number}", content)
        say = messages.AddMessage("user", content.hex())
        for session in sessions:
            rt.tell(session.id, store)
            rt.tell(session.id, say)
        together(*(partial(rt.ask, session.id, store) for session in sessions))
        for session in sessions:
            assert [each.version for each in session.artifact_versions(f"a{number}")] == [1, 2]
            assert session.get_artifact(f"a{number}").content == content
            assert session.messages(limit=1)[0].content == content.hex()
    assert rt.verify().problems == []


def test_an_ask_does_not_overtake_a_tell_when_sessions_are_passivated_in_between() -> None:
    with Runtime.open(config={"max_resident_sessions": 1}) as rt:
        sessions = [rt.create_session(config=MANY) for _ in range(20)]

        def talk(mine: list[Session]) -> None:
            for number in range(500):
                session = mine[number % len(mine)]
                rt.tell(session.id, messages.SetVariable("k", number))
                assert session.get("k") == number

        together(*(partial(talk, sessions[at::4]) for at in range(4)))
        assert rt.verify().problems == []


def test_the_same_content_is_stored_and_deleted_by_many_at_once(rt: Runtime, store_path: Path) -> None:
    contents = [b"small" * 50, os.urandom(40_000), os.urandom(300_000)]

    def work(stream: bool) -> None:
        session = rt.create_session(config=MANY)
        for number in range(90):
            content = contents[number % 3]
            info = session.store_artifact("user_input", "a", io.BytesIO(content) if stream else content)
            assert session.get_artifact(info.id).content == content
            session.delete_artifact(info.id)

    together(*(partial(work, stream) for stream in (True, False, True, False)))
    assert rt.verify().problems == []
    assert rt.stats()["artifacts"]["contents"] == 0


def test_what_is_deleted_while_it_is_read_is_not_found_rather_than_damaged() -> None:
    with Runtime.open(config={"artifact_cache_bytes": 0}) as rt:
        session = rt.create_session(config=MANY)
        stop = threading.Event()

        def change() -> None:
            for number in range(150):
                session.store_artifact("user_input", "a", os.urandom(200_000 if number % 2 else 3000))
                session.delete_artifact("a")
                child = rt.create_session(tags=["t"], parent=session)
                child.add_message("user", "y" * 9000)
                child.add_tag("u")
                child.delete()

        def read() -> None:
            with contextlib.suppress(ArtifactNotFound):
                session.get_artifact("a")
            with contextlib.suppress(ArtifactNotFound), session.open_artifact("a") as stream:
                stream.read()

        def browse() -> None:
            for info in (*rt.list_sessions(limit=20), *rt.list_sessions(tags=["t"])):
                with contextlib.suppress(SessionNotFound):
                    found = rt.session(info.id)
                    list(found.events())
                    found.messages()
                    found.tree()
            rt.restore_recent(3)
            rt.save_all()

        def check() -> None:
            assert rt.verify().problems == []
            rt.stats()

        together(then(change, stop), *(until(stop, each) for each in (read, browse, check)))


def test_a_deleted_session_leaves_nothing_whatever_was_on_its_way(store_path: Path) -> None:
    with Runtime.open(store_path, config={"max_resident_sessions": 2}) as rt:
        for number in range(60):
            session = rt.create_session(tags=["t"], metadata={"n": number})

            def write(session: Session = session) -> None:
                with contextlib.suppress(SessionNotFound):
                    for count in range(10_000):
                        session.set("k", count)
                        session.add_message("user", "m" * 6000)
                        session.store_artifact("user_input", "a", os.urandom(2000))
                        rt.tell(session.id, messages.SetVariable("told", count))

            def delete(session: Session = session) -> None:
                session.set("mine", 1)
                session.delete()
                with pytest.raises(SessionNotFound):
                    session.set("k", 1)

            together(write, write, delete)
        assert rt.count_sessions() == 0
        assert rt.verify().problems == []
    engine = Engine(store_path, Durability.WAL, EngineOptions())
    try:
        for family in range(len(CF.NAMES)):
            if family != CF.META:
                assert engine.scan(family, b"", b"\xff" * 100) == []
    finally:
        engine.close()


def test_a_flood_of_tells_is_bounded_and_the_session_answers_after_it() -> None:
    with Runtime.open(config={"mailbox_capacity": 100, "workers": 1}) as rt:
        session = rt.create_session(config=MANY)
        other = rt.create_session()
        refused: list[object] = []

        def flood() -> None:
            for number in range(2000):
                try:
                    rt.tell(session.id, messages.SetVariable("k", number))
                except ResourceLimitExceeded as error:
                    refused.append(error.fields["resource"])

        together(flood, flood, flood, lambda: [other.set("k", number) for number in range(500)])
        deadline = time.monotonic() + BOUND
        while True:
            try:
                rt.ask(session.id, messages.Finish())
                break
            except ResourceLimitExceeded:
                assert time.monotonic() < deadline, "the mailbox stays full"
        journaled = sum(1 for event in session.events() if event.type == "variable.set")
        assert journaled == 6000 - len(refused)
        assert set(refused) == {"mailbox"}
        assert other.get("k") == 499


def test_parallel_streams_do_not_mix(rt: Runtime) -> None:
    sessions = [rt.create_session() for _ in range(5)]
    contents = [os.urandom(1 << 20) * 2 + os.urandom(number * 1000) for number in range(20)]

    def store(number: int) -> None:
        session = sessions[number % 5]
        info = session.store_artifact("tool_result", f"stream {number}", io.BytesIO(contents[number]))
        with session.open_artifact(info.id) as stream:
            assert stream.read() == contents[number]

    together(*(partial(store, number) for number in range(20)))
    for number, content in enumerate(contents):
        assert sessions[number % 5].get_artifact(f"stream {number}").content == content
    assert rt.verify().problems == []


def test_a_slow_disk_that_makes_one_writer_give_up_does_not_keep_the_others_waiting(store_path: Path) -> None:
    engine = Engine(store_path, Durability.FSYNC, EngineOptions())
    database = engine._db
    syncing, go_on = threading.Event(), threading.Event()

    class SlowOnce:
        def flush_wal(self, sync: bool) -> None:
            if not syncing.is_set():
                syncing.set()
                go_on.wait(BOUND)
            database.flush_wal(sync)

        def __getattr__(self, name: str) -> Any:
            return getattr(database, name)

    engine._db = SlowOnce()
    outcomes: dict[str, str] = {}
    given_up = threading.Event()

    def wait(name: str, commit_number: int, timeout: float) -> None:
        try:
            engine.wait_synced(commit_number, timeout)
            outcomes[name] = "durable"
        except GreenroomError as error:
            outcomes[name] = error.code
        if name == "impatient":
            given_up.set()

    first = engine.write([(CF.META, b"test", b"1")])
    threads = [threading.Thread(target=wait, args=("leader", first, BOUND))]
    threads[0].start()
    assert syncing.wait(BOUND)
    second = engine.write([(CF.META, b"test", b"2")])
    threads += [threading.Thread(target=wait, args=("impatient", second, 0.05))]
    threads[1].start()
    assert given_up.wait(BOUND)
    threads += [threading.Thread(target=wait, args=("patient", second, BOUND / 4))]
    threads[2].start()
    go_on.set()
    for thread in threads:
        thread.join(BOUND)
    engine._db = database
    engine.close()
    assert outcomes == {"leader": "durable", "impatient": "OperationTimeout", "patient": "durable"}
