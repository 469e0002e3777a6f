"""Sessions of MCP clients: recorded against real servers, and replayed when these are gone; whatever the version of
`mcp`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

from mcp import ClientSession
from mcp.client.sse import sse_client

from greenroom.runtime.recording.tape.player import Player
from greenroom.storage.errors import ReplayError

from .runs import GONE, SERVER, Fork, Program, calls, free_port, listening, record, replay, run, stdio

if find_spec("mcp.shared.dispatcher") is not None:
    from .newer import PROGRAMS, over_http
else:
    from .older import PROGRAMS, over_http

EACH = pytest.mark.parametrize("program", [*PROGRAMS, calls], ids=lambda program: program.__name__)


@EACH
def test_a_server_that_is_a_process_is_not_started_in_a_replay(program: Program) -> None:
    log, tape = record(program, stdio(SERVER))
    assert {each.kind for each in tape.crossings} == {"mcp"}
    assert replay(program, GONE, tape) == log


@EACH
def test_a_server_behind_http_is_not_called_in_a_replay(program: Program) -> None:
    with listening(SERVER) as port:
        log, tape = record(program, lambda: over_http(f"http://127.0.0.1:{port}/mcp"))
    assert {each.kind for each in tape.crossings} == {"mcp"}, "HTTP below MCP is not recorded besides"
    assert replay(program, lambda: over_http(f"http://127.0.0.1:{free_port()}/mcp"), tape) == log


def test_a_server_behind_sse_is_not_called_in_a_replay() -> None:
    with listening(SERVER, "sse") as port:
        log, tape = record(calls, lambda: sse_client(f"http://127.0.0.1:{port}/sse"))
    assert {each.kind for each in tape.crossings} == {"mcp"}
    assert replay(calls, lambda: sse_client(f"http://127.0.0.1:{free_port()}/sse"), tape) == log


def test_calls_of_tools_are_named_after_server_and_tool() -> None:
    _, tape = record(calls, stdio(SERVER))
    assert [each.name for each in tape.crossings[:3]] == [
        f"connect python {SERVER.name}",
        f"initialize python {SERVER.name}",
        "desk/order",
    ]
    call = tape.crossings[2]
    assert call.input["arguments"] == {"number": 1}
    assert call.input["server"] == "desk"
    assert call.outcome["value"]["content"][0]["text"].replace("\n", "").replace(" ", "") == '{"number":1,"call":1}'


def test_a_call_that_was_not_recorded_starts_no_server(tmp_path: Path) -> None:
    _, tape = record(calls, stdio(SERVER))
    started = tmp_path / "started"
    spy = tmp_path / SERVER.name
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
    with listening(SERVER) as port:
        for server in (stdio(SERVER), lambda: over_http(f"http://127.0.0.1:{port}/mcp")):
            log, tape = record(calls, server)
            fork = Fork(tape, first)
            forked = run(calls, server, fork)
            answered = max(0, first - 2)
            assert forked[:answered] == log[:answered]
            assert [each["number"] for each in forked] == [1, 2, 3]
            assert fork.live[-1] == "desk/order"
