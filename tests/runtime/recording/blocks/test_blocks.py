"""Blocks within blocks, blocks that are entered twice, and what outlives its block."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import urlopen

import pytest

from greenroom.runtime import InvalidOperation, ReplayError, Runtime
from greenroom.runtime.recording.boundaries.http import Exchange, Replayed
from greenroom.runtime.recording.boundaries.tools import tool
from greenroom.runtime.recording.journal.reading import tape_of
from greenroom.runtime.recording.tape.model import Asked
from greenroom.runtime.recording.tape.player import Player
from greenroom.runtime.recording.tape.recorder import Recorder
from greenroom.runtime.recording.tape.reels import active

from ..tape.lists import ListSink


class Counter:
    """A tool whose answers are other with each call."""

    def __init__(self) -> None:
        self.calls = 0

        @tool
        def count(name: str) -> str:
            self.calls += 1
            return f"{name} {self.calls}"

        @tool
        async def acount(name: str) -> str:
            await asyncio.sleep(0)
            self.calls += 1
            return f"{name} {self.calls}"

        self.count, self.acount = count, acount


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def url() -> Iterator[str]:
    """A server whose answer comes in two parts."""

    class Parts(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3\r\none\r\n")
            self.wfile.write(b"3\r\ntwo\r\n0\r\n\r\n")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Parts)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/parts"
    server.shutdown()
    thread.join()
    server.server_close()


def values(session: Any) -> list[str]:
    return [each.outcome["value"] for each in tape_of(session).crossings]


def test_a_recording_within_a_recording_leaves_no_gap_in_the_outer_one(rt: Runtime, counter: Counter) -> None:
    def program() -> tuple[list[str], Any]:
        told = [counter.count("before")]
        with rt.recording() as inner:
            told.append(counter.count("within"))
            with ThreadPoolExecutor() as pool:
                told.append(pool.submit(counter.count, "pool").result())
        return [*told, counter.count("after")], inner

    with rt.recording() as outer:
        told, inner = program()
    assert values(outer) == told
    assert values(inner) == told[1:3]
    calls = counter.calls
    with rt.replaying(outer, strict=True) as replaying:
        again, inner = program()
    assert again == told
    assert counter.calls == calls, "a replay calls nobody, also within a recording"
    assert replaying.report.is_exact
    assert values(inner) == told[1:3]
    with rt.replaying(inner, strict=True):
        assert counter.count("within") == told[1]


def test_a_recording_within_a_replay_calls_nobody(rt: Runtime, counter: Counter) -> None:
    with rt.recording() as recorded:
        counter.count("one")
    with contextlib.suppress(ReplayError), rt.replaying(recorded), rt.recording() as inner:
        counter.count("one")
        with pytest.raises(ReplayError, match="nothing was recorded"):
            counter.count("two")
    assert counter.calls == 1
    assert values(inner) == ["one 1"]


def test_requests_that_are_recorded_at_once_within_a_recording_keep_apart(rt: Runtime, counter: Counter) -> None:
    async def request(number: int) -> tuple[str, list[str]]:
        with rt.recording(f"request {number}") as inner:
            told = await asyncio.gather(*(counter.acount(f"{number}-{each}") for each in range(3)))
        return inner.id, told

    async def program() -> list[tuple[str, list[str]]]:
        return await asyncio.gather(*(request(number) for number in range(5)))

    with rt.recording() as outer:
        told = asyncio.run(program())
    for session, answers in told:
        assert sorted(values(rt.session(session))) == sorted(answers)
    with rt.replaying(outer, strict=True) as replaying:
        again = asyncio.run(program())
    assert [answers for _, answers in again] == [answers for _, answers in told]
    assert replaying.report.is_exact


def test_a_block_that_is_active_is_not_entered_again(rt: Runtime, counter: Counter) -> None:
    block = rt.recording()
    with block as session:
        with pytest.raises(InvalidOperation, match="already"), block:
            pass
        counter.count("one")
    assert values(session) == ["one 1"]
    replayed = rt.replaying(session)
    with replayed:
        with pytest.raises(InvalidOperation, match="already"), replayed:
            pass
        assert counter.count("one") == "one 1"


def test_a_response_that_is_read_after_the_block_is_recorded_as_far_as_the_block_got_it(rt: Runtime, url: str) -> None:
    with rt.recording() as session:
        response = urlopen(url)
        assert response.read(3) == b"one"
    assert response.read() == b"two"
    (crossing,) = tape_of(session).crossings
    assert (crossing.outcome["chunks"], crossing.outcome["complete"]) == ([b"one"], False)
    with rt.replaying(session) as replaying:
        response = urlopen(url)
        assert response.read(3) == b"one"
        with pytest.raises(ReplayError, match="or the recording ended"):
            response.read()
    assert replaying.report.exact == 1


def test_an_inner_recording_ends_before_a_response_that_the_outer_one_gets_whole(rt: Runtime, url: str) -> None:
    with rt.recording() as outer:
        with rt.recording() as inner:
            response = urlopen(url)
        assert response.read() == b"onetwo"
    assert [each.outcome["chunks"] for each in tape_of(inner).crossings] == [[]]
    assert [b"".join(each.outcome["chunks"]) for each in tape_of(outer).crossings] == [b"onetwo"]
    assert tape_of(outer).crossings[0].outcome["complete"]


def test_calls_under_way_at_the_end_of_a_block_are_counted_and_a_replay_tells_of_them(rt: Runtime) -> None:
    begun, go_on = threading.Event(), threading.Event()

    @tool
    def slow() -> str:
        begun.set()
        go_on.wait(60)
        return "done"

    with rt.recording() as session:
        thread = threading.Thread(target=slow)
        thread.start()
        assert begun.wait(60)
    go_on.set()
    thread.join()
    tape = tape_of(session)
    assert (tape.crossings, tape.about["under_way"]) == ([], 1)
    with pytest.raises(ReplayError, match="1 calls were under way when the recording ended"), rt.replaying(session):
        slow()


def test_the_workers_of_a_pool_that_a_replay_starts_are_free_when_it_has_ended(rt: Runtime, counter: Counter) -> None:
    with rt.recording() as session:
        counter.count("one")
    with ThreadPoolExecutor(1) as pool:
        with rt.replaying(session):
            assert pool.submit(counter.count, "one").result() == "one 1"
        assert pool.submit(counter.count, "two").result() == "two 2"


def test_sleeps_are_short_also_in_the_replay_of_a_recording_with_secrets(rt: Runtime, counter: Counter) -> None:
    with rt.recording(redact=["secret"]) as session:
        counter.count("one")
    with rt.replaying(session):
        assert getattr(active(), "sleep", 1.0) < 0.1
        with rt.recording():
            assert getattr(active(), "sleep", 1.0) < 0.1


def test_what_a_block_raises_is_kept_without_the_secrets_of_urls(rt: Runtime) -> None:
    session = rt.create_session()
    with pytest.raises(ValueError, match="s3cr3t"), rt.recording(session=session):
        raise ValueError("https://host/?api_key=s3cr3t is wrong")
    assert "s3cr3t" not in repr(tape_of(session).about)


def test_a_chunk_that_is_all_secret_does_not_end_the_response_of_a_replay(rt: Runtime, url: str) -> None:
    def program() -> bytes:
        read = bytearray()
        with urlopen(url) as response:
            while part := response.read(2):
                read += part
        return bytes(read)

    with rt.recording(redact="net") as session:
        assert program() == b"onetwo"
    (crossing,) = tape_of(session).crossings
    assert b"".join(crossing.outcome["chunks"]) == b"o[redacted]wo"
    assert b"" in crossing.outcome["chunks"]
    with rt.replaying(session, strict=True):
        assert program() == b"o[redacted]wo"


def test_a_secret_that_no_rule_tells_of_is_still_matched_in_a_strict_replay(rt: Runtime, counter: Counter) -> None:
    with rt.recording(redact=["hunter2"]) as session:
        told = [counter.count("my password is hunter2, not hunter1"), counter.count("hunter2!")]
    with rt.replaying(session, strict=True) as replaying:
        again = [counter.count("my password is hunter2, not hunter1"), counter.count("hunter2!")]
    assert again == [each.replace("hunter2", "[redacted]") for each in told]
    assert replaying.report.is_exact
    with pytest.raises(ReplayError), rt.replaying(session, strict=True):
        counter.count("my password is hunter2, not hunter3")


def test_what_is_larger_than_the_store_takes_is_left_out_and_the_recording_goes_on(url: str) -> None:
    @tool
    def repeat(text: str, times: int) -> str:
        return text * times

    def program() -> list[Any]:
        told: list[Any] = []
        for text, times in (("large", 5000), ("x" * 20_000, 0), ("small", 2)):
            try:
                told.append(repeat(text, times))
            except ReplayError as error:
                told.append(str(error))
        with urlopen(url, data=bytes(200_000)) as response:
            told.append(response.read())
        return told

    with Runtime.open(config={"max_artifact_bytes": 10_000}) as rt:
        with rt.recording() as session:
            told = program()
        tape = tape_of(session)
        assert "failure" not in tape.about
        assert [each.input.get("left_out") for each in tape.crossings] == [None, 20_027, None, 200_000]
        with rt.replaying(session, strict=True) as replaying:
            again = program()
        assert again[1:] == told[1:]
        assert "was not recorded: it has 25" in again[0]
        assert "max_artifact_bytes" in again[0]
        assert replaying.report.exact == 4


def test_a_response_is_kept_up_to_a_limit_and_the_program_gets_all_of_it(url: str) -> None:
    sink = ListSink()
    recorder = Recorder(sink)
    exchange = Exchange(recorder.begin(Asked("http", "GET https://host/", {})), 200, [])
    block = bytes(1 << 20)
    for _ in range(130):
        exchange.chunk(block)
    exchange.end(True)
    (crossing,) = sink.tape.crossings
    kept = sum(map(len, crossing.outcome["chunks"]))
    assert 99 << 20 <= kept <= 100 << 20
    assert crossing.outcome["left_out"] == (130 << 20) - kept
    assert not crossing.outcome["complete"]
    pending = Player(sink.tape).begin(Asked("http", "GET https://host/", {}))
    with pytest.raises(ReplayError, match="bytes of a recorded response are not known"):
        for _ in Replayed(pending, crossing.outcome):
            pass


def test_blocks_may_end_in_the_order_in_which_they_began(rt: Runtime, counter: Counter) -> None:
    one, other = rt.recording(), rt.recording()
    first = one.__enter__()
    second = other.__enter__()
    counter.count("both")
    one.__exit__(None, None, None)
    counter.count("second")
    other.__exit__(None, None, None)
    assert active() is None
    counter.count("none")
    assert (values(first), values(second)) == (["both 1"], ["both 1", "second 2"])
    replayed, within = rt.replaying(second), rt.replaying(first)
    replayed.__enter__()
    within.__enter__()
    replayed.__exit__(None, None, None)
    assert counter.count("both") == "both 1"
    within.__exit__(None, None, None)
    assert counter.count("live") == "live 4"


def test_a_block_may_end_in_another_thread_than_it_began_in(rt: Runtime, counter: Counter) -> None:
    def begin() -> Any:
        block = rt.recording()
        session = block.__enter__()
        counter.count("one")
        return block, session

    with ThreadPoolExecutor(1) as pool:
        block, session = pool.submit(begin).result()
    block.__exit__(None, None, None)
    assert values(session) == ["one 1"]
    assert "ended_at" in tape_of(session).about


def test_an_asynchronous_generator_with_a_block_may_be_closed_by_another_task(rt: Runtime, counter: Counter) -> None:
    async def answers() -> AsyncIterator[Any]:
        with rt.recording() as session:
            yield session
            yield await counter.acount("two")

    async def program() -> Any:
        generator = answers()
        session = await asyncio.create_task(anext(generator))
        await counter.acount("outside")
        await asyncio.create_task(generator.aclose())
        assert active() is None
        return session

    session = asyncio.run(program())
    tape = tape_of(session)
    assert tape.crossings == []
    assert tape.about["error"]["name"] == "GeneratorExit"
