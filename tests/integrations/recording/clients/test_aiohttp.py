"""The boundary of aiohttp's client: what a program gets is what it got."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from greenroom.runtime.recording.boundaries.http import bodies, identity
from greenroom.runtime.recording.tape.model import Asked
from greenroom.runtime.recording.tape.reels import playing
from greenroom.storage.errors import ReplayError

from ....runtime.recording.reels import ListRecorder, playback, recording
from ..fake_models import FakeModels
from ..runs import check_early_end

Cut = Callable[[], None]


async def fetch(url: str, method: str = "GET", **options: Any) -> Any:
    """Send a request and return all that a program can tell of the response, or of what was raised."""
    if callable(data := options.get("data")):
        options["data"] = data()
    async with aiohttp.ClientSession() as session:
        try:
            async with session.request(method, url, **options) as response:
                body = await response.read()
                head = response.status, response.reason, response.raw_headers, response.version, str(response.url)
                return *head, body, [each.status for each in response.history]
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error), str(error)


def get(url: str, method: str = "GET", **options: Any) -> Any:
    return asyncio.run(fetch(url, method, **options))


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/fresh", {}),
        ("/echo", {"method": "POST", "json": {"a": 1}}),
        ("/echo", {"method": "POST", "data": "text"}),
        ("/fresh", {"method": "POST", "data": lambda: {"f": io.BytesIO(b"content")}}),
        ("/chunks/20", {}),
        ("/gzip", {}),
        ("/gzip-chunks", {}),
        ("/big", {}),
        ("/status/500", {}),
        ("/status/204", {}),
        ("/fresh", {"method": "HEAD"}),
        ("/redirect", {}),
        ("/until-closed", {}),
        ("/drop", {"method": "POST"}),
        ("/drop", {}),
        ("/short", {}),
    ],
)
def test_a_replay_gives_what_was_recorded(fake: FakeModels, cut: Cut, path: str, options: dict[str, Any]) -> None:
    with recording() as recorded:
        first = get(fake.url + path, **options)
    cut()
    with playback(recorded):
        assert get(fake.url + path, **options) == first


READS: dict[str, Callable[[Any], AsyncIterator[bytes]]] = {
    "any": lambda response: response.content.iter_any(),
    "some": lambda response: response.content.iter_chunked(13),
    "lines": lambda response: response.content.__aiter__(),
}


@pytest.mark.parametrize("path", ["/chunks/300", "/gzip-chunks", "/big", "/until-closed"])
@pytest.mark.parametrize("how", READS)
def test_each_way_to_read_a_stream(fake: FakeModels, cut: Cut, how: str, path: str) -> None:
    async def read() -> list[bytes]:
        async with aiohttp.ClientSession() as session, session.get(fake.url + path) as response:
            return [chunk async for chunk in READS[how](response)]

    unrecorded = b"".join(asyncio.run(read()))
    with recording() as recorded:
        first = asyncio.run(read())
    assert b"".join(first) == unrecorded
    assert recorded.made[0].outcome["complete"]
    cut()
    with playback(recorded):
        assert asyncio.run(read()) == first


def test_errors_of_connections_are_raised_again(fake: FakeModels, cut: Cut) -> None:
    def ask() -> list[Any]:
        slow = {"method": "POST", "data": b"slow"}
        return [
            get("http://127.0.0.1:1/"),
            get("http://no.such.host.invalid/"),
            get(f"{fake.url}/echo", **slow, timeout=aiohttp.ClientTimeout(sock_read=0.05)),
            get(f"{fake.url}/echo", **slow, timeout=aiohttp.ClientTimeout(total=0.05)),
        ]

    fake.gates["slow"] = threading.Event()
    with recording() as recorded:
        first = ask()
    fake.gates["slow"].set()
    names = ["ClientConnectorError", "ClientConnectorDNSError", "SocketTimeoutError", "TimeoutError"]
    assert [each[0].__name__ for each in first] == names
    cut()
    with playback(recorded):
        assert ask() == first


def test_a_response_closed_early_can_be_closed_early_again(fake: FakeModels, cut: Cut) -> None:
    async def read(most: int) -> list[bytes]:
        got = []
        async with aiohttp.ClientSession() as session, session.get(f"{fake.url}/chunks/200000") as response:
            async for chunk in response.content.iter_chunked(10):
                got.append(chunk)
                if len(got) == most:
                    break
        return got

    check_early_end(lambda most: asyncio.run(read(most)), cut)


def test_one_session_asks_many_times_at_once(fake: FakeModels, cut: Cut) -> None:
    async def ask() -> list[bytes]:
        async with aiohttp.ClientSession() as session:

            async def one(number: int) -> bytes:
                async with session.post(f"{fake.url}/fresh", data=str(number).encode()) as response:
                    return await response.read()

            return [*await asyncio.gather(*map(one, range(10))), *[await one(number) for number in range(10)]]

    with recording() as recorded:
        first = asyncio.run(ask())
    assert len(set(first)) == 20
    cut()
    with playback(recorded):
        assert asyncio.run(ask()) == first


def test_an_upload_that_is_too_long_to_be_kept_is_sent_whole(
    fake: FakeModels, cut: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (bodies, identity):
        monkeypatch.setattr(module, "MOST_BYTES", 1000)
    whole = b"0123456789" * 300

    def ask() -> bytes:
        async def upload() -> AsyncIterator[bytes]:
            for at in range(0, len(whole), 300):
                yield whole[at : at + 300]

        answer: bytes = get(f"{fake.url}/echo", "POST", data=upload())[5]
        return answer

    with recording() as recorded:
        assert ask() == whole
    assert [(each.input["body"], each.input["left_out"]) for each in recorded.made] == [(b"", 1200)]
    cut()
    with playback(recorded):
        assert ask() == whole


def test_streamed_uploads(fake: FakeModels, cut: Cut) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    async def ask() -> Any:
        return (await fetch(f"{fake.url}/echo", "POST", data=parts()))[5]

    with recording() as recorded:
        assert asyncio.run(ask()) == b"one two"
    cut()
    with playback(recorded):
        assert asyncio.run(ask()) == b"one two"


def test_secrets_do_not_come_to_the_reel(fake: FakeModels, cut: Cut) -> None:
    def ask(key: str) -> bytes:
        headers = {"Authorization": f"Bearer {key}"}
        return bytes(get(f"{fake.url}/fresh?api_key={key}", headers=headers)[5])

    with recording() as recorded:
        first = ask("very-secret")
    assert "very-secret" not in repr([(each.input, each.outcome) for each in recorded.made])
    cut()
    with playback(recorded):
        assert ask("another") == first


def test_a_call_without_a_recording_is_refused(fake: FakeModels) -> None:
    with playback(ListRecorder()), pytest.raises(ReplayError):
        get(f"{fake.url}/fresh")
    assert not fake.requests


def test_websockets_pass_through_and_are_refused_in_a_replay() -> None:
    from aiohttp import web

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    async def talk(url: str) -> str:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
            await socket.send_str("hello")
            return await socket.receive_str()

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/", echo)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        with recording() as recorded:
            assert await talk(url) == "hello"
        with playback(recorded), pytest.raises(ReplayError, match="websocket"):
            await talk(url)
        await runner.cleanup()

    asyncio.run(main())


def test_a_fork_changes_what_is_sent(fake: FakeModels) -> None:
    class Forking(ListRecorder):
        def begin(self, asked: Asked) -> Any:
            made = super().begin(asked)
            made.changed = {"body": b"something longer", "url": f"{fake.url}/echo"}
            return made

    with playing(Forking()):
        assert get(f"{fake.url}/fresh", "POST", data=b"short")[5] == b"something longer"
