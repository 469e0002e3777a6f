"""On a healthy store nobody is told of damage, whatever others write between two looks of a reading."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    ArtifactNotFound,
    GreenroomError,
    InvalidOperation,
    InvalidSessionState,
    OperationTimeout,
    Runtime,
    SessionNotFound,
    ValidationError,
)

GONE = (SessionNotFound, ArtifactNotFound, ValidationError, InvalidSessionState)
"""What may be answered by what somebody else has ended or deleted."""
CONFIG = {"handle_signals": False, "durability": "memory", "max_resident_sessions": 1}


@pytest.fixture(autouse=True)
def _switching() -> Iterator[None]:
    """Threads that take turns as often as Python lets them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def race(*workers: Callable[[], None]) -> None:
    """Do all at once, each on a thread of its own; what goes wrong in one is raised."""
    wrong: list[BaseException] = []
    start = threading.Barrier(len(workers))

    def run(work: Callable[[], None]) -> None:
        start.wait()
        try:
            work()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in workers]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if wrong:
        raise wrong[0]


def until(done: threading.Event, work: Callable[[], object], *, most: int = 20_000) -> Callable[[], None]:
    """What does something again and again until something else is done, whether or not it finds what it wants."""

    def run() -> None:
        for _ in range(most):
            if done.is_set():
                return
            with contextlib.suppress(*GONE):
                work()

    return run


def finally_done(done: threading.Event, work: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            work()
        finally:
            done.set()

    return run


def test_an_event_that_is_published_while_it_is_asked_for_is_there_or_not() -> None:
    with Runtime.open(config=CONFIG) as rt:
        session, done, found = rt.create_session("busy"), threading.Event(), [2]

        def look() -> None:
            rt.events.get(f"{session.id}/{found[0]}")
            found[0] += 1

        def publish() -> None:
            for _ in range(300):
                rt.events.publish("custom.said", {}, session=session)

        race(finally_done(done, publish), until(done, look), until(done, look))


def test_who_publishes_into_a_session_that_is_deleted_is_told_so() -> None:
    with Runtime.open(config=CONFIG) as rt:
        for _ in range(100):
            session, done = rt.create_session("short-lived"), threading.Event()
            session.add_message("user", "said")

            def publish(session: Any = session) -> None:
                with contextlib.suppress(*GONE):
                    while True:
                        rt.events.publish("custom.said", {}, session=session)

            def look(session: Any = session) -> None:
                rt.core.store.catalog.info(session.id)
                rt.analytics.session(session.id)

            race(publish, publish, finally_done(done, session.delete), until(done, look))


def test_sessions_are_read_while_their_journals_are_cut(tmp_path: Path) -> None:
    with Runtime.open(config=CONFIG) as rt:
        sessions, done = [rt.create_session(f"s{n}") for n in range(2)], threading.Event()

        def write() -> None:
            for number in range(150):
                for each in sessions:  # each brings the other out of memory
                    each.set("k", number)
                    each.set("k", -number)
                    each.add_message("user", "said")
                rt.retention(max_journal_events=1, dry_run=False)

        def fork() -> None:
            for each in sessions:
                with contextlib.suppress(InvalidOperation):  # what it was to be forked at has been cut away
                    each.fork().delete()

        def look() -> None:
            for each in sessions:
                assert len(each.messages()) <= 150
                each.info()
                list(each.events())
                rt.analytics.session(each.id)

        race(finally_done(done, write), until(done, fork), until(done, look))
        assert rt.verify().ok


@pytest.mark.parametrize("size", [20_000, 3_000_000])
def test_content_that_comes_and_goes_is_there_or_not(size: int) -> None:
    content = bytes(range(256)) * (size // 256)
    with Runtime.open(config={**CONFIG, "max_resident_sessions": 10, "artifact_cache_bytes": 0}) as rt:
        first, second, done = rt.create_session("first"), rt.create_session("second"), threading.Event()

        def write() -> None:
            for _ in range(2_000_000 // size + 20):
                for each in (first, second):
                    made = each.store_artifact("log", "a.bin", content)
                    each.delete_artifact(made.id)

        def look() -> None:
            for each in (first, second):
                assert each.get_artifact("a.bin").content == content
                with each.open_artifact("a.bin") as stream:
                    assert stream.read() == content

        race(finally_done(done, write), until(done, look), until(done, look))


def test_a_follower_reads_while_it_catches_up(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store", config={**CONFIG, "durability": "wal"}) as rt:
        session, done = rt.create_session("busy"), threading.Event()
        with Runtime.open(tmp_path / "store", config=CONFIG, read_only=True) as follower:

            def write() -> None:
                for _ in range(40):
                    rt.create_session("short-lived").delete()
                    made = session.store_artifact("log", "a.txt", "content")
                    session.set("k", 1)
                    follower.refresh()
                    session.delete_artifact(made.id)
                    rt.retention(max_journal_events=1, dry_run=False)
                    follower.refresh()

            def look() -> None:
                seen = follower.session(session.id)
                with contextlib.suppress(ArtifactNotFound):
                    seen.get_artifact("a.txt")
                seen.artifact_versions("a.txt")
                list(seen.events())
                seen.info()
                follower.list_sessions()
                with contextlib.suppress(*GONE, OperationTimeout):
                    follower.analytics.session(session.id)

            race(finally_done(done, write), until(done, look, most=2000))


def test_a_store_whose_events_are_missing_says_so_all_the_same(tmp_path: Path) -> None:
    with Runtime.open(config=CONFIG) as rt:
        session, done = rt.create_session("damaged"), threading.Event()
        session.set("k", 1)
        lost = f"{session.id}/2"
        rt._store.engine.write([(1, bytes.fromhex(session.id.replace("-", "")) + (2).to_bytes(8, "big"), b"broken")])

        def write() -> None:
            for _ in range(100):
                rt.create_session("other")

        def look() -> None:
            with pytest.raises(GreenroomError, match="damaged on disk"):
                rt.events.get(lost)

        race(finally_done(done, write), until(done, look))
