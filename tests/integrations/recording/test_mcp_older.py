"""Sessions of the package mcp 1.x, which many frameworks have: recorded, and replayed when the server is gone."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")
if find_spec("mcp.shared.dispatcher") is not None:
    pytest.skip("these are the sessions of mcp 1.x", allow_module_level=True)

from mcp import ClientSession, McpError, types
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.memory import create_connected_server_and_client_session

from greenroom.runtime.recording.tape.player import Player
from greenroom.runtime.recording.tape.recorder import Recorder
from greenroom.runtime.recording.tape.reels import playing
from greenroom.storage.errors import ReplayError

from .mcp_runs import Fork, Program, Taped, free_port, listening, record, replay, run, stdio

SERVERS = Path(__file__).with_name("mcp_servers_older.py")
GONE = stdio(Path("/nowhere") / SERVERS.name)
"""The same program, where there is none: whoever starts it gets nothing."""


async def everything(open_server: Any, log: list[Any]) -> None:
    """Use what a session can do."""

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        log.append(("progress", progress, total, message))

    async with open_server() as (read, write, *_), ClientSession(read, write) as session:
        log.append(repr(await session.initialize()))
        log.append(repr(await session.list_tools()))
        log.append(repr(await session.list_resource_templates()))
        log.append(repr(await session.list_prompts()))
        log.append(repr(await session.call_tool("order", {"number": 7}, progress_callback=on_progress)))

        async def one(number: int) -> None:
            log.append((number, repr(await session.call_tool("order", {"number": number}))))

        await asyncio.gather(*map(one, range(6)))
        log.append(repr(await session.call_tool("broken", {})))
        log.append(repr(await session.read_resource(types.AnyUrl("orders://7"))))
        log.append(repr(await session.get_prompt("greet", {"name": "Ada"})))
        with pytest.raises(McpError) as caught:
            await session.read_resource(types.AnyUrl("nothing://7"))
        log.append((repr(caught.value), repr(caught.value.error)))
        with pytest.raises(McpError) as late:
            await session.call_tool("endless", {}, read_timeout_seconds=timedelta(seconds=0.2))
        log.append((repr(late.value), repr(late.value.error)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await session.call_tool("endless", {})


async def asked(open_server: Any, log: list[Any]) -> None:
    """Answer what the server asks, and listen to what it tells."""

    async def on_question(context: Any, params: Any) -> Any:
        log.append((context.request_id, repr(params)))
        return types.CreateMessageResult(
            role="assistant", content=types.TextContent(type="text", text="Yes."), model="a-model"
        )

    async def on_log(params: Any) -> None:
        log.append(repr(params))

    async def on_message(message: Any) -> None:
        log.append(type(message).__name__ if isinstance(message, Exception) else repr(message))

    async with (
        open_server() as (read, write, *_),
        ClientSession(
            read, write, sampling_callback=on_question, logging_callback=on_log, message_handler=on_message
        ) as session,
    ):
        await session.initialize()
        log.append(repr(await session.call_tool("refund", {"number": 7})))
        await session.send_ping()


async def calls(open_server: Any, log: list[Any]) -> None:
    """Call a tool three times."""
    async with open_server() as (read, write, *_), ClientSession(read, write) as session:
        await session.initialize()
        for number in (1, 2, 3):
            answer = await session.call_tool("order", {"number": number})
            log.append(answer.content[0].text.split())


PROGRAMS = [everything, asked, calls]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_server_that_is_a_process_is_not_started_in_a_replay(program: Program) -> None:
    log, tape = record(program, stdio(SERVERS))
    assert {each.kind for each in tape.crossings} == {"mcp"}
    assert replay(program, GONE, tape) == log


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_server_behind_http_is_not_called_in_a_replay(program: Program) -> None:
    with listening(SERVERS) as port:
        log, tape = record(program, lambda: streamablehttp_client(f"http://127.0.0.1:{port}/mcp"))
    assert {each.kind for each in tape.crossings} == {"mcp"}, "HTTP below MCP is not recorded besides"
    assert replay(program, lambda: streamablehttp_client(f"http://127.0.0.1:{free_port()}/mcp"), tape) == log


def test_a_server_behind_sse_is_not_called_in_a_replay() -> None:
    with listening(SERVERS, "sse") as port:
        log, tape = record(calls, lambda: sse_client(f"http://127.0.0.1:{port}/sse"))
    assert {each.kind for each in tape.crossings} == {"mcp"}
    assert replay(calls, lambda: sse_client(f"http://127.0.0.1:{free_port()}/sse"), tape) == log


def test_a_server_in_the_program_is_not_asked_in_a_replay() -> None:
    from mcp.server.fastmcp import FastMCP

    runs: list[int] = []

    def make() -> Any:
        server: Any = FastMCP("here", log_level="ERROR")

        @server.tool()
        def count() -> int:
            runs.append(1)
            return len(runs)

        return server._mcp_server

    async def program(make: Any, log: list[Any]) -> None:
        for _ in range(2):
            async with create_connected_server_and_client_session(make()) as session:
                log.append(repr(await session.call_tool("count", {})))

    log, tape = record(program, make)
    assert len(runs) == 2
    assert replay(program, make, tape) == log
    assert len(runs) == 2


def test_calls_of_tools_have_the_names_that_those_of_newer_sessions_have() -> None:
    _, tape = record(calls, stdio(SERVERS))
    assert [each.name for each in tape.crossings[:3]] == [
        f"connect python {SERVERS.name}",
        f"initialize python {SERVERS.name}",
        "desk/order",
    ]
    call = tape.crossings[2]
    assert call.input["arguments"] == {"number": 1}
    assert call.input["server"] == "desk"
    assert call.outcome["value"]["content"][0]["text"].replace("\n", "").replace(" ", "") == '{"number":1,"call":1}'


def test_a_session_that_a_service_keeps_open_is_recorded_where_it_is_used() -> None:
    async def program() -> None:
        async with stdio(SERVERS)() as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            sink = Taped()
            recorder = Recorder(sink)
            with playing(recorder):
                first = await session.call_tool("order", {"number": 1})
            recorder.close()
            assert sink.tape.crossings[0].name == "desk/order"
            with playing(Player(sink.tape)):
                assert await session.call_tool("order", {"number": 1}) == first
            assert '"call": 2' in (await session.call_tool("order", {"number": 1})).content[0].text

    asyncio.run(program())


def test_a_call_that_was_not_recorded_starts_no_server(tmp_path: Path) -> None:
    _, tape = record(calls, stdio(SERVERS))
    started = tmp_path / "started"
    spy = tmp_path / SERVERS.name
    spy.write_text(f"open({str(started)!r}, 'w').close()\n")

    async def more(open_server: Any, log: list[Any]) -> None:
        async with open_server() as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            with pytest.raises(ReplayError):
                await session.call_tool("refund", {"number": 4})
            log.append("refused")

    assert run(more, stdio(spy), Player(tape)) == ["refused"]
    assert not started.exists()


@pytest.mark.parametrize("first", [1, 2, 3])
def test_a_fork_opens_the_connection_when_it_goes_live(first: int) -> None:
    with listening(SERVERS) as port:
        for server in (stdio(SERVERS), lambda: streamablehttp_client(f"http://127.0.0.1:{port}/mcp")):
            log, tape = record(calls, server)
            fork = Fork(tape, first)
            forked = run(calls, server, fork)
            answered = max(0, first - 2)
            assert forked[:answered] == log[:answered]
            assert len(forked) == 3
            assert fork.live[-1] == "desk/order"
