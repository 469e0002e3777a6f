"""The boundary of `http.client`, for itself and below `urllib.request`."""

from __future__ import annotations

import http.client
import io
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from greenroom.runtime.recording.boundaries.http import client as boundary
from greenroom.runtime.recording.tape.model import Asked
from greenroom.runtime.recording.tape.reels import playing
from greenroom.storage.errors import ReplayError

from ..reels import ListRecorder, playback, recording

boundary.patch(http.client)


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    count = 0

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        type(self).count += 1
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"answer %d" % self.count
        if self.path == "/drop":
            self.connection.close()
            self.close_connection = True
            return
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(404 if self.path == "/none" else 200)
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (b"one", b"ab", b"three" * 10_000):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  as http.server names it


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def fetch(url: str, **options: Any) -> Any:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, **options)) as response:
            return response.status, response.read(), response.getheaders(), response.url
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except (urllib.error.URLError, http.client.HTTPException) as error:
        return type(error), str(error)


def test_urllib(url: str) -> None:
    def ask() -> list[Any]:
        return [
            fetch(url),
            fetch(f"{url}/redirect"),
            fetch(f"{url}/chunks"),
            fetch(f"{url}/none"),
            fetch(f"{url}/drop"),
            fetch(url, data=b"data"),
            fetch(url, data=iter([b"a", b"b"]), headers={"Content-Length": "2"}),
            fetch("http://127.0.0.1:1/"),
        ]

    with recording() as recorded:
        first = ask()
    assert len(recorded.made) == 9
    assert first[4][0] is http.client.RemoteDisconnected or issubclass(first[4][0], urllib.error.URLError)
    assert first[7] == (urllib.error.URLError, "<urlopen error [Errno 111] Connection refused>")
    count = Answers.count
    with playback(recorded):
        assert ask() == first
    assert Answers.count == count, "nothing was asked again"
    with playback(ListRecorder()), pytest.raises(ReplayError):
        fetch(url)


@pytest.mark.parametrize(
    "read",
    [
        lambda response: [response.read()],
        lambda response: list(iter(lambda: response.read(7), b"")),
        lambda response: list(iter(lambda: response.read1(7), b"")),
        lambda response: list(io.BufferedReader(response)),
        lambda response: [response.peek(3)[:1], response.readline(), response.read()],
    ],
)
@pytest.mark.parametrize("path", ["/", "/chunks"])
def test_each_way_to_read(url: str, path: str, read: Callable[[Any], list[bytes]]) -> None:
    def ask() -> list[list[bytes]]:
        found = []
        for _ in range(2):  # a connection of its own, since read1 does not say that it has read all
            connection = http.client.HTTPConnection(url.removeprefix("http://"))
            connection.request("POST", path, json.dumps({"a": 1}), {"Content-Type": "application/json"})
            found.append(read(connection.getresponse()))
            connection.close()
        return found

    unrecorded = ask()
    with recording() as recorded:
        first = ask()
    assert list(map(b"".join, first)) == list(map(b"".join, unrecorded))
    assert len(recorded.made) == 2
    assert all(each.outcome["complete"] for each in recorded.made)
    with playback(recorded):
        assert ask() == first


def test_a_fork_changes_what_is_sent(url: str) -> None:
    class Forking(ListRecorder):
        def begin(self, asked: Asked) -> Any:
            made = super().begin(asked)
            made.changed = {"body": b"something longer", "url": f"{url}/other"}
            return made

    with playing(Forking()):
        status, body, *_ = fetch(url, data=b"short")
    assert (status, body) == (200, b"something longer")
