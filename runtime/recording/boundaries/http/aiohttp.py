"""The boundary of aiohttp's client: a connection that is given to a request, and what comes in on it.

Redirects and retries of a session stand above it, so each request that goes out is recorded once. A replay gives the
request a connection on which the recorded bytes come in: parsing, decompression and reading are the library's own work.
Websockets pass through: their messages are not recorded, and a replay refuses them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import ModuleType
from typing import Any, Final

from greenroom.storage.errors import ReplayError

from ...tape.held.errors import held_error, raised_again
from ...tape.reels import Pending, Reel, active, inside
from . import (
    Exchange,
    Replayed,
    ask,
    changed_body,
    changed_headers,
    changed_url,
    fail,
    recorded_head_async,
)
from .bodies import gathered_async
from .framing import Framing
from .wire import Framed, bytes_of_head

__all__ = ["patch"]

_PATCHED: Final = "__greenroom_original__"
_TAP: Final = "_greenroom_tap"
"""Set on a protocol whose next response is recorded."""


def patch(module: ModuleType) -> None:
    """Make the connectors of aiohttp ask the reel. Once is enough; more is harmless."""
    connect = module.BaseConnector.connect
    if hasattr(connect, _PATCHED):
        return
    _patch_protocol(module)
    library = _Library(module)

    async def connect_or_replay(self: Any, req: Any, traces: Any, timeout: Any) -> Any:
        reel = active()
        if reel is None:
            return await connect(self, req, traces, timeout)
        return await library.connect(reel, connect, self, req, traces, timeout)

    setattr(connect_or_replay, _PATCHED, connect)
    module.BaseConnector.connect = connect_or_replay


def _patch_protocol(module: ModuleType) -> None:
    """Show a tap what comes in. The class is patched, as uvloop looks a method up when the connection is made."""
    protocol = module.client_proto.ResponseHandler
    received, lost, set_exception = protocol.data_received, protocol.connection_lost, protocol.set_exception

    def data_received(self: Any, data: bytes) -> None:
        tap = self.__dict__.get(_TAP)
        if tap is not None and data and self._parser is not None:
            tap.received(data)
        received(self, data)

    def connection_lost(self: Any, exc: BaseException | None) -> None:
        tap = self.__dict__.get(_TAP)
        if tap is not None:
            tap.lost(exc)
        lost(self, exc)

    def set_exception_(self: Any, exc: BaseException, *cause: Any) -> None:
        tap = self.__dict__.get(_TAP)
        if tap is not None and isinstance(exc, asyncio.TimeoutError):
            tap.broke(exc)
        set_exception(self, exc, *cause)

    protocol.data_received = data_received
    protocol.connection_lost = connection_lost
    protocol.set_exception = set_exception_


class _Tap:
    """Puts on the tape what comes in for one request."""

    def __init__(self, pending: Pending, protocol: Any, *, has_body: bool) -> None:
        self._pending = pending
        self._protocol = protocol
        self._framing = Framing(has_body=has_body)
        self._exchange: Exchange | None = None
        protocol.__dict__[_TAP] = self

    def received(self, data: bytes) -> None:
        """Take bytes, just before the library does."""
        framing = self._framing
        body = framing.feed(data)
        head = framing.head
        if head is None:
            return
        if self._exchange is None:
            self._exchange = Exchange(self._pending, head.status, head.headers, head.version, head.reason)
            if head.status == 101:
                self._exchange.upgraded()
                self._remove()
                return
        if body:
            unread = getattr(self._protocol._payload, "_size", 0) if self._exchange.has_chunks else 0
            self._exchange.chunk(body, joined=unread > 0)
        if framing.ended:
            if framing.broken is None:
                self._exchange.end(True)
            else:
                self._exchange.cut_off(framing.broken, 0)
            self._remove()

    def lost(self, error: BaseException | None) -> None:
        """Take the end of the connection."""
        if self._exchange is None:
            reason = error or ConnectionResetError("the server has disconnected")
            self._pending.tick()
            self._pending.finish({"error": held_error(reason), "sent": True, "closed": error is None})
        elif error is None and (rest := self._framing.unfinished()) is not None:
            self._exchange.cut_off(*rest)
        elif error is None:
            self._exchange.end(True)
        else:
            self._exchange.fail(error)
        self._remove()

    def broke(self, error: BaseException) -> None:
        """Take the error that the library gives to the program."""
        if self._exchange is None:
            fail(self._pending, error, sent=True)
        else:
            self._exchange.fail(error)
        self._remove()

    def released(self) -> None:
        """Take that the program has no use for more."""
        if self._protocol.__dict__.get(_TAP) is not self:
            return
        if self._exchange is None:
            fail(self._pending, asyncio.CancelledError())
        else:
            self._exchange.end(False)
        self._remove()

    def _remove(self) -> None:
        self._protocol.__dict__.pop(_TAP, None)


class _Library:
    """aiohttp, with the classes that make a connection in it."""

    def __init__(self, module: ModuleType) -> None:
        self._connection: Any = module.connector.Connection
        self._protocol: Any = module.client_proto.ResponseHandler
        self._bytes_payload: Any = module.BytesPayload
        self._parts_payload: Any = module.AsyncIterablePayload
        self._connector_error: Any = module.ClientConnectorError

    async def connect(self, reel: Reel, connect: Any, connector: Any, req: Any, traces: Any, timeout: Any) -> Any:
        """Give a request its connection, or one on which the recorded bytes come in."""
        body = await self._read(req)
        asked = ask(req.method, str(req.url), req.headers.items(), body)
        pending = reel.begin(asked)
        if pending.recorded is not None:
            return await self._recorded_connection(pending, connector, req)
        if pending.changed is not None:
            self._change(req, body, pending.changed)
        try:
            with inside():
                conn = await connect(connector, req, traces, timeout)
        except BaseException as error:
            fail(pending, error)
            raise
        tap = _Tap(pending, conn.protocol, has_body=req.method != "HEAD")
        conn.add_callback(tap.released)
        return conn

    async def _read(self, req: Any) -> bytes:
        """Return the body of a request. One that can be read once only is kept in memory, and sent from there; of one
        that comes bit by bit and is too long for that, return the first bytes."""
        payload = req.body
        if not payload:
            return b""
        body: bytes
        if isinstance(payload, self._parts_payload) and payload._iter is not None:
            body, rest = await gathered_async(payload._iter)
            req._body = self._bytes_payload(body) if rest is None else self._parts_payload(_joined(body, rest))
            return body
        body = await payload.as_bytes()
        if not isinstance(payload, self._bytes_payload):
            req._body = self._bytes_payload(body)
        return body

    def _change(self, req: Any, given: bytes, changed: Mapping[str, Any]) -> None:
        if "body" in changed:
            req._body = self._bytes_payload(changed_body(given, changed))
            req.chunked = None
        headers = changed_headers(req.headers.items(), changed)
        req.headers.clear()
        req.headers.extend((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
        if "url" in changed:
            req.url = type(req.url)(changed_url(str(req.url), changed))

    async def _recorded_connection(self, pending: Pending, connector: Any, req: Any) -> Any:
        recorded = pending.recorded
        assert recorded is not None
        loop = asyncio.get_running_loop()
        if "status" not in recorded and not recorded.get("sent"):
            try:
                await recorded_head_async(pending)
            except self._connector_error as error:
                raise self._of_this_run(error, recorded["error"], req) from error.__cause__
        protocol = self._protocol(loop)
        protocol.connection_made(_RecordedTransport())
        protocol.force_close()  # no other request may get it
        conn = self._connection(connector, req.connection_key, protocol, loop)
        feeding = loop.create_task(_feed(pending, recorded, protocol))
        conn.add_callback(feeding.cancel)
        return conn

    def _of_this_run(self, error: Any, held: Mapping[str, Any], req: Any) -> BaseException:
        """Return an error of a connector with the key of the connection, which is not recorded."""
        reason = raised_again(held["cause"]) if "cause" in held else OSError(held["text"])
        again: BaseException = type(error)(req.connection_key, reason)
        return again


async def _feed(pending: Pending, recorded: Mapping[str, Any], protocol: Any) -> None:
    """Have the recorded bytes come in, each chunk when the program has read the one before."""
    try:
        if "status" not in recorded:
            await pending.atick()
            _break(recorded, protocol)
            return
        head = await recorded_head_async(pending)
        framed = Framed(head)
        if framed.is_cut_off and not framed.more:  # at once, as it came: the library drops a head before such an end
            protocol.data_received(bytes_of_head(head) + framed.end())
            if protocol.transport is not None and not protocol.transport.is_closing():
                protocol.connection_lost(None)
            await pending.atick()
            return
        protocol.data_received(bytes_of_head(head))
        async for chunk in Replayed(pending, head):
            await _read_by_program(protocol)
            protocol.data_received(framed.chunk(chunk))
        if end := framed.end():
            protocol.data_received(end)
        if protocol.transport is not None and framed.ends_by_closing:
            await _read_by_program(protocol)
            protocol.connection_lost(None)
    except Exception as error:
        await _read_by_program(protocol)
        _raise_in(protocol, error)


def _break(recorded: Mapping[str, Any], protocol: Any) -> None:
    error = raised_again(recorded["error"])
    if recorded.get("closed"):
        protocol.connection_lost(None)
    elif isinstance(error, OSError) and not isinstance(error, asyncio.TimeoutError):
        protocol.connection_lost(error)
    else:
        _raise_in(protocol, error)


def _raise_in(protocol: Any, error: BaseException) -> None:
    """Have the program get an error where it waits."""
    payload = protocol._payload
    if isinstance(error, OSError) and not isinstance(error, asyncio.TimeoutError | ReplayError):
        protocol.connection_lost(error)
        return
    protocol.set_exception(error)
    if payload is not None:
        payload.set_exception(error)


async def _read_by_program(protocol: Any) -> None:
    """Wait until the program has read what is there."""
    while (payload := protocol._payload) is not None and payload._size and protocol.transport is not None:
        read = protocol.transport.read
        read.clear()
        await read.wait()


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part


class _RecordedTransport(asyncio.Transport):
    """Stands for the transport of a connection: takes any request, and is told when the program reads."""

    def __init__(self) -> None:
        super().__init__()
        self.read = asyncio.Event()
        self._closing = False

    def write(self, data: Any) -> None:
        """Take what would be sent."""

    def writelines(self, data: Any) -> None:
        """Take what would be sent."""

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True
        self.read.set()

    abort = close

    def pause_reading(self) -> None:
        """The feed looks itself how much is unread."""

    def resume_reading(self) -> None:
        self.read.set()

    def get_write_buffer_size(self) -> int:
        return 0
