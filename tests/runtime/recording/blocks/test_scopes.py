"""A block of a host is recorded into a session, and answered from it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import AsyncRuntime, GreenroomError, ReplayError, Runtime, SessionNotFound, ValidationError
from greenroom.runtime.recording.boundaries.tools import tool
from greenroom.runtime.recording.journal.reading import tape_of


class Counter:
    """A tool whose answers are other with each call."""

    def __init__(self) -> None:
        self.calls = 0

    def next(self, name: str) -> str:
        self.calls += 1
        return f"{name} {self.calls}"


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def count(counter: Counter) -> Callable[[str], str]:
    @tool
    def count(name: str) -> str:
        return counter.next(name)

    return count


def names(rt: Runtime, session: Any) -> list[str]:
    return [each.outcome["value"] for each in tape_of(rt.session(session.id)).crossings]


def test_a_block_is_recorded_and_answered_from_the_recording(rt: Runtime, count: Any, counter: Counter) -> None:
    with rt.recording("request", tags=["chat"], metadata={"user": 1}) as session:
        told = [count("a"), count("b")]
    count("outside")
    info = session.info()
    assert (info.name, set(info.tags)) == ("request", {"chat", "recording"})
    assert names(rt, session) == ["a 1", "b 2"]
    with rt.replaying(session, strict=True) as replaying:
        assert [count("a"), count("b")] == told
    assert counter.calls == 3
    assert replaying.report.is_exact
    assert "ended_at" in tape_of(session).about
    assert rt.verify().ok


def test_what_a_block_raises_is_recorded(rt: Runtime, count: Any) -> None:
    with contextlib.suppress(ZeroDivisionError), rt.recording() as session:
        count("a")
        raise ZeroDivisionError("no")
    about = tape_of(session).about
    assert (about["error"]["name"], about["error"]["text"]) == ("ZeroDivisionError", "no")
    assert names(rt, session) == ["a 1"]


def test_blocks_at_the_same_time_stay_apart(rt: Runtime, count: Any) -> None:
    sessions: dict[str, Any] = {}
    barrier = threading.Barrier(4)

    def request(name: str) -> None:
        with rt.recording(name) as sessions[name]:
            barrier.wait(60)
            for _ in range(10):
                count(name)

    threads = [threading.Thread(target=request, args=(f"r{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, session in sessions.items():
        assert [each.split()[0] for each in names(rt, session)] == [name] * 10


def test_a_session_has_the_recordings_of_many_requests(rt: Runtime, count: Any) -> None:
    chat = rt.create_session("chat")
    runs: list[int] = []
    for name in ("first", "second"):
        with rt.recording(session=chat) as session:
            assert session == chat
            count(name)
        runs.append(next(e.sequence for e in reversed(list(chat.events())) if e.type == "recording.started"))
    with rt.recording(key="k") as keyed:
        count("third")
    with rt.recording(key="k") as again:
        count("fourth")
    assert keyed == again == rt.session(key="k")
    assert names(rt, chat) == ["second 2"]
    with rt.replaying(chat.id, run=runs[0]):
        assert count("first") == "first 1"


def test_a_call_that_was_not_recorded_stops_a_replay_and_nothing_is_called(
    rt: Runtime, count: Any, counter: Counter
) -> None:
    with rt.recording() as session:
        count("a")
    with contextlib.suppress(ReplayError), rt.replaying(session) as replaying:
        count("a")
        with pytest.raises(ReplayError):
            count("b")
    assert counter.calls == 1
    assert not replaying.report.is_exact
    with pytest.raises(ReplayError, match="has no recording"), rt.replaying(rt.create_session()):
        pass


def test_a_replay_that_has_stopped_is_told_where_the_program_has_caught_it(rt: Runtime, count: Any) -> None:
    with rt.recording() as session:
        count("a")

    def caught() -> None:
        with rt.replaying(session):
            count("a")
            with contextlib.suppress(ReplayError):  # as clients do that take it for an error of the network
                count("b")

    def raised() -> None:
        with rt.replaying(session):
            count("a")
            try:
                count("b")
            except ReplayError as error:
                raise KeyError("what the block raises goes on") from error

    with pytest.raises(ReplayError, match="nothing was recorded"):
        caught()
    with pytest.raises(KeyError):
        raised()
    with pytest.raises(ReplayError, match="has no recording"), rt.replaying(rt.create_session()):
        pass


def test_what_is_redacted_is_matched_by_a_replay_with_another_secret(rt: Runtime, count: Any) -> None:
    with rt.recording(redact=r"sk-\d+") as session:
        count("sk-123")
    assert "sk-123" not in repr(tape_of(session))
    with rt.replaying(session, strict=True) as replaying:
        assert count("sk-456") == "[redacted] 1"
    assert replaying.report.is_exact


def test_a_session_that_ends_in_the_block_ends_the_recording_and_not_the_program(
    rt: Runtime, count: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with rt.recording() as session:
        count("a")
        session.complete()
        assert count("b") == "b 2"
    assert names(rt, session) == ["a 1"]
    assert "has become completed while it was recorded" in caplog.text


def test_wrong_arguments_are_refused_before_anything_begins(rt: Runtime) -> None:
    session = rt.create_session()
    for options in ({"session": session, "key": "k"}, {"session": session, "tags": ["t"]}, {"redact": "("}):
        with pytest.raises(ValidationError):
            rt.recording(**options)  # type: ignore[arg-type]
    with pytest.raises(SessionNotFound):
        rt.recording(session="00000000-0000-4000-8000-000000000000")
    with pytest.raises(SessionNotFound):
        rt.replaying("00000000-0000-4000-8000-000000000000")
    with pytest.raises(GreenroomError):
        rt.replaying(session, run=0)


def test_in_an_event_loop_tasks_of_a_block_belong_to_it(tmp_path: Path, counter: Counter) -> None:
    @tool
    async def count(name: str) -> str:
        await asyncio.sleep(0)
        return counter.next(name)

    async def request(rt: AsyncRuntime, name: str) -> Any:
        async with rt.recording(name) as session:
            await asyncio.gather(*(count(f"{name}-{n}") for n in range(3)))
            await asyncio.create_task(count(f"{name}-task"))
        return session

    async def main() -> None:
        async with await AsyncRuntime.open(tmp_path / "store") as rt:
            sessions = await asyncio.gather(*(request(rt, f"r{n}") for n in range(3)))
            for number, session in enumerate(sessions):
                told = sorted(each.split("-")[0] for each in names(rt.runtime, session))
                assert told == [f"r{number}"] * 4
            calls = counter.calls
            async with rt.replaying(sessions[1]) as replaying:
                await asyncio.gather(*(count(f"r1-{n}") for n in range(3)))
                await asyncio.create_task(count("r1-task"))
            assert replaying.report.is_exact
            assert counter.calls == calls

    asyncio.run(main())


@pytest.fixture
def model() -> Iterator[str]:
    class Model(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            answer = json.dumps({"answer": body["n"] * 2}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_http_is_recorded_byte_for_byte_and_replayed_without_the_server(rt: Runtime, model: str) -> None:
    httpx = pytest.importorskip("httpx")
    with rt.recording() as session, httpx.Client() as client:
        told = [client.post(model, json={"n": n}).content for n in range(3)]
    tape = tape_of(session)
    assert [b"".join(each.outcome["chunks"]) for each in tape.crossings] == told
    with rt.replaying(session, strict=True) as replaying, httpx.Client() as client:
        assert [client.post(model, json={"n": n}).content for n in range(3)] == told
    assert replaying.report.is_exact


def test_threads_and_pools_of_a_block_belong_to_it_and_other_threads_do_not(rt: Runtime, count: Any) -> None:
    begin, end = threading.Event(), threading.Event()

    def other() -> None:
        begin.wait(60)
        count("other")
        end.set()

    outside = threading.Thread(target=other)
    outside.start()
    with rt.recording() as session:
        begin.set()
        assert end.wait(60)
        thread = threading.Thread(target=count, args=("thread",))
        thread.start()
        thread.join()
        with ThreadPoolExecutor() as pool:
            pool.submit(count, "pool").result()
    outside.join()
    assert [each.split()[0] for each in names(rt, session)] == ["thread", "pool"]
