"""Programs that use MCP servers: recorded, replayed and forked in this process, whatever the version of `mcp`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from greenroom.runtime.recording.tape.model import Asked, Tape
from greenroom.runtime.recording.tape.player import Player
from greenroom.runtime.recording.tape.recorder import Recorder
from greenroom.runtime.recording.tape.reels import Reel, playing

from ....runtime.recording.tape.lists import ListSink

__all__ = [
    "GONE",
    "SERVER",
    "Fork",
    "Program",
    "calls",
    "free_port",
    "listening",
    "record",
    "replay",
    "run",
    "stdio",
]

Program = Callable[[Any, list[Any]], Awaitable[None]]
SERVER = Path(__file__).with_name("server.py")


def run(program: Program, server: Any, reel: Any) -> list[Any]:
    log: list[Any] = []
    with playing(reel):
        asyncio.run(asyncio.wait_for(_awaited(program(server, log)), 60))
    return log


async def _awaited(work: Awaitable[None]) -> None:
    await work


def record(program: Program, server: Any) -> tuple[list[Any], Tape]:
    sink = ListSink()
    recorder = Recorder(sink)
    log = run(program, server, recorder)
    recorder.close()
    assert recorder.failure is None
    return log, sink.tape


def replay(program: Program, server: Any, tape: Tape) -> list[Any]:
    player = Player(tape)
    log = run(program, server, player)
    player.end()
    assert player.report.is_exact, player.report.to_dict()
    return log


def stdio(path: Path) -> Any:
    """Return how to open a server that is started as a process."""
    return lambda: stdio_client(StdioServerParameters(command=sys.executable, args=[str(path)]), errlog=_nowhere())


GONE = stdio(Path("/nowhere") / SERVER.name)
"""The same program, where there is none: whoever starts it gets nothing."""


async def calls(open_server: Any, log: list[Any]) -> None:
    """Call a tool three times."""
    async with open_server() as (read, write, *_), ClientSession(read, write) as session:
        await session.initialize()
        for number in (1, 2, 3):
            answer: Any = await session.call_tool("order", {"number": number})
            log.append(json.loads(answer.content[0].text))


def _nowhere() -> Any:
    return open(os.devnull, "w", encoding="utf-8")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def listening(path: Path, *more: str) -> Iterator[int]:
    """Run the server of a file at a port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(path), str(port), *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, "the server has ended"
        yield port
    finally:
        process.kill()
        process.wait()


class Fork(Reel):
    """Answers the first calls from a tape, and lets the others go live, as a fork does."""

    def __init__(self, tape: Tape, first: int) -> None:
        self.player = Player(tape)
        self.recorder = Recorder(ListSink())
        self.left = first
        self.live: list[str] = []

    def begin(self, asked: Asked) -> Any:
        self.left -= 1
        if self.left >= 0:
            return self.player.begin(asked)
        self.live.append(asked.name)
        return self.recorder.begin(asked)

    def read(self, *args: Any) -> Any:
        return self.recorder.read(*args)
