"""What was recorded in a block is understood behind the caller's back; whoever reads sees it all the same."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import AsyncRuntime, Runtime, Session
from greenroom.runtime.handles.session import core_of
from greenroom.runtime.recording.tape.model import Asked
from greenroom.runtime.recording.tape.reels import active

URL = "https://api.openai.com/v1/chat/completions"


@contextmanager
def occupied(rt: Runtime) -> Iterator[None]:
    """Keep the thread that journals and understands recordings at work on something else."""
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go_on.wait(60)

    core_of(rt.create_session()).owed.add("other", work)
    assert begun.wait(60)
    core_of(rt.create_session()).owed.sessions.pop("other")  # nobody waits for it
    try:
        yield
    finally:
        go_on.set()


@pytest.fixture
def busy(rt: Runtime) -> Iterator[None]:
    """Keep it at work during the test."""
    with occupied(rt):
        yield


def ask_model(*said: str) -> None:
    """Ask a model, through a boundary, what the user says; every other text is the model's."""
    messages = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said)]
    body = {"model": "gpt-4o", "messages": messages}
    answer = {
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }
    reel = active()
    assert reel is not None
    input = {"method": "POST", "url": URL, "headers": [], "body": json.dumps(body).encode()}
    pending = reel.begin(Asked("http", f"POST {URL}", input))
    chunks = [json.dumps(answer).encode()]
    pending.tick()
    head = {"status": 200, "headers": [["content-type", "application/json"]]}
    pending.finish({**head, "chunks": chunks, "gaps": [1], "complete": True})


def _types(events: Any) -> set[str]:
    return {each.type for each in events}


LOOKS: dict[str, Callable[[Runtime, Session], object]] = {
    "messages": lambda rt, session: [each.text for each in session.messages()] == ["Hello", "Hi."],
    "events": lambda rt, session: "agent.returned" in _types(session.events()),
    "context": lambda rt, session: session.context().model == "gpt-4o",
    "timeline": lambda rt, session: "agent.returned" in _types(each.event for each in session.timeline()),
    "at": lambda rt, session: len(session.at(sequence=session.info().sequence).messages) == 2,
    "query": lambda rt, session: rt.events.query(type="agent.returned").total == 1,
    "metrics": lambda rt, session: rt.analytics.session(session).messages_by_role == {"user": 1, "assistant": 1},
    "search": lambda rt, session: {each.session_id for each in rt.search("Hello")} == {session.id},
    "aggregate": lambda rt, session: rt.analytics.aggregate().messages_by_role == {"user": 1, "assistant": 1},
    "added": lambda rt, session: session.add_message("user", "More").sequence == session.messages()[2].sequence,
}


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("look", LOOKS)
def test_whoever_reads_sees_it(rt: Runtime, look: str) -> None:
    with rt.recording("chat") as session:
        ask_model("Hello")
    assert session.id in core_of(session).owed.sessions
    assert LOOKS[look](rt, session)
    assert session.id not in core_of(session).owed.sessions


@pytest.mark.usefixtures("busy")
def test_the_next_block_does_not_wait_for_it(rt: Runtime) -> None:
    with rt.recording("chat") as session:
        ask_model("Hello")
    with rt.recording(session=session):
        ask_model("Hello", "Hi.", "Bye")
        assert session.id in core_of(session).owed.sessions
    assert [each.text for each in session.messages()] == ["Hello", "Hi.", "Bye", "Hi."]


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("looks", [*itertools.product([False, True], repeat=5)])
def test_blocks_of_one_session_are_one_conversation_whenever_it_is_read(rt: Runtime, looks: tuple[bool, ...]) -> None:
    said = ["Hello"]
    session = rt.create_session()
    looked = iter(looks)
    for question in ("And now?", "Bye", ""):
        with rt.recording(session=session):
            if next(looked, False):
                session.messages()
            ask_model(*said)
            if next(looked, False):
                session.messages()
        said += ["Hi.", question]
    assert [each.text for each in session.messages()] == said[:-1]


@pytest.mark.usefixtures("busy")
def test_whoever_reads_in_an_event_loop_sees_it(rt: Runtime) -> None:
    async def main() -> None:
        over = AsyncRuntime.over(rt)
        async with over.recording("chat") as session:
            ask_model("Hello")
        assert session.id in core_of(session.sync).owed.sessions
        assert [each.text for each in await session.messages()] == ["Hello", "Hi."]
        async with over.recording("other") as other:
            ask_model("Hello")
        await other.set("k", 1)
        assert other.id not in core_of(other.sync).owed.sessions
        async with over.recording("third") as third:
            begun = (await third.info()).sequence
            ask_model("Hello")
            assert (await third.info()).sequence > begun
            assert "recording.crossing" in {each.type async for each in third.events()}
        assert "agent.returned" in {each.type async for each in third.events()}
        await over.close()

    asyncio.run(main())


def test_it_is_there_when_the_runtime_has_closed(tmp_path: Path) -> None:
    with Runtime.open(tmp_path) as rt, rt.recording("chat") as session:
        ask_model("Hello")
    with Runtime.open(tmp_path) as rt:
        assert [each.text for each in rt.session(session.id).messages()] == ["Hello", "Hi."]
