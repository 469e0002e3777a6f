"""What only sessions of the package mcp 1.x do."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import Any

import pytest

pytest.importorskip("mcp")
if find_spec("mcp.shared.dispatcher") is not None:
    pytest.skip("these are the sessions of mcp 1.x", allow_module_level=True)

from mcp import ClientSession
from mcp.shared.memory import create_connected_server_and_client_session

from greenroom.runtime.recording.tape.player import Player
from greenroom.runtime.recording.tape.recorder import Recorder
from greenroom.runtime.recording.tape.reels import playing

from ....runtime.recording.tape.lists import ListSink
from .runs import SERVER, record, replay, stdio


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


def test_a_session_that_a_service_keeps_open_is_recorded_where_it_is_used() -> None:
    async def program() -> None:
        async with stdio(SERVER)() as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            sink = ListSink()
            recorder = Recorder(sink)
            with playing(recorder):
                first = await session.call_tool("order", {"number": 1})
            recorder.close()
            assert sink.tape.crossings[0].name == "desk/order"
            with playing(Player(sink.tape)):
                assert await session.call_tool("order", {"number": 1}) == first
            assert '"call": 2' in (await session.call_tool("order", {"number": 1})).content[0].text

    asyncio.run(program())
