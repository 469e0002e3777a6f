"""HTTP/2 is recorded as HTTP is: at the transport of httpx, whatever goes over the wire."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest

from ..runs import record, replay


def _serve(connection: socket.socket) -> None:
    """Answer each request of a connection of HTTP/2 with its body, in two parts."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import DataReceived, RequestReceived, StreamEnded

    state = H2Connection(H2Configuration(client_side=False))
    state.initiate_connection()
    bodies: dict[int, bytes] = {}
    with connection:
        connection.sendall(state.data_to_send())
        while data := connection.recv(65536):
            for event in state.receive_data(data):
                if isinstance(event, RequestReceived):
                    bodies[event.stream_id] = b""
                elif isinstance(event, DataReceived):
                    bodies[event.stream_id] += event.data
                    state.acknowledge_received_data(len(event.data), event.stream_id)
                elif isinstance(event, StreamEnded):
                    state.send_headers(event.stream_id, [(":status", "200"), ("x-answer", "yes")])
                    state.send_data(event.stream_id, b"you said ")
                    state.send_data(event.stream_id, bodies[event.stream_id], end_stream=True)
            connection.sendall(state.data_to_send())


@pytest.fixture
def server() -> Iterator[tuple[str, list[socket.socket]]]:
    """Yield the URL of a server, and the connections that it has accepted."""
    pytest.importorskip("h2")
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                accepted.append(connection)
                threading.Thread(target=_serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/", accepted
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_http2_is_answered_with_the_same_version_headers_and_bytes(
    server: tuple[str, list[socket.socket]], library: ModuleType
) -> None:
    url, accepted = server

    def sync() -> Any:
        with (
            library.Client(http1=False, http2=True) as client,
            client.stream("POST", url, content=b"hello") as response,
        ):
            return response.http_version, response.headers["x-answer"], b"".join(response.iter_raw())

    async def three() -> list[Any]:
        async with library.AsyncClient(http1=False, http2=True) as client:
            answers = await asyncio.gather(*(client.post(url, content=b"%d" % number) for number in range(3)))
            return [(each.http_version, each.content) for each in answers]

    def program() -> Any:
        return sync(), asyncio.run(three())

    first, tape = record(program)
    assert first[0] == ("HTTP/2", "yes", b"you said hello")
    assert first[1] == [("HTTP/2", b"you said %d" % number) for number in range(3)]
    before = len(accepted)
    again, report = replay(tape, program)
    assert len(accepted) == before
    assert again == first
    assert (report.exact, report.is_exact) == (4, True)
