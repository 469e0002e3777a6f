"""What no recording holds never goes live in a replay: the program is told what it is, and what to do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenroom.runtime import tool
from greenroom.storage.errors import ReplayError

from ..runs import record, replay

Urls = Iterator[str]


@pytest.fixture
def echo() -> Urls:
    """A server of websockets that sends back what it gets."""
    websockets_server = pytest.importorskip("websockets.sync.server")

    def handle(connection: Any) -> None:
        for message in connection:
            connection.send(message)

    with websockets_server.serve(handle, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/echo"
        server.shutdown()
        thread.join()


def _sync(url: str) -> str:
    from websockets.sync.client import connect

    with connect(url) as socket:
        socket.send("hello")
        return str(socket.recv())


def _asyncio(url: str) -> str:
    from websockets.asyncio.client import connect

    async def ask() -> str:
        async with connect(uri=url) as socket:
            await socket.send("hello")
            return str(await socket.recv())

    return asyncio.run(ask())


@pytest.mark.parametrize("ask", [_sync, _asyncio])
def test_a_websocket_is_warned_of_and_refused_in_a_replay(echo: str, ask: Callable[[str], str]) -> None:
    assert ask(echo) == "hello"
    url = f"{echo}?token=secret"
    with pytest.warns(RuntimeWarning, match=r"a websocket is not recorded: ws://127\.0\.0\.1:\d+/echo\. ") as warned:
        first, tape = record(ask, url)
    assert first == "hello"
    assert "secret" not in str(warned[0].message)
    with pytest.raises(ReplayError, match=r"the program uses a websocket, ws://.*@tool, and record anew"):
        replay(tape, ask, url)


def test_a_websocket_in_a_tool_is_recorded_with_it(echo: str) -> None:
    ask = tool(_sync)
    first, tape = record(ask, echo)
    again, report = replay(tape, ask, echo)
    assert again == first
    assert report.is_exact


@pytest.fixture
def upper() -> Urls:
    """A server of gRPC that answers in upper case."""
    grpc = pytest.importorskip("grpc")
    from concurrent.futures import ThreadPoolExecutor

    server = grpc.server(ThreadPoolExecutor(2))
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: request.upper())
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("Words", {"Upper": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def _grpc(target: str) -> bytes:
    import grpc

    with grpc.insecure_channel(target) as channel:
        answer: bytes = channel.unary_unary("/Words/Upper")(b"hello")
        return answer


def _grpc_aio(target: str) -> bytes:
    import grpc.aio

    async def ask() -> bytes:
        async with grpc.aio.insecure_channel(target) as channel:
            answer: bytes = await channel.unary_unary("/Words/Upper")(b"hello")
            return answer

    return asyncio.run(ask())


@pytest.mark.parametrize("ask", [_grpc, _grpc_aio])
def test_a_call_of_grpc_is_warned_of_and_refused_in_a_replay(upper: str, ask: Callable[[str], bytes]) -> None:
    with pytest.warns(RuntimeWarning, match="a gRPC call is not recorded: /Words/Upper"):
        first, tape = record(ask, upper)
    assert first == b"HELLO"
    with pytest.raises(ReplayError, match="the program uses a gRPC call, /Words/Upper"):
        replay(tape, ask, upper)
