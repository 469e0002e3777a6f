"""What only sessions of the package mcp 2.x and later have: servers in the program, connections that open again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp.client.subscriptions")

from mcp import Client, ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.server.mcpserver import MCPServer

from greenroom.runtime.recording.tape.player import Player
from greenroom.storage.errors import ReplayError

from .runs import SERVER, calls, record, replay, run, stdio


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


def test_a_connection_that_was_not_recorded_starts_no_server(tmp_path: Path) -> None:
    _, tape = record(calls, stdio(SERVER))
    started = tmp_path / "started"
    spy = tmp_path / SERVER.name
    spy.write_text(f"open({str(started)!r}, 'w').close()\n")

    async def more(open_server: Any, log: list[Any]) -> None:
        await calls(open_server, log)
        async with open_server() as (read, write), ClientSession(read, write) as session:
            await session.initialize()

    with pytest.raises(ReplayError):
        run(more, stdio(spy), Player(tape))
    assert not started.exists()
