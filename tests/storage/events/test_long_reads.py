"""Whoever waits for a long read of journals can end it."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import Runtime, ScriptTimeout, Session
from greenroom.storage.common.metering import timed

EVENTS = 1000
READS: dict[str, Callable[[Runtime, Session], object]] = {
    "events": lambda rt, s: list(s.events()),
    "query": lambda rt, s: rt.events.query(type="none.**"),
    "query of one session": lambda rt, s: rt.events.query(type="none.**", session_id=s.id),
    "query, the newest first": lambda rt, s: rt.events.query(type="none.**", descending=True, limit=20),
    "query of one session, the newest first": lambda rt, s: rt.events.query(
        type="none.**", session_id=s.id, descending=True, limit=20
    ),
    "timeline": lambda rt, s: s.timeline(),
    "fork": lambda rt, s: s.fork(),
    "diff": lambda rt, s: s.diff(1),
}


class Over(BaseException):
    pass


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with Runtime.open() as runtime:
        yield runtime


@pytest.fixture
def session(runtime: Runtime) -> Session:
    session = runtime.create_session()
    with session.batch() as batch:
        for number in range(EVENTS):
            batch.set(f"k{number}", number)
    return session


@pytest.mark.parametrize("read", READS)
def test_a_long_read_asks_on_its_way_and_can_be_ended(runtime: Runtime, session: Session, read: str) -> None:
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise Over

    def go() -> None:
        timed(ask)
        READS[read](runtime, session)

    with pytest.raises(Over):
        contextvars.copy_context().run(go)
    assert asked == 3
    assert session.children() == []
    assert session.info().status == "active"
    assert session.get("k0") == 0
    assert runtime.verify().ok


@pytest.mark.parametrize("descending", [False, True])
def test_a_look_past_sessions_of_others_can_be_ended(runtime: Runtime, session: Session, descending: bool) -> None:
    for _ in range(20):
        runtime.create_session()
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1

    def go() -> None:
        timed(ask)
        with acting(principal=session.id):
            runtime.events.query(type="none.**", descending=descending, limit=20)

    contextvars.copy_context().run(go)
    assert asked > 20


def test_a_script_ends_in_the_midst_of_a_read(runtime: Runtime, session: Session) -> None:
    source = "while true do pcall(Session.fork, '') pcall(Session.events, '') end"
    with pytest.raises(ScriptTimeout):
        runtime.run_script(source, session=session, timeout=0.3)
    assert session.info().status == "active"
    assert runtime.verify().ok
