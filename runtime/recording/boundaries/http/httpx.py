"""The boundary of httpx and of httpx2, its successor: the transport, which is the library's own extension point.

Redirects, retries of SDKs and authentication stand above the transport, so each request that goes out is a crossing.
Transports that answer within the process (`MockTransport`, `ASGITransport`, `WSGITransport`, the one of Starlette's
test client) are no boundary: what they do is the program's own work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

from ...tape.reels import Pending, Reel, active, inside
from . import (
    Exchange,
    Replayed,
    ask,
    changed_body,
    changed_headers,
    changed_url,
    fail,
    recorded_head,
    recorded_head_async,
)
from .bodies import gathered, gathered_async
from .signing import signed_again

__all__ = ["patch"]

_IN_PROCESS: Final = frozenset({"MockTransport", "ASGITransport", "WSGITransport", "_TestClientTransport"})
_PATCHED: Final = "__greenroom_original__"

Send = Callable[[Any], Any]
SendAsync = Callable[[Any], Awaitable[Any]]


def patch(module: ModuleType) -> None:
    """Make the clients of httpx or httpx2 ask the reel. Once is enough; more is harmless."""
    if hasattr(module.HTTPTransport.handle_request, _PATCHED):
        return
    library = _Library(module)
    _patch_transports(module, library)
    _patch_clients(module, library)


def _patch_transports(module: ModuleType, library: _Library) -> None:
    send, send_async = module.HTTPTransport.handle_request, module.AsyncHTTPTransport.handle_async_request

    def handle_request(self: Any, request: Any) -> Any:
        reel = active()
        return send(self, request) if reel is None else library.call(reel, lambda sent: send(self, sent), request)

    async def handle_async_request(self: Any, request: Any) -> Any:
        reel = active()
        if reel is None:
            return await send_async(self, request)
        return await library.call_async(reel, lambda sent: send_async(self, sent), request)

    setattr(handle_request, _PATCHED, send)
    setattr(handle_async_request, _PATCHED, send_async)
    module.HTTPTransport.handle_request = handle_request
    module.AsyncHTTPTransport.handle_async_request = handle_async_request


def _patch_clients(module: ModuleType, library: _Library) -> None:
    """Have a client of a transport of the program's own, or of a library's, ask the reel before that transport: what
    stands behind it is inside."""
    own = (module.HTTPTransport, module.AsyncHTTPTransport)

    def outermost_of(choose: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def transport_for_url(self: Any, url: Any) -> Any:
            transport = choose(self, url)
            kind: Any = type(transport)
            if kind in own or active() is None or _is_in_process(kind):
                return transport
            return _Outermost(transport, library)

        return transport_for_url

    for client in (module.Client, module.AsyncClient):
        client._transport_for_url = outermost_of(client._transport_for_url)


@lru_cache(maxsize=256)
def _is_in_process(kind: type) -> bool:
    return not _IN_PROCESS.isdisjoint(each.__name__ for each in kind.__mro__)


class _Outermost:
    """Stands before another transport for one request."""

    __slots__ = ("_library", "_transport")

    def __init__(self, transport: Any, library: _Library) -> None:
        self._transport = transport
        self._library = library

    def handle_request(self, request: Any) -> Any:
        reel = active()
        send = self._transport.handle_request
        return send(request) if reel is None else self._library.call(reel, send, request)

    async def handle_async_request(self, request: Any) -> Any:
        reel = active()
        send = self._transport.handle_async_request
        return await (send(request) if reel is None else self._library.call_async(reel, send, request))


class _Library:
    """httpx or httpx2, with the classes that stand for bodies of responses in it."""

    def __init__(self, module: ModuleType) -> None:
        self._request: Any = module.Request
        self._response: Any = module.Response
        self._bytes_stream: Any = module.ByteStream
        bases: tuple[Any, ...] = (module.SyncByteStream, module.AsyncByteStream)
        self._recording: Any = type("RecordingStream", (_Recording, *bases), {})
        self._recorded: Any = type("RecordedStream", (_Recorded, *bases), {})
        self._long: Any = type("LongStream", (_Long, *bases), {})

    def call(self, reel: Reel, send: Send, request: Any) -> Any:
        """Send a request through the boundary."""
        if isinstance(request.stream, self._bytes_stream):
            body = request.read()
        else:
            body, rest = gathered(request.stream)
            request = self._with_body(request, body, rest=rest)
        pending = reel.begin(ask(request.method, str(request.url), request.headers.raw, body))
        if pending.recorded is not None:
            return self._answer(pending, recorded_head(pending))
        if pending.changed is not None:
            request = self._changed(request, body, pending.changed)
        try:
            with inside():
                response = send(request)
        except BaseException as error:
            fail(pending, error)
            raise
        return self._taped(pending, request, response)

    async def call_async(self, reel: Reel, send: SendAsync, request: Any) -> Any:
        """Send a request of an asynchronous client through the boundary."""
        if isinstance(request.stream, self._bytes_stream):
            body = request.read()
        else:
            body, rest = await gathered_async(request.stream)
            request = self._with_body(request, body, rest=rest)
        pending = reel.begin(ask(request.method, str(request.url), request.headers.raw, body))
        if pending.recorded is not None:
            return self._answer(pending, await recorded_head_async(pending))
        if pending.changed is not None:
            request = self._changed(request, body, pending.changed)
        try:
            with inside():
                response = await send(request)
        except BaseException as error:
            fail(pending, error)
            raise
        return self._taped(pending, request, response)

    def _with_body(self, request: Any, body: bytes, url: Any = None, headers: Any = None, rest: Any = None) -> Any:
        """Return a request that sends bytes, and the rest of a body that is too long to be kept. The program's own
        request keeps its stream, which is consumed now as if it had been sent."""
        return self._request(
            request.method,
            url or request.url,
            headers=request.headers if headers is None else headers,
            stream=self._bytes_stream(body) if rest is None else self._long(body, rest),
            extensions=request.extensions,
        )

    def _changed(self, request: Any, body: bytes, changed: Mapping[str, Any]) -> Any:
        body, url = changed_body(body, changed), changed_url(str(request.url), changed)
        headers = signed_again(request.method, url, changed_headers(request.headers.raw, changed), body)
        return self._with_body(request, body, url, headers)

    def _taped(self, pending: Pending, request: Any, response: Any) -> Any:
        extensions = response.extensions
        exchange = Exchange(
            pending,
            response.status_code,
            response.headers.raw,
            extensions.get("http_version", b"HTTP/1.1").decode("ascii", "replace"),
            extensions.get("reason_phrase", b"").decode("latin-1"),
        )
        if response.status_code == 101:
            exchange.upgraded()
        elif response.is_stream_consumed:  # a transport of the program's own has made it of bytes
            for chunk in response.stream:
                exchange.chunk(chunk)
            exchange.end(True)
        else:
            response.stream = self._recording(response.stream, exchange)
        return response

    def _answer(self, pending: Pending, head: Mapping[str, Any]) -> Any:
        return self._response(
            head["status"],
            headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in head["headers"]],
            stream=self._recorded(Replayed(pending, head)),
            extensions={
                "http_version": head["version"].encode("latin-1"),
                "reason_phrase": head["reason"].encode("latin-1"),
            },
        )


class _Recording:
    """Passes chunks on to the program, and shows them to the exchange. The stream is closed before the program is told
    of its end: giving its connection back takes as long as it takes, and what the program does then has its turn."""

    def __init__(self, stream: Any, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        exchange = self._exchange
        try:
            for chunk in self._stream:
                exchange.chunk(chunk)
                yield chunk
            self._close_stream()
        except Exception as error:
            exchange.fail(error)
            raise
        exchange.read_to_end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        exchange = self._exchange
        try:
            async for chunk in self._stream:
                exchange.chunk(chunk)
                yield chunk
            await self._aclose_stream()
        except (Exception, asyncio.CancelledError) as error:
            exchange.fail(error)
            raise
        exchange.read_to_end()

    def close(self) -> None:
        try:
            self._close_stream()
        finally:
            self._exchange.closed()

    async def aclose(self) -> None:
        try:
            await self._aclose_stream()
        finally:
            self._exchange.closed()

    def _close_stream(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._stream.close()

    async def _aclose_stream(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            await self._stream.aclose()


class _Long:
    """The body of a request that is too long to be kept: what was read of it, and the rest."""

    def __init__(self, first: bytes, rest: Any) -> None:
        self._first = first
        self._rest = rest

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        yield from self._rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        async for part in self._rest:
            yield part


class _Recorded:
    """Gives the chunks that were recorded."""

    def __init__(self, body: Replayed) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body.__aiter__()

    def close(self) -> None:
        self._body.close()

    async def aclose(self) -> None:
        await self._body.aclose()
