"""The transports of MCP client sessions: opening one is a crossing, and what it does to reach the server is inside.

In a replay no process is started and no connection is opened: the session gets streams that lead nowhere. A fork opens
the real transport when the first request has no recorded answer."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from importlib.metadata import version
from pathlib import PurePath
from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

from greenroom.runtime.recording.tape.held.errors import raised_again
from greenroom.runtime.recording.tape.model import Asked
from greenroom.runtime.recording.tape.reels import Pending, active, inside
from greenroom.storage.errors import ReplayError

__all__ = ["label_of", "patch_transport", "permit_live", "sessions_are_known"]

Open = Callable[[], AbstractAsyncContextManager[Any]]

_OLDEST: Final = (1, 9)
_VARIABLES: Final = "GREENROOM_RECORDING"
"""What the names of variables begin with that have a process recorded."""
_labels: dict[int, str] = {}
"""The label of each open transport, by the id of its read stream, which is there as long as the transport is open."""


def label_of(dispatcher: Any) -> str:
    """Return what the server of a dispatcher is called before it has told its own name; "" if that is not known."""
    return _labels.get(id(getattr(dispatcher, "_read_stream", None)), "")


def permit_live(dispatcher: Any) -> None:
    """Let what the dispatcher sends from now on reach the server, if its transport was kept closed for a replay."""
    gate = getattr(dispatcher, "_write_stream", None)
    if isinstance(gate, _Gate):
        gate.open()


def patch_transport(module: ModuleType) -> None:
    """Record the opening of the transports of a module. Patching again does nothing."""
    known: list[tuple[Any, str, Callable[..., str]]]
    match module.__name__:
        case "mcp.client.stdio":
            known = [(getattr(module, "stdio_client", None), "stdio", _label_of_command)]
        case "mcp.client.streamable_http":
            names = ("streamable_http_client", "streamablehttp_client")  # the second in 1.x
            known = [(getattr(module, name, None), "http", _label_of_url) for name in names]
        case "mcp.client.sse":
            known = [(getattr(module, "sse_client", None), "sse", _label_of_url)]
        case _:
            kind = getattr(module, "InMemoryTransport", None)
            known = [(getattr(kind, "_connect", None), "memory", _label_of_server)]
    for factory, transport, label in known:
        if "func" in getattr(getattr(factory, "__code__", None), "co_freevars", ()):
            _replace(factory, transport, label)


@cache
def sessions_are_known() -> bool:
    """Return whether the sessions of this version of `mcp` are recorded: from 1.9."""
    major, minor = version("mcp").split(".")[:2]
    return (int(major), int(minor)) >= _OLDEST


def _require_known(*, in_replay: bool) -> None:
    if sessions_are_known():
        return
    told = "requests of MCP sessions are recorded with the package mcp from 1.9, and this one is older: upgrade it"
    if in_replay:
        raise ReplayError(f"{told}, and record anew; no server is called in a replay")
    warnings.warn(f"{told}. The program goes on, and cannot be replayed", RuntimeWarning, stacklevel=2)


def _replace(factory: Any, transport: str, label: Callable[..., str]) -> None:
    """Replace the body of a function that `asynccontextmanager` has made. Other modules may have imported the function
    by name already, so the function itself must stay."""
    cell = factory.__closure__[factory.__code__.co_freevars.index("func")]
    body = cell.cell_contents
    if getattr(body, "_of_greenroom", False):
        return
    real = asynccontextmanager(body)

    def open_real(*args: Any, **kwargs: Any) -> AbstractAsyncContextManager[Any]:
        return real(*map(_unrecorded, args), **{name: _unrecorded(each) for name, each in kwargs.items()})

    async def opened(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        reel = active()
        if reel is None:
            async with real(*args, **kwargs) as streams:
                yield streams
            return
        name = label(*args, **kwargs)
        about = {"server": name, "method": "connect", "transport": transport}
        pending = reel.begin(Asked("mcp", f"connect {name}", about))
        recorded = pending.recorded
        _require_known(in_replay=recorded is not None)
        if recorded is not None:
            await pending.atick()
            if (error := recorded.get("error")) is not None:
                raise raised_again(error)
            streams = _kept_closed(lambda: open_real(*args, **kwargs), int(recorded.get("value") or 2))
        else:
            streams = _recorded(lambda: open_real(*args, **kwargs), pending)
        async with streams as ends:
            _labels[id(ends[0])] = name
            try:
                yield ends
            finally:
                _labels.pop(id(ends[0]), None)

    opened._of_greenroom = True  # type: ignore[attr-defined]
    cell.cell_contents = opened


def _unrecorded(argument: Any) -> Any:
    """Return the argument of a transport; parameters of a process without what would have it recorded besides, if the
    program hands its whole environment on."""
    env = getattr(argument, "env", None)
    if not isinstance(env, dict) or not hasattr(argument, "model_copy"):
        return argument
    kept = {name: value for name, value in env.items() if not name.startswith(_VARIABLES)}
    return argument.model_copy(update={"env": kept})


@asynccontextmanager
async def _recorded(open_real: Open, pending: Pending) -> AsyncIterator[Any]:
    """Open a transport. Its tasks begin inside the boundary, so that nothing of them is recorded besides."""
    transport = open_real()
    try:
        with inside():
            streams = await transport.__aenter__()
    except BaseException as error:
        pending.tick()
        pending.fail(error)
        raise
    await pending.atick()
    pending.finish({"value": len(streams)})
    try:
        yield streams
    except BaseException:
        with inside():
            if not await transport.__aexit__(*sys.exc_info()):
                raise
    else:
        with inside():
            await transport.__aexit__(None, None, None)


@asynccontextmanager
async def _kept_closed(open_real: Open, count: int) -> AsyncIterator[Any]:
    """Yield streams that lead nowhere until the gate is opened, and then to the real server."""
    import anyio

    arriving, program_reads = anyio.create_memory_object_stream[Any](0)
    program_writes, leaving = anyio.create_memory_object_stream[Any](0)
    gate = _Gate(program_writes, anyio.Event())

    async def forward(source: Any, target: Any) -> None:
        async with target:
            async for each in source:
                await target.send(each)

    async def connect() -> None:
        await gate.opened.wait()
        with inside():
            async with open_real() as streams, anyio.create_task_group() as both:
                both.start_soon(forward, streams[0], arriving)
                both.start_soon(forward, leaving, streams[1])

    async with arriving, program_reads, program_writes, leaving, anyio.create_task_group() as tasks:
        tasks.start_soon(connect)
        try:
            yield (program_reads, gate, *[_no_session_id] * (count - 2))
        finally:
            tasks.cancel_scope.cancel()


def _no_session_id() -> None:
    """Stand for the function that some transports give besides their streams."""


class _Gate:
    """The write stream of a transport that is kept closed: it drops what is sent until it is opened."""

    def __init__(self, stream: Any, opened: Any) -> None:
        self._stream = stream
        self.opened = opened

    def open(self) -> None:
        self.opened.set()

    async def send(self, item: Any) -> None:
        if self.opened.is_set():
            await self._stream.send(item)

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> _Gate:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


_VERSION: Final = re.compile(r"[\d.]+$")


def _label_of_command(server: Any, *args: Any, **kwargs: Any) -> str:
    """Return "python server.py": the program and what it runs, without options, which may hold secrets."""
    words = [PurePath(each).name or each for each in server.args if not each.startswith("-")]
    return " ".join([_VERSION.sub("", PurePath(server.command).name), *words[:1]])


def _label_of_url(url: str, *args: Any, **kwargs: Any) -> str:
    """Return host and path: ports of local servers change, user names and queries may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.hostname or ''}{parts.path}"


def _label_of_server(transport: Any, *args: Any, **kwargs: Any) -> str:
    return str(getattr(getattr(transport, "_server", None), "name", ""))
