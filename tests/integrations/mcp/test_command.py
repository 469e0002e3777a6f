"""`greenroom mcp` as clients start it: a process, spoken to over stdin and stdout, or over streamable HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client, StdioServerParameters

from greenroom.runtime import Runtime

COMMAND = [sys.executable, "-m", "greenroom.runtime.cli"]


def over_stdio(store: Path, *options: str) -> Client:
    words = ["-m", "greenroom.runtime.cli", "--data", str(store), "mcp", *options]
    return Client(StdioServerParameters(command=sys.executable, args=words, env=_environment()))


def _environment() -> dict[str, str]:
    import os

    return {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}


async def called(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


def test_it_reads_beside_the_process_that_writes(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        s = rt.create_session(name="live")

        async def main() -> None:
            async with over_stdio(store_path) as client:
                assert (await called(client, "list_sessions"))["sessions"][0]["name"] == "live"
                s.add_message("user", "written meanwhile")
                page = await called(client, "read_conversation", session_id=s.id)
                assert page["messages"][0]["content"] == "written meanwhile"
                calls = []
                for n in range(60):  # many at once, while more is written
                    s.add_message("user", str(n))
                    calls.append(asyncio.create_task(called(client, "read_conversation", session_id=s.id)))
                    await asyncio.sleep(0)
                seen = [len(page["messages"]) for page in await asyncio.gather(*calls)]
                assert min(seen) >= 2
                newest = await called(client, "read_conversation", session_id=s.id, limit=100)
                assert [row["content"] for row in newest["messages"][1:]] == [str(n) for n in range(60)]
                assert "set_variable" not in {tool.name for tool in (await client.list_tools()).tools}

        asyncio.run(main())
        asked = subprocess.run(
            [*COMMAND, "--data", str(store_path), "mcp", "--write"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (asked.returncode, asked.stdout) == (1, "")
        assert "another process has it open" in asked.stderr


def test_it_writes_if_it_is_told_to_and_to_one_session_if_bound(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        one, other = rt.create_session(name="one").id, rt.create_session(name="other").id

    async def main() -> None:
        async with over_stdio(store_path, "--write", "--session", one[:13]) as client:
            await called(client, "set_variable", name="k", value=1)
            assert (await client.call_tool("set_variable", {"name": "k", "value": 1, "session_id": other})).is_error
            assert len((await called(client, "list_sessions"))["sessions"]) == 1

    asyncio.run(main())
    with Runtime.open(store_path) as rt:
        assert rt.session(one).get("k") == 1
        assert rt.session(other).get("k") is None


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--session", "abcdef"], "no session"), (["--http", "nowhere.invalid:1"], "cannot listen"), ([], "no store")],
)
def test_what_cannot_be_served_is_said(store_path: Path, words: list[str], told: str) -> None:
    if words:
        Runtime.open(store_path).close()
    done = subprocess.run(
        [*COMMAND, "--data", str(store_path), "mcp", *words], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("options", [(), ("--write",)])
def test_a_signal_ends_it_though_the_client_is_silent(
    store_path: Path, number: signal.Signals, code: int, options: tuple[str, ...]
) -> None:
    Runtime.open(store_path).close()
    words = [*COMMAND, "--data", str(store_path), "mcp", *options]
    pipes: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(words, **pipes) as process:
        process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        process.stdin.flush()
        assert b'"result"' in process.stdout.readline()
        process.send_signal(number)
        assert process.wait(30) == code
        assert process.stderr.read() == b""
    Runtime.open(store_path).close()


# -- streamable HTTP


@contextlib.contextmanager
def served(store: Path, *options: str) -> Iterator[str]:
    """The address at which a process serves a store."""
    words = [*COMMAND, "--data", str(store), "mcp", "--http", "127.0.0.1:0", *options]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            yield line.split()[3].rstrip(";")
        finally:
            process.send_signal(signal.SIGINT)
            assert "Traceback" not in process.stderr.read()
            assert process.wait(30) == 0


HEADERS = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}},
}


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that speaks plain HTTP, in an MCP session."""
    async with httpx.AsyncClient(headers=HEADERS, timeout=30) as client:
        reply = await client.post(url, json=INITIALIZE)
        client.headers["mcp-session-id"] = reply.headers["mcp-session-id"]
        await client.post(url, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        yield client


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, str]]:
    """The id and data of each event of a stream."""
    id = data = ""
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        id, data = (value if name == "id" else id), (value if name == "data" else data)
        if not line and id:
            yield id, data
            id = data = ""


async def cut_call(client: httpx.AsyncClient, url: str, session_id: str) -> str:
    """Call a tool, and cut the connection before the answer has been read: the id of the first event."""
    asked = {"name": "show_session", "arguments": {"session_id": session_id}}
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked}
    async with client.stream("POST", url, json=request) as response:
        async for id, _ in events(response):
            return id
    raise AssertionError("there was no event")


async def resumed(client: httpx.AsyncClient, url: str, last: str) -> Any:
    """Ask for what came after an event: the first message of the stream, or None if nothing comes."""
    async with client.stream("GET", url, headers={"last-event-id": last}) as response:
        assert response.status_code == 200
        async for _, data in events(response):
            if data:
                return json.loads(data)
    return None


def test_a_stream_that_was_cut_is_resumed(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        s = rt.create_session(name="over HTTP").id

    async def main(url: str) -> None:
        async with opened(url) as client:
            message = await resumed(client, url, await cut_call(client, url, s))
            assert message["id"] == 1
            assert message["result"]["structuredContent"]["name"] == "over HTTP"

    with served(store_path) as url:
        asyncio.run(main(url))


def test_a_client_cannot_resume_the_streams_of_another(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        ids = [rt.create_session(name=name).id for name in ("first", "second")]

    async def main(url: str) -> None:
        async with opened(url) as first, opened(url) as second:
            lasts = [await cut_call(first, url, ids[0]), await cut_call(second, url, ids[1])]
            assert await resumed(second, url, lasts[0]) is None
            for client, last, name in zip((first, second), lasts, ("first", "second"), strict=True):
                message = await resumed(client, url, last)  # both were request 1
                assert message["result"]["structuredContent"]["name"] == name

    with served(store_path) as url:
        asyncio.run(main(url))


@contextlib.asynccontextmanager
async def cutting(port: int) -> AsyncIterator[tuple[int, list[bool]]]:
    """A proxy that cuts the first connection on which a tool is called, after the first event of the answer."""
    cuts: list[bool] = []

    async def forward(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", port)
        armed = False

        async def up() -> None:
            nonlocal armed
            while data := await client.read(65536):
                armed = armed or (b'"tools/call"' in data and not cuts)
                to_server.write(data)
            to_server.close()

        async def down() -> None:
            while data := await server.read(65536):
                end = data.find(b"\r\n\r\n", data.find(b"\nid: ")) + 4 if armed and b"\nid: " in data else 0
                to_client.write(data[: end or None])
                if end:
                    cuts.append(True)
                    break
            await to_client.drain()

        upwards = asyncio.create_task(up())
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await down()
        upwards.cancel()
        to_client.close()
        to_server.close()

    listening = await asyncio.start_server(forward, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1], cuts
    finally:
        listening.close()


def test_the_client_of_the_sdk_gets_its_answer_over_a_cut(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        s = rt.create_session(name="over a cut").id

    async def main(url: str) -> None:
        async with (
            cutting(int(url.rpartition(":")[2].partition("/")[0])) as (port, cuts),
            Client(f"http://127.0.0.1:{port}/mcp", mode="legacy") as client,
        ):
            assert (await called(client, "show_session", session_id=s))["name"] == "over a cut"
            assert cuts == [True]
            assert (await called(client, "show_session", session_id=s))["name"] == "over a cut"

    with served(store_path) as url:
        asyncio.run(main(url))


def test_the_newest_protocol_is_served_too(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        s = rt.create_session(name="new").id

    async def main(url: str) -> None:
        async with Client(url) as client:
            assert [row["id"] for row in (await called(client, "list_sessions"))["sessions"]] == [s]

    with served(store_path, "--session", s) as url:
        asyncio.run(main(url))
        assert httpx.post(url, json=INITIALIZE, headers=HEADERS | {"host": "evil.example"}).status_code == 421
        assert httpx.post(url, json=INITIALIZE, headers=HEADERS | {"origin": "http://evil.example"}).status_code == 403
        assert httpx.post(
            url, content=b"\x00garbage", headers=HEADERS | {"content-type": "application/json"}
        ).is_client_error
