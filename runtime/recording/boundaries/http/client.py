"""The boundary of `http.client`, and so of `urllib.request`: the end of the headers, where a request goes out.

urllib3 builds on the same connections, and asks the reel before them. A body that a program sends piece by piece after
the headers (`HTTPConnection.send`) does not identify a request. `HTTPConnection.connect`, if a program calls it itself,
is no request: it is neither recorded nor replayed."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPResponse
from types import ModuleType
from typing import Any, Final

from ...tape.held.errors import raised_again
from ...tape.reels import Pending, Reel, active, inside
from .exchange import fail
from .identity import ask, changed_body, changed_headers, changed_url
from .wire import RecordedSocket, read_body, tap

__all__ = ["patch"]

_PATCHED: Final = "__greenroom_original__"
_PENDING: Final = "_greenroom_pending"
"""Set on a connection that waits for a response."""


def patch(module: ModuleType) -> None:
    """Make the connections of `http.client` ask the reel. Once is enough; more is harmless."""
    connection = module.HTTPConnection
    end, get = connection.endheaders, connection.getresponse
    if hasattr(end, _PATCHED):
        return

    def endheaders(self: Any, message_body: Any = None, *, encode_chunked: bool = False) -> None:
        reel = active()
        if reel is None:
            end(self, message_body, encode_chunked=encode_chunked)
        else:
            _send(reel, end, self, message_body, encode_chunked)

    def getresponse(self: Any) -> HTTPResponse:
        pending = self.__dict__.pop(_PENDING, None)
        response: HTTPResponse
        if pending is None:
            return get(self)  # type: ignore[no-any-return]
        try:
            with inside():
                response = get(self)
        except BaseException as error:
            fail(pending, error, sent=True)
            raise
        tap(pending, response)
        return response

    setattr(endheaders, _PATCHED, end)
    connection.endheaders = endheaders
    connection.getresponse = getresponse


def _send(reel: Reel, end: Any, conn: Any, message_body: Any, encode_chunked: bool) -> None:
    sent, body = read_body(message_body)
    pending = reel.begin(ask(*_request_of(conn), sent))
    if pending.recorded is not None:
        _replay(pending, end, conn, body, encode_chunked)
        return
    if pending.changed is not None:
        body = changed_body(sent, pending.changed) if "body" in pending.changed else body
        _change(conn, pending.changed)
    if isinstance(conn.sock, RecordedSocket):
        conn.sock = None
    try:
        with inside():
            end(conn, body, encode_chunked=encode_chunked)
    except BaseException as error:
        fail(pending, error)
        raise
    conn.__dict__[_PENDING] = pending


def _replay(pending: Pending, end: Any, conn: Any, body: Any, encode_chunked: bool) -> None:
    recorded = pending.recorded
    assert recorded is not None
    if "status" not in recorded and not recorded.get("sent"):
        pending.tick()
        raise raised_again(recorded["error"])
    conn.sock = RecordedSocket(pending)
    with inside():
        end(conn, body, encode_chunked=encode_chunked)


def _request_of(conn: Any) -> tuple[str, str, list[tuple[bytes, bytes]]]:
    """Return the method, URL and headers of the request that a connection is about to send."""
    first, *lines = conn._buffer
    method, target = first.decode("latin-1").split(" ")[:2]
    headers = []
    for line in lines:
        name, _, value = line.partition(b":")
        headers.append((name, value.strip()))
    if "://" in target[:12]:
        return method, target, headers
    scheme = "https" if conn.default_port == 443 else "http"
    host, number = (conn._tunnel_host, conn._tunnel_port) if conn._tunnel_host else (conn.host, conn.port)
    port = "" if number in (None, conn.default_port) else f":{number}"
    return method, f"{scheme}://{f'[{host}]' if ':' in host else host}{port}{target}", headers


def _change(conn: Any, changed: Mapping[str, Any]) -> None:
    """Change the head of the request that a connection is about to send."""
    method, target, version = conn._buffer[0].decode("latin-1").split(" ")
    first = f"{method} {changed_url(target, changed)} {version}".encode("latin-1")
    headers = changed_headers(_request_of(conn)[2], changed)
    conn._buffer[:] = [first, *(b"%b: %b" % pair for pair in headers)]
