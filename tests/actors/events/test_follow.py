"""Following: history, then what comes, without a gap; also from a runtime that only reads."""

# ruff: noqa: SIM117

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import AccessDenied, Event, Runtime, Session, SessionNotFound

from ...warm import WarmPopen

PATIENCE = 30.0


@pytest.fixture
def writer(store_path: Path) -> Iterator[Runtime]:
    with Runtime.open(store_path) as runtime:
        yield runtime


@pytest.fixture
def reader(writer: Runtime, store_path: Path) -> Iterator[Runtime]:
    with Runtime.open(store_path, read_only=True, config={"refresh_interval": 0.02}) as runtime:
        yield runtime


def take(events: Iterator[Event], count: int) -> list[Event]:
    return [next(events) for _ in range(count)]


def until_seen(reader: Runtime, session: Session) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reader.exists(session.id):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_session_is_followed_from_its_history_into_what_comes(writer: Runtime) -> None:
    session = writer.create_session()
    for n in range(300):
        session.set("k", n)
    with session.follow(after=0) as events:
        assert [each.sequence for each in take(events, 301)] == list(range(1, 302))
        thread = threading.Thread(target=lambda: [session.set("k", n) for n in range(500)])
        thread.start()
        assert [each.sequence for each in take(events, 500)] == list(range(302, 802))
        thread.join()
    assert list(events) == []
    with session.follow(after=799, timeout=0.01) as events:
        assert [each.sequence for each in events] == [800, 801]
    assert not writer.events.subscriptions


def test_a_slow_follower_misses_nothing(writer: Runtime) -> None:
    session = writer.create_session()
    with session.follow(after=1) as events:
        for n in range(2000):
            session.set("k", n)
        assert [each.data["value"] for each in take(events, 2000)] == list(range(2000))


def test_following_ends_with_its_session_its_runtime_and_its_closing(store_path: Path) -> None:
    with Runtime.open(store_path) as runtime:
        sessions = [runtime.create_session() for _ in range(3)]
        follows = [each.follow(after=1) for each in sessions]
        found: list[list[Event]] = [[], [], []]
        threads = [threading.Thread(target=lambda n=n: found[n].extend(follows[n]), daemon=True) for n in range(3)]
        for thread in threads:
            thread.start()
        sessions[0].delete()
        threads[0].join(PATIENCE)
        follows[1].close()
        threads[1].join(PATIENCE)
    threads[2].join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert found[2] == []


def test_only_what_exists_and_is_reached_is_followed(writer: Runtime) -> None:
    session, other = writer.create_session(), writer.create_session()
    gone = writer.create_session()
    gone.delete()
    with pytest.raises(SessionNotFound):
        gone.follow()
    with acting(principal=other.id), pytest.raises(AccessDenied):
        session.follow()
    with writer.follow() as host, acting(principal=other.id), writer.follow() as own:
        with acting(principal=None):
            session.set("k", 1)
            other.set("k", 2)
            assert [each.session_id for each in take(host, 2)] == [session.id, other.id]
        assert next(own).session_id == other.id


def test_all_sessions_are_followed_from_a_time_on(writer: Runtime) -> None:
    sessions = [writer.create_session() for _ in range(5)]
    for session in sessions:
        session.set("k", 0)
    with writer.follow("variable.*", after=0) as events:
        first = {each.session_id: each.sequence for each in take(events, 5)}
        assert first == {each.id: 2 for each in sessions}
        made = writer.create_session()
        made.set("k", 1)
        sessions[2].set("k", 1)
        assert [(each.session_id, each.sequence) for each in take(events, 2)] == [(made.id, 2), (sessions[2].id, 3)]


def test_a_read_only_runtime_tells_what_another_one_writes(writer: Runtime, reader: Runtime) -> None:
    session = writer.create_session()
    with reader.events.subscribe("**", capacity=100_000) as told:
        made = [writer.create_session() for _ in range(20)]
        for n in range(50):
            for each in (session, *made):
                each.set("k", n)
        seen: dict[str, list[int]] = {}
        missing = {each.id: 51 for each in made}
        while missing:
            event = told.receive(timeout=PATIENCE)
            assert event is not None, missing
            sequences = seen.setdefault(event.session_id, [])
            sequences.append(event.sequence)
            if len(sequences) == missing.get(event.session_id):
                del missing[event.session_id]
        for each in made:
            assert seen[each.id] == list(range(1, 52)), "in order, without a gap, nothing twice"
    assert reader.session(session.id).get("k") == 49, "what was told can be read"


def test_a_read_only_runtime_follows_by_itself(writer: Runtime, reader: Runtime) -> None:
    session = writer.create_session()
    session.set("k", 1)
    until_seen(reader, session)
    with reader.session(session.id).follow(after=0) as events:
        assert [each.type for each in take(events, 2)] == ["session.created", "variable.set"]
        session.set("k", 2)
        assert next(events).data == {"key": "k", "value": 2}
        with reader.follow("tags.*") as tags:
            session.add_tag("t")
            assert next(tags).data == {"tags": ["t"]}
        session.complete()
        assert [each.type for each in take(events, 2)] == ["tags.changed", "session.completed"]


def test_callbacks_of_a_read_only_runtime_are_called(writer: Runtime, reader: Runtime) -> None:
    done = threading.Event()
    with reader.events.subscribe("custom.*", callback=lambda event: done.set()):
        writer.events.publish("custom.step", {"n": 1}, session=writer.create_session())
        assert done.wait(PATIENCE)


def test_what_was_there_before_is_not_told(writer: Runtime, store_path: Path) -> None:
    old = writer.create_session()
    old.set("k", 1)
    with Runtime.open(store_path, read_only=True, config={"refresh_interval": 3600}) as reader:
        with reader.events.subscribe("**") as told:
            reader.refresh()
            old.set("k", 2)
            reader.refresh()
            reader.refresh()
            assert told.receive(timeout=PATIENCE).data["value"] == 2  # type: ignore[union-attr]
            assert told.receive(timeout=0) is None


def test_sessions_from_long_ago_are_followed_when_they_wake_up(clock: Any, store_path: Path) -> None:
    with Runtime.open(store_path, clock=clock) as writer:
        sleeping = [writer.create_session() for _ in range(3)]
        sleeping[0].set("k", 1)
        clock.advance(86_400)
        writer.create_session()
        with Runtime.open(store_path, read_only=True, config={"refresh_interval": 3600}) as reader:
            with reader.events.subscribe("variable.*") as told:
                reader.refresh()
                for each in sleeping:
                    clock.advance(7)
                    each.set("k", 2)
                    each.set("k", 3)
                reader.refresh()
                found = [told.receive(timeout=PATIENCE) for _ in range(6)]
                assert [(each.session_id, each.data["value"]) for each in found if each is not None] == [
                    (each.id, value) for each in sleeping for value in (2, 3)
                ]
                assert told.receive(timeout=0) is None


def test_another_process_is_followed_and_its_end_is_no_harm(store_path: Path) -> None:
    script = (
        "import sys\nfrom greenroom.runtime import Runtime\n"
        "rt = Runtime.open(sys.argv[1])\ns = rt.create_session()\n"
        "print(s.id, flush=True)\n"
        "for line in sys.stdin:\n    s.set('k', int(line))\n    print('ok', flush=True)\n"
    )
    child = WarmPopen(
        [sys.executable, "-c", script, str(store_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        session_id = child.stdout.readline().strip()
        with Runtime.open(store_path, read_only=True, config={"refresh_interval": 0.02}) as reader:
            with reader.session(session_id).follow(after=1) as events:
                for n in range(5):
                    child.stdin.write(f"{n}\n")
                    child.stdin.flush()
                    assert next(events).data["value"] == n
                child.kill()
                child.wait(PATIENCE)
                with Runtime.open(store_path) as writer:
                    writer.session(session_id).set("k", 5)
                    assert next(events).data["value"] == 5
    finally:
        child.kill()
        child.wait()
