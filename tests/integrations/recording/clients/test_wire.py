"""What servers put on the wire, well-formed or not, as each client sees it: alone, recorded, and replayed."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3

from ....runtime.recording.reels import playback, recording
from ..fake_models import FakeModels
from ..runs import record, replay

PACKED = gzip.compress(bytes(range(256)) * 99, mtime=0)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
RESPONSES: dict[str, bytes] = {
    "no bytes": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(PACKED), PACKED),
    "gzip in chunks": CHUNKED + b"Content-Encoding: gzip\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(PACKED), PACKED),
    "trailers": CHUNKED + b"Trailer: X-T\r\n\r\n5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nX-T: 1\r\n\r\n",
    "bytes that are no text": b"HTTP/1.1 200 \xe9t\xe9\r\nX-A: caf\xe9\r\nX-B: \xff\xfe\r\nContent-Length: 2\r\n\r\nok",
    "values on two lines": b"HTTP/1.1 200 OK\r\nX-A: one\r\n two\r\nContent-Length: 2\r\n\r\nok",
    "204": b"HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: x\r\n\r\n",
    "100 before": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nuntil close",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "a length too long": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "the middle of a chunk": CHUNKED + b"\r\n5\r\nhello\r\n5\r\nhe",
    "the begin of a chunk": CHUNKED + b"\r\n5\r\nhello\r\n5\r\n",
    "no last chunk": CHUNKED + b"\r\n5\r\nhello\r\n",
    "no size of a chunk": CHUNKED + b"\r\nzz\r\nhello\r\n",
    "nothing": b"",
}


@pytest.fixture
def server() -> Iterator[Callable[[bytes], str]]:
    """Serves one response, as it is, to each request."""
    listener = socket.create_server(("127.0.0.1", 0))
    answer = b""

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                asked = b""
                while b"\r\n\r\n" not in asked:
                    if not (part := connection.recv(65536)):
                        break
                    asked += part
                if asked == b"end":
                    return
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

    thread = threading.Thread(target=serve)
    thread.start()

    def serving(response: bytes) -> str:
        nonlocal answer
        answer = response
        return f"http://127.0.0.1:{listener.getsockname()[1]}/path"

    yield serving
    with socket.create_connection(listener.getsockname()) as last:
        last.sendall(b"end")
    thread.join()
    listener.close()


def by_httpx(library: Any) -> Callable[[str], Any]:
    def get(url: str) -> Any:
        with library.Client() as client:
            response = client.get(url)
        return response.status_code, response.headers.raw, response.content, response.reason_phrase

    return get


def by_requests(url: str) -> Any:
    with requests.get(url) as response:
        return response.status_code, list(response.headers.items()), response.content, response.reason


def by_urllib3(url: str) -> Any:
    with urllib3.PoolManager(retries=False) as pool:
        response = pool.request("GET", url, preload_content=False)
        return response.status, list(response.headers.items()), list(response.stream(decode_content=False))


def by_urllib(url: str) -> Any:
    with urllib.request.urlopen(url) as response:
        return response.status, response.headers.items(), response.read(), response.reason


def by_aiohttp(url: str) -> Any:
    async def get() -> Any:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, response.raw_headers, await response.read(), response.reason

    return asyncio.run(get())


CLIENTS: dict[str, Callable[[str], Any]] = {
    "httpx": by_httpx(httpx),
    "httpx2": by_httpx(httpx2),
    "requests": by_requests,
    "urllib3": by_urllib3,
    "urllib": by_urllib,
    "aiohttp": by_aiohttp,
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("what", RESPONSES)
def test_a_client_sees_the_same(server: Callable[[bytes], str], what: str, client: str) -> None:
    url = server(RESPONSES[what])

    def seen() -> Any:
        try:
            return CLIENTS[client](url)
        except Exception as error:
            return type(error), str(error).partition(" at 0x")[0]

    alone = seen()
    with recording() as recorded:
        first = seen()
    assert first == alone
    server(b"HTTP/1.1 500 Live\r\nContent-Length: 0\r\n\r\n")
    with playback(recorded):
        assert seen() == first


def test_more_responses_at_once_than_connections_are_kept_end_in_the_recorded_order() -> None:
    """httpx closes those beyond twenty, each in its own time."""

    async def one(client: httpx.AsyncClient, url: str, number: int, ended: list[int]) -> None:
        async with client.stream("GET", f"{url}/chunks/{number * 7 % 13 + 1}") as response:
            async for _ in response.aiter_bytes():
                pass
        ended.append(number)

    async def program(url: str) -> list[int]:
        ended: list[int] = []
        async with httpx.AsyncClient() as client:
            await asyncio.gather(*(one(client, url, number, ended) for number in range(40)))
        return ended

    with FakeModels() as fake:
        first, tape = record(asyncio.run, program(fake.url))
    again, report = replay(tape, asyncio.run, program(fake.url))
    assert again == first
    assert report.is_exact
