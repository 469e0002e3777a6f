"""MCP client sessions: recorded against real servers, and replayed when these are gone."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp.client.subscriptions")

import mcp_types as types
from mcp import Client, ClientSession, MCPError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import MCPServer

from greenroom.runtime.recording.tape.player import Player
from greenroom.storage.errors import ReplayError

from .mcp_runs import Fork, Program, free_port, listening, record, replay, run, stdio

SERVERS = Path(__file__).with_name("mcp_servers.py")
GONE = stdio(Path("/nowhere") / SERVERS.name)
"""The same program, where there is none: whoever starts it gets nothing."""


async def everything(open_server: Any, log: list[Any]) -> None:
    """Use what a session can do, in the present protocol."""

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        log.append(("progress", progress, total, message))

    async def on_message(message: Any) -> None:
        log.append(type(message).__name__)

    async with Client(open_server(), message_handler=on_message) as client:
        log.append(repr(client.session.server_info))
        log.append((await client.list_tools()).model_dump_json())
        log.append((await client.call_tool("order", {"number": 7}, progress_callback=on_progress)).model_dump_json())

        async def one(number: int) -> None:
            log.append((number, (await client.call_tool("order", {"number": number})).model_dump_json()))

        await asyncio.gather(*map(one, range(6)))
        log.append((await client.call_tool("broken", {})).model_dump_json())
        log.append((await client.read_resource("orders://7")).model_dump_json())
        log.append((await client.get_prompt("greet", {"name": "Ada"})).model_dump_json())
        with pytest.raises(MCPError) as caught:
            await client.read_resource("nothing://7")
        log.append((caught.value.code, str(caught.value), caught.value.data))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.call_tool("endless", {})


async def asked(open_server: Any, log: list[Any]) -> None:
    """Answer what the server asks, in the protocol with a handshake."""

    async def on_question(context: Any, question: Any) -> Any:
        log.append(question.message)
        return types.ElicitResult(action="accept", content={"yes": True})

    async def on_log(params: Any) -> None:
        log.append(params.data)

    async with Client(
        open_server(), mode="legacy", elicitation_callback=on_question, logging_callback=on_log
    ) as client:
        log.append(client.session.protocol_version)
        log.append((await client.call_tool("refund", {"number": 7})).model_dump_json())


async def low_level(open_server: Any, log: list[Any]) -> None:
    """Use a session as the package has it, without its client."""
    async with open_server() as (read, write), ClientSession(read, write) as session:
        log.append((await session.initialize()).model_dump_json())
        for number in (1, 2):
            answer = await session.call_tool("order", {"number": number})
            log.append(answer.model_dump_json())
        await session.send_ping()


async def subscribed(open_server: Any, log: list[Any]) -> None:
    """Follow what changes at the server."""

    async def on_message(message: Any) -> None:
        log.append(type(message).__name__)

    async with Client(open_server(), message_handler=on_message) as client:
        async with client.listen(tools_list_changed=True) as events:
            log.append(repr(events.honored))
            for _ in range(2):
                log.append((await client.call_tool("learn", {})).model_dump_json())
                log.append(repr(await anext(events)))
        log.append(len((await client.list_tools()).tools))


PROGRAMS = [everything, asked, low_level, subscribed]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_server_that_is_a_process_is_not_started_in_a_replay(program: Program) -> None:
    log, tape = record(program, stdio(SERVERS))
    assert {each.kind for each in tape.crossings} == {"mcp"}
    assert replay(program, GONE, tape) == log


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_server_behind_http_is_not_called_in_a_replay(program: Program) -> None:
    with listening(SERVERS) as port:
        log, tape = record(program, lambda: streamable_http_client(f"http://127.0.0.1:{port}/mcp"))
    assert {each.kind for each in tape.crossings} == {"mcp"}, "HTTP below MCP is not recorded besides"
    assert replay(program, lambda: streamable_http_client(f"http://127.0.0.1:{free_port()}/mcp"), tape) == log


def test_a_server_behind_sse_is_not_called_in_a_replay() -> None:
    with listening(SERVERS, "sse") as port:
        log, tape = record(low_level, lambda: sse_client(f"http://127.0.0.1:{port}/sse"))
    assert {each.kind for each in tape.crossings} == {"mcp"}
    assert replay(low_level, lambda: sse_client(f"http://127.0.0.1:{free_port()}/sse"), tape) == log


async def _in_memory(make: Any, log: list[Any]) -> None:
    for mode in ("auto", "legacy"):
        async with Client(make(), mode=mode) as client:
            log.append((await client.call_tool("count", {})).model_dump_json())


def test_a_server_in_the_program_does_nothing_in_a_replay() -> None:
    runs: list[int] = []

    def make() -> MCPServer:
        server = MCPServer("here")

        @server.tool()
        def count() -> int:
            runs.append(1)
            return len(runs)

        return server

    log, tape = record(_in_memory, make)
    assert len(runs) == 2
    assert replay(_in_memory, make, tape) == log
    assert len(runs) == 2


def test_calls_of_tools_are_named_after_server_and_tool() -> None:
    _, tape = record(low_level, stdio(SERVERS))
    call = next(each for each in tape.crossings if each.name == "desk/order")
    assert call.input["arguments"] == {"number": 1}
    assert call.input["server"] == "desk"
    assert call.outcome["value"]["content"][0]["text"].replace("\n", "").replace(" ", "") == '{"number":1,"call":1}'
    assert [each.name for each in tape.crossings[:2]] == [
        f"connect python {SERVERS.name}",
        f"initialize python {SERVERS.name}",
    ]


def test_a_server_that_cannot_be_started_fails_as_it_did() -> None:
    async def start(open_server: Any, log: list[Any]) -> None:
        try:
            async with open_server():
                log.append("started")
        except OSError as error:
            log.append(repr(error))

    nothing = StdioServerParameters(command="/nowhere/server", args=[])
    log, tape = record(start, lambda: stdio_client(nothing))
    assert "No such file" in log[0]
    there = StdioServerParameters(command=str(Path(sys.executable).with_name("server")), args=[])
    assert replay(start, lambda: stdio_client(there), tape) == log


def test_a_call_that_was_not_recorded_starts_no_server(tmp_path: Path) -> None:
    _, tape = record(low_level, stdio(SERVERS))
    started = tmp_path / "started"
    spy = tmp_path / SERVERS.name
    spy.write_text(f"open({str(started)!r}, 'w').close()\n")

    async def more(open_server: Any, log: list[Any]) -> None:
        await low_level(open_server, log)
        async with open_server() as (read, write), ClientSession(read, write) as session:
            await session.initialize()

    with pytest.raises(ReplayError):
        run(more, stdio(spy), Player(tape))
    assert not started.exists()


@pytest.mark.parametrize("first", [1, 2, 3])
def test_a_fork_opens_the_connection_when_it_goes_live(first: int) -> None:
    async def program(open_server: Any, log: list[Any]) -> None:
        async with open_server() as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            for number in (1, 2, 3):
                answer = await session.call_tool("order", {"number": number})
                log.append(answer.content[0].text.split())

    with listening(SERVERS) as port:
        for server in (stdio(SERVERS), lambda: streamable_http_client(f"http://127.0.0.1:{port}/mcp")):
            log, tape = record(program, server)
            fork = Fork(tape, first)
            forked = run(program, server, fork)
            answered = max(0, first - 2)
            assert forked[:answered] == log[:answered]
            assert [each[2] for each in forked] == ["1,", "2,", "3,"]
            assert fork.live[-1] == "desk/order"
