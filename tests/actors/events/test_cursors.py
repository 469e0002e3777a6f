"""A follower of all sessions goes on from its cursor: nothing is missing and nothing comes twice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import Runtime, Session, ValidationError


@pytest.fixture
def writer(clock: Any, store_path: Path) -> Iterator[Runtime]:
    with Runtime.open(store_path, clock=clock) as runtime:
        yield runtime


def everything(rt: Runtime, sessions: list[Session]) -> set[str]:
    return {event.id for session in sessions for event in session.events()}


def ids(rt: Runtime, after: Any, most: int | None = None, **options: Any) -> tuple[list[str], str]:
    """The ids of the next events, and the cursor behind the last of them."""
    found = []
    with rt.follow(after=after, timeout=0, **options) as events:
        for event in events:
            found.append(event.id)
            if len(found) == most:
                break
        return found, events.cursor


@pytest.mark.parametrize("seed", range(6))
def test_every_event_is_given_once_wherever_a_follower_was_cut(writer: Runtime, clock: Any, seed: int) -> None:
    choose = random.Random(seed)
    sessions = [writer.create_session() for _ in range(5)]
    seen: list[str] = []
    cursor: Any = 0
    for _ in range(60):
        for _ in range(choose.randrange(4)):
            choose.choice(sessions).set("k", choose.random())
            clock.advance(choose.choice([0, 0, 0.3, 2, 15, 400]))
        if choose.random() < 0.2:
            sessions.append(writer.create_session())
        if choose.random() < 0.1:
            sessions[0].save()
        found, cursor = ids(writer, cursor, choose.choice([None, 1, 2, 5]))
        seen += found
    found, cursor = ids(writer, cursor)
    seen += found
    assert len(seen) == len(set(seen))
    assert set(seen) == everything(writer, sessions)
    by_session: dict[str, int] = {}
    for each in seen:  # those of one session in their order
        session, _, sequence = each.partition("/")
        assert int(sequence) == by_session.get(session, 0) + 1
        by_session[session] = int(sequence)


def test_a_cursor_goes_on_in_another_runtime(clock: Any, store_path: Path) -> None:
    with Runtime.open(store_path, clock=clock) as rt:
        s = rt.create_session()
        with rt.follow() as events:  # from now on
            s.set("k", 1)
            assert next(events).sequence == 2
            cursor = events.cursor
        s.set("k", 2)
    with Runtime.open(store_path, clock=clock) as rt:
        clock.advance(100)
        rt.session(s.id).set("k", 3)
        with Runtime.open(store_path, read_only=True) as reader:
            found, cursor = ids(reader, cursor)
            assert found == [f"{s.id}/3", f"{s.id}/4"]
            assert ids(reader, cursor)[0] == []
        rt.create_session()
        assert len(ids(rt, cursor)[0]) == 1


def test_a_cursor_keeps_its_place_under_filters(writer: Runtime) -> None:
    first, other = writer.create_session(), writer.create_session()
    for n in range(3):
        first.set("k", n)
        other.set("k", n)
        writer.events.publish("variable.set", {}, first)
    options: dict[str, Any] = {"pattern": "variable.*", "session": first, "origin": "runtime"}
    found, cursor = ids(writer, 0, 2, **options)
    assert found == [f"{first.id}/2", f"{first.id}/4"]
    found, cursor = ids(writer, cursor, **options)
    assert found == [f"{first.id}/6"]
    first.set("k", 9)
    assert ids(writer, cursor, **options)[0] == [f"{first.id}/8"]
    assert len(ids(writer, 0, origin="published")[0]) == 3


def test_a_follower_of_one_session_ends_with_it_whatever_it_listens_to(writer: Runtime) -> None:
    for follow in (
        lambda s: s.follow(pattern="custom.*"),
        lambda s: writer.follow("custom.*", after=0, session=s),
    ):
        s = writer.create_session()
        events = follow(s)
        s.delete()
        assert list(events) == []


def test_a_session_is_followed_from_a_cursor_too(writer: Runtime) -> None:
    s = writer.create_session()
    s.set("a", 1)
    writer.events.publish("custom.x", {}, s)
    s.set("b", 2)
    with s.follow(pattern="variable.*", timeout=0) as events:
        assert next(events).sequence == 2
        cursor = events.cursor
    assert [each.sequence for each in s.follow(cursor, timeout=0)] == [3, 4]
    assert [each.sequence for each in s.follow(cursor, timeout=0, origin="published")] == [3]
    for wrong in ("x", "-1", -1, 1.5, "9" * 40):
        with pytest.raises(ValidationError):
            s.follow(wrong)  # type: ignore[arg-type]


def test_many_changed_sessions_are_read_one_by_one(writer: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    from greenroom.storage.catalog import changes

    monkeypatch.setattr(changes, "_MERGED", 3)
    _, cursor = ids(writer, 0)
    sessions = [writer.create_session() for _ in range(8)]
    for each in sessions:
        each.set("k", 1)
    seen: list[str] = []
    for _ in range(20):
        found, cursor = ids(writer, cursor, 1)
        seen += found
    assert sorted(seen) == sorted(everything(writer, sessions))


def test_a_cursor_of_a_session_names_no_others(writer: Runtime) -> None:
    own, _ = writer.create_session(), writer.create_session()
    with acting(principal=own.id, realm=writer.core.security):
        found, cursor = ids(writer, 0)
        assert found == [f"{own.id}/1"]
        own.set("k", 1)
        other_cursor = ids(writer, cursor)
        assert other_cursor[0] == [f"{own.id}/2"]
    from greenroom.runtime.events.following import parse_cursor

    place = parse_cursor(cursor)
    assert {each.hex() for each in place.live.known} == {own.id.replace("-", "")}


@pytest.mark.parametrize("text", ["cursor:", "cursor:x", "cursor:AAAA", "cursor:" + "A" * 1000, "cursor:eJwDAAAAAAE="])
def test_what_is_no_cursor_is_refused(writer: Runtime, text: str) -> None:
    with pytest.raises(ValidationError, match="this is no cursor"):
        writer.follow(after=text)
    assert not writer.events.subscriptions


def test_a_cursor_that_was_changed_harms_nothing(writer: Runtime) -> None:
    s = writer.create_session()
    s.set("k", 1)
    _, cursor = ids(writer, 0)
    choose = random.Random(1)
    for _ in range(300):
        at = choose.randrange(7, len(cursor))
        text = cursor[:at] + choose.choice("abcXYZ019-_=") + cursor[at + 1 :]
        try:
            ids(writer, text)
        except ValidationError:
            continue
    assert writer.verify().ok
    assert not writer.events.subscriptions
