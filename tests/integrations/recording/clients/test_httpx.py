"""The boundary of httpx and of httpx2, synchronous and asynchronous: what a program gets is what it got."""

from __future__ import annotations

import asyncio
import gc
import gzip
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest

from greenroom.runtime.recording.tape.model import Asked
from greenroom.runtime.recording.tape.reels import playing

from ....runtime.recording.reels import ListRecorder, playback, recording
from ..fake_models import FakeModels
from ..runs import check_early_end

Cut = Callable[[], None]
Get = Callable[..., Any]


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> ModuleType:
    module: ModuleType = request.param
    return module


@pytest.fixture(params=["sync", "async"])
def get(request: pytest.FixtureRequest, library: ModuleType, fake: FakeModels) -> Get:
    """Sends a request and returns the response, read; or what it raised."""

    def sync(path: str, method: str = "GET", client: Any = None, **options: Any) -> Any:
        try:
            with library.Client(base_url=fake.url, **(client or {})) as made:
                return made.request(method, path, **options)
        except library.HTTPError as error:
            return error

    async def asynchronous(path: str, method: str, client: Any, options: Any) -> Any:
        try:
            async with library.AsyncClient(base_url=fake.url, **(client or {})) as made:
                return await made.request(method, path, **options)
        except library.HTTPError as error:
            return error

    def run(path: str, method: str = "GET", client: Any = None, **options: Any) -> Any:
        return asyncio.run(asynchronous(path, method, client, options))

    return sync if request.param == "sync" else run


def seen(response: Any) -> Any:
    """Return all that a program can tell of a response or an exception."""
    if isinstance(response, Exception):
        return type(response), str(response), response.args
    parts = response.status_code, response.headers.raw, response.content, response.http_version, response.reason_phrase
    return *parts, str(response.url), [seen(each) for each in response.history]


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/fresh", {}),
        ("/echo", {"method": "POST", "json": {"a": 1}}),
        ("/echo", {"method": "POST", "files": {"f": b"content"}}),
        ("/chunks/20", {}),
        ("/gzip", {}),
        ("/gzip-chunks", {}),
        ("/big", {}),
        ("/status/500", {}),
        ("/status/204", {}),
        ("/fresh", {"method": "HEAD"}),
        ("/redirect", {"client": {"follow_redirects": True}}),
        ("/until-closed", {}),
        ("/drop", {}),
        ("/short", {}),
    ],
)
def test_a_replay_gives_what_was_recorded(
    get: Get, cut: Cut, path: str, options: dict[str, Any], library: ModuleType
) -> None:
    with recording() as recorded:
        first = get(path, **options)
    cut()
    with playback(recorded):
        again = get(path, **options)
    assert seen(again) == seen(first)
    if path == "/drop":
        assert type(first) is library.RemoteProtocolError


def test_chunks_are_recorded_as_they_came(fake: FakeModels, library: ModuleType, cut: Cut) -> None:
    def read() -> list[bytes]:
        with library.Client() as client, client.stream("GET", f"{fake.url}/gzip-chunks") as response:
            return list(response.iter_raw())

    with recording() as recorded:
        first = read()
    [made] = recorded.made
    assert made.outcome["chunks"] == first, "the raw bytes, still compressed"
    assert len(made.outcome["gaps"]) == len(first)
    assert gzip.decompress(b"".join(first)) == b"squeezed " * 1000
    assert made.ticks == len(first) + 2
    cut()
    with playback(recorded):
        assert read() == first


def test_errors_of_connections_are_raised_again(get: Get, cut: Cut, fake: FakeModels, library: ModuleType) -> None:
    with recording() as recorded:
        unknown = get("http://127.0.0.1:1/", method="GET")
        fake.gates["slow"] = threading.Event()
        slow = get("/echo", method="POST", content=b"slow", timeout=library.Timeout(5, read=0.05))
        fake.gates.pop("slow").set()
    assert (type(unknown), type(slow)) == (library.ConnectError, library.ReadTimeout)
    cut()
    with playback(recorded):
        assert seen(get("http://127.0.0.1:1/", method="GET")) == seen(unknown)
        again = get("/echo", method="POST", content=b"slow", timeout=library.Timeout(5, read=0.05))
    assert seen(again) == seen(slow)
    assert again.request.url.path == "/echo"


def test_a_response_closed_early_can_be_closed_early_again(fake: FakeModels, library: ModuleType, cut: Cut) -> None:
    def read(most: int) -> list[bytes]:
        got = []
        with library.Client() as client, client.stream("GET", f"{fake.url}/chunks/1000") as response:
            for chunk in response.iter_raw():
                got.append(chunk)
                if len(got) == most:
                    break
        return got

    check_early_end(read, cut)


def test_a_response_that_the_program_drops_is_on_the_tape(fake: FakeModels, library: ModuleType) -> None:
    with recording(), library.Client() as client:
        response = client.send(client.build_request("GET", f"{fake.url}/chunks/5"), stream=True)
        assert response.status_code == 200
        del response
        gc.collect()


def test_streamed_uploads(fake: FakeModels, library: ModuleType, cut: Cut) -> None:
    def parts() -> Iterator[bytes]:
        yield b"one "
        yield b"two"

    async def parts_later() -> AsyncIterator[bytes]:
        for part in parts():
            yield part

    async def post() -> bytes:
        async with library.AsyncClient() as client:
            return (await client.post(f"{fake.url}/echo", content=parts_later())).content

    def both() -> tuple[bytes, bytes]:
        return library.post(f"{fake.url}/echo", content=parts()).content, asyncio.run(post())

    with recording() as recorded:
        assert both() == (b"one two", b"one two")
    assert [each.input["body"] for each in recorded.made] == [b"one two"] * 2
    cut()
    with playback(recorded):
        assert both() == (b"one two", b"one two")


def test_secrets_do_not_come_to_the_reel_and_do_not_count(get: Get, fake: FakeModels, cut: Cut) -> None:
    def ask(secret: str) -> list[Any]:
        headers = {"Authorization": f"Bearer {secret}", "X-Api-Key": secret, "Cookie": f"sid={secret}"}
        path = f"/echo?api_key={secret}&page=2"
        user = f"http://me:{secret}@127.0.0.1:{fake.port}/fresh"
        form = {"grant_type": "refresh_token", "refresh_token": secret}
        answers = [
            get(path, headers=headers, method="POST", content=b"x"),
            get(user),
            get("/fresh", method="POST", data=form),
            get("/cookie"),
        ]
        return [answer.content for answer in answers]

    with recording() as recorded:
        first = ask("very-secret")
    shown = repr([(each.name, each.input, each.outcome, each.key) for each in recorded.made])
    assert "very-secret" not in shown
    assert "Bearer [redacted]" in shown
    assert "api_key=[redacted]&page=2" in shown
    assert "sid=[redacted]; Path=/" in shown
    cut()
    with playback(recorded):
        assert ask("another") == first


def test_multipart_boundaries_do_not_count(get: Get, cut: Cut) -> None:
    with recording() as recorded:
        first = get("/fresh", method="POST", files={"f": b"content"})
    cut()
    with playback(recorded):
        assert get("/fresh", method="POST", files={"f": b"content"}).content == first.content


def test_the_outermost_transport_is_recorded_once(fake: FakeModels, library: ModuleType, cut: Cut) -> None:
    class Twice(library.BaseTransport):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.inner = library.HTTPTransport()

        def handle_request(self, request: Any) -> Any:
            self.inner.handle_request(request).read()
            return library.Response(200, content=self.inner.handle_request(request).read() + b" twice")

    def ask() -> bytes:
        with library.Client(transport=Twice()) as client:
            return client.get(f"{fake.url}/fresh").content

    with recording() as recorded:
        first = ask()
    assert first.endswith(b" twice")
    assert len(recorded.made) == 1
    cut()
    with playback(recorded):
        assert ask() == first


def test_transports_within_the_process_are_the_program_itself(library: ModuleType) -> None:
    def answer(request: Any) -> Any:
        return library.Response(200, content=b"made here")

    with recording() as recorded, library.Client(transport=library.MockTransport(answer)) as client:
        assert client.get("http://nowhere/").content == b"made here"
    assert not recorded.made


def test_a_call_that_the_program_cancelled_is_cancelled_again(fake: FakeModels, library: ModuleType, cut: Cut) -> None:
    async def ask(reached: asyncio.Event | None) -> str:
        async with library.AsyncClient() as client:
            task = asyncio.create_task(client.post(f"{fake.url}/fresh", content=b"slow"))
            while reached is not None and not fake.requests:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return "cancelled"
            return "answered"

    fake.gates["slow"] = threading.Event()
    with recording() as recorded:
        assert asyncio.run(ask(asyncio.Event())) == "cancelled"
    fake.gates["slow"].set()
    cut()
    with playback(recorded):
        assert asyncio.run(ask(None)) == "cancelled"


def test_a_fork_changes_what_is_sent(fake: FakeModels, library: ModuleType) -> None:
    class Forking(ListRecorder):
        def begin(self, asked: Asked) -> Any:
            made = super().begin(asked)
            made.changed = {"body": b"something longer", "headers": [["X-New", "1"], ["Authorization", "[redacted]"]]}
            return made

    with playing(Forking()):
        answer = library.post(f"{fake.url}/echo", content=b"short", headers={"Authorization": "Bearer mine"})
    assert answer.content == b"something longer"


def test_an_upload_that_is_too_long_to_be_kept_is_sent_whole(
    fake: FakeModels, library: ModuleType, monkeypatch: pytest.MonkeyPatch, cut: Cut
) -> None:
    from greenroom.runtime.recording.boundaries.http import bodies, identity

    for module in (bodies, identity):
        monkeypatch.setattr(module, "MOST_BYTES", 1000)
    parts = [b"0123456789" * 30] * 10

    def ask() -> bytes:
        answer: bytes = library.post(f"{fake.url}/echo", content=iter(parts)).content
        return answer

    async def ask_async() -> bytes:
        async def upload() -> AsyncIterator[bytes]:
            for each in parts:
                yield each

        async with library.AsyncClient() as client:
            answer: bytes = (await client.post(f"{fake.url}/echo", content=upload())).content
            return answer

    with recording() as recorded:
        assert ask() == asyncio.run(ask_async()) == b"".join(parts)
    assert [each.input["body"] for each in recorded.made] == [b"", b""]
    assert all(each.input["left_out"] == 1200 for each in recorded.made)
    cut()
    with playback(recorded):
        assert ask() == asyncio.run(ask_async()) == b"".join(parts)
