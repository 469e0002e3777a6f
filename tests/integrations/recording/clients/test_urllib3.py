"""The boundary of urllib3, for itself and below requests: what a program gets is what it got."""

from __future__ import annotations

import gzip
import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import urllib3
from urllib3.util import Retry, Timeout

from greenroom.runtime.recording.tape.reels import playing
from greenroom.storage.errors import ReplayError

from ....runtime.recording.reels import ListRecorder, playback, recording
from ..fake_models import FakeModels
from ..runs import check_early_end

Cut = Callable[[], None]


def get(url: str, method: str = "GET", **options: Any) -> Any:
    """Send a request of urllib3 and return the response, or what it raised."""
    with urllib3.PoolManager() as pool:
        try:
            return pool.request(method, url, **{"retries": False, **options})
        except urllib3.exceptions.HTTPError as error:
            return error


def seen(response: Any) -> Any:
    if isinstance(response, Exception):
        return type(response), str(response).partition(" at 0x")[0]
    parts = response.status, list(response.headers.items()), response.data, response.version, response.reason
    return *parts, response.geturl(), response.retries and response.retries.history


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/fresh", {}),
        ("/echo", {"method": "POST", "json": {"a": 1}}),
        ("/echo", {"method": "POST", "fields": {"f": ("name", b"content")}}),
        ("/echo", {"method": "POST", "body": "text"}),
        ("/chunks/20", {}),
        ("/gzip", {}),
        ("/gzip-chunks", {}),
        ("/big", {}),
        ("/status/500", {}),
        ("/status/204", {}),
        ("/fresh", {"method": "HEAD"}),
        ("/redirect", {"retries": 3}),
        ("/until-closed", {}),
        ("/drop", {}),
        ("/drop", {"retries": 2}),
        ("/short", {}),
    ],
)
def test_a_replay_gives_what_was_recorded(fake: FakeModels, cut: Cut, path: str, options: dict[str, Any]) -> None:
    with recording() as recorded:
        first = seen(get(fake.url + path, **options))
    cut()
    with playback(recorded):
        assert seen(get(fake.url + path, **options)) == first


def reads() -> dict[str, Callable[[Any], list[bytes]]]:
    def by(read: Callable[[Any], bytes]) -> Callable[[Any], list[bytes]]:
        return lambda response: list(iter(lambda: read(response), b""))

    def into(response: Any) -> bytes:
        buffer = bytearray(7)
        return bytes(buffer[: response.readinto(buffer)])

    return {
        "stream": lambda response: list(response.stream(11)),
        "stream raw": lambda response: list(response.stream(11, decode_content=False)),
        "stream all": lambda response: list(response.stream(None)),
        "read some": by(lambda response: response.read(13)),
        "read1": by(lambda response: response.read1(13)),
        "read all": lambda response: [response.read()],
        "readinto": by(into),
        "lines": list,
        "data": lambda response: [response.data],
    }


@pytest.mark.parametrize("path", ["/chunks/300", "/gzip-chunks", "/big", "/until-closed"])
@pytest.mark.parametrize("how", list(reads()))
def test_each_way_to_read_a_stream(fake: FakeModels, cut: Cut, how: str, path: str) -> None:
    def read() -> list[bytes]:
        with urllib3.PoolManager() as pool:
            response = pool.request("GET", fake.url + path, preload_content=False)
            parts = reads()[how](response)
            response.release_conn()
            return parts

    unrecorded = b"".join(read())
    with recording() as recorded:
        first = read()
    assert b"".join(first) == unrecorded
    [made] = recorded.made
    assert made.outcome["complete"]
    sent = gzip.compress(b"squeezed " * 1000, mtime=0) if path == "/gzip-chunks" else unrecorded
    assert b"".join(made.outcome["chunks"]) == sent
    cut()
    with playback(recorded):
        assert read() == first


def test_retries_are_recorded_once_each(fake: FakeModels, cut: Cut) -> None:
    def ask() -> Any:
        retry = Retry(3, status_forcelist=[503], backoff_factor=0, raise_on_status=False)
        return seen(get(f"{fake.url}/v1/x", retries=retry))

    fake.failures.extend([(503, {}), (503, {"Retry-After": "0"})])
    with recording() as recorded:
        first = ask()
    assert [each.outcome["status"] for each in recorded.made] == [503, 503, 404]
    cut()
    with playback(recorded):
        assert ask() == first


def test_errors_of_connections_are_raised_again(fake: FakeModels, cut: Cut) -> None:
    def ask() -> list[Any]:
        refused = get("http://127.0.0.1:1/")
        unknown = get("http://no.such.host.invalid/")
        slow = get(f"{fake.url}/echo", method="POST", body=b"slow", timeout=Timeout(connect=5, read=0.05))
        return [seen(each) for each in (refused, unknown, slow)]

    fake.gates["slow"] = threading.Event()
    with recording() as recorded:
        first = ask()
    fake.gates["slow"].set()
    assert [each[0].__name__ for each in first] == ["NewConnectionError", "NameResolutionError", "ReadTimeoutError"]
    cut()
    with playback(recorded):
        assert ask() == first


def test_a_response_closed_early_can_be_closed_early_again(fake: FakeModels, cut: Cut) -> None:
    def read(most: int) -> list[bytes]:
        got = []
        with urllib3.PoolManager() as pool:
            response = pool.request("GET", f"{fake.url}/chunks/1000", preload_content=False)
            for chunk in response.stream():
                got.append(chunk)
                if len(got) == most:
                    break
            response.close()
        return got

    check_early_end(read, cut)


def test_one_connection_answers_many_requests(fake: FakeModels, cut: Cut) -> None:
    def ask() -> list[bytes]:
        with urllib3.PoolManager() as pool:
            return [pool.request("GET", f"{fake.url}/fresh").data for _ in range(5)]

    with recording() as recorded:
        first = ask()
    cut()
    with playback(recorded):
        assert ask() == first


def test_uploads_of_each_form(fake: FakeModels, cut: Cut) -> None:
    def parts() -> Iterator[bytes]:
        yield b"one "
        yield b"two"

    def ask() -> list[bytes]:
        bodies: list[Any] = [b"bytes", "text", io.BytesIO(b"file"), parts(), bytearray(b"array"), [b"a", b"list"], None]
        return [get(f"{fake.url}/echo", method="POST", body=body).data for body in bodies]

    unrecorded = ask()
    with recording() as recorded:
        first = ask()
    assert first == unrecorded
    cut()
    with playback(recorded):
        assert ask() == first


def test_requests(fake: FakeModels, cut: Cut) -> None:
    def ask(key: str) -> list[Any]:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {key}"
            answers = [
                session.get(f"{fake.url}/redirect"),
                session.post(f"{fake.url}/echo", json={"a": 1}, params={"api_key": key}),
                session.post(f"{fake.url}/fresh", data={"client_secret": key}),
                session.get(f"{fake.url}/cookie"),
                session.get(f"{fake.url}/gzip-chunks"),
            ]
            with session.get(f"{fake.url}/chunks/9", stream=True) as streamed:
                chunks = list(streamed.iter_content(None))
            return [*((each.status_code, each.content, dict(each.headers)) for each in answers), chunks]

    with recording() as recorded:
        first = ask("very-secret")
    assert "very-secret" not in repr([(each.input, each.outcome) for each in recorded.made])
    cut()
    with playback(recorded):
        again = ask("another")
    first[3][2].update({"Set-Cookie": "sid=[redacted]; Path=/", "X-Api-Key": "[redacted]"})
    assert again == first
    with playback(ListRecorder()), pytest.raises(ReplayError):
        requests.get(f"{fake.url}/never")


def test_threads_have_their_own_answers(fake: FakeModels, cut: Cut) -> None:
    def ask() -> dict[int, bytes]:
        found: dict[int, bytes] = {}

        def one(number: int) -> None:
            with playing(reel):
                found[number] = requests.post(f"{fake.url}/fresh", data=str(number)).content

        threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        return found

    with recording() as reel:
        first = ask()
    recorded: ListRecorder = reel
    cut()
    with playback(recorded) as reel:
        assert ask() == first
