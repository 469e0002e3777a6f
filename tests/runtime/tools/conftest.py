from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from greenroom.runtime import Event, Runtime, Session
from greenroom.runtime.agents import echo


@pytest.fixture(scope="module")
def rt() -> Iterator[Runtime]:
    """One runtime for all tests of a file; each makes sessions and tools of its own."""
    with Runtime.open() as runtime:
        runtime.agents.register("echo", echo)
        yield runtime


@pytest.fixture
def session(rt: Runtime) -> Session:
    return rt.create_session()


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What a hanging tool waits for; set at the end, so that its thread ends."""
    event = threading.Event()
    yield event
    event.set()


def events_of(session: Session, *types: str) -> list[Event]:
    return [each for each in session.events() if each.type in types]
