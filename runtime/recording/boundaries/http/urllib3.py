"""The boundary of urllib3, and so of requests and botocore: one attempt of a connection pool to send a request.

Redirects and retries stand above it, so each is recorded once. A replay gives the connection a socket that answers with
the recorded bytes: all above it is the library's own work."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPResponse
from types import ModuleType
from typing import Any, Final

from ...tape.held.errors import raised_again
from ...tape.reels import Pending, Reel, active, inside
from . import ask, changed_body, changed_headers, changed_url, fail
from .signing import signed_again
from .wire import RecordedSocket, read_body, tap

__all__ = ["patch"]

_PATCHED: Final = "__greenroom_original__"
_TUNNEL: Final = "_greenroom_tunnel"
"""Set on a connection whose tunnel through a proxy waits for the request."""

Make = Callable[..., Any]


def patch(module: ModuleType) -> None:
    """Make the connection pools of urllib3 ask the reel. Once is enough; more is harmless."""
    pool = module.connectionpool.HTTPConnectionPool
    make = pool._make_request
    if hasattr(make, _PATCHED):
        return

    def make_request(self: Any, conn: Any, method: str, url: str, **options: Any) -> Any:
        reel = active()
        if reel is None or not isinstance(conn, HTTPConnection):
            return make(self, conn, method, url, **options)
        return _call(reel, make, self, conn, method, url, options)

    setattr(make_request, _PATCHED, make)
    pool._make_request = make_request
    tunnels = module.connectionpool.HTTPSConnectionPool
    tunnels._prepare_proxy = _later(tunnels._prepare_proxy)


def _later(prepare: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Have the tunnel through a proxy made when the request is: in a replay there is none."""

    def prepare_proxy(self: Any, conn: Any) -> None:
        if active() is None:
            prepare(self, conn)
        else:
            setattr(conn, _TUNNEL, prepare)

    return prepare_proxy


def _call(reel: Reel, make: Make, pool: Any, conn: Any, method: str, url: str, options: dict[str, Any]) -> Any:
    headers = options.get("headers")
    sent, body = read_body(options.get("body"))
    options["body"] = body
    given = list((pool.headers if headers is None else headers).items())
    pending = reel.begin(ask(method, _whole_url(pool, url), given, sent))
    if pending.recorded is not None:
        return _replayed(pending, make, pool, conn, method, url, options)
    if pending.changed is not None:
        url = changed_url(url, pending.changed)
        if "body" in pending.changed:
            options["body"] = sent = changed_body(sent, pending.changed)
        fresh = changed_headers(given, pending.changed)
        fresh = signed_again(method, _whole_url(pool, url), fresh, sent)
        options["headers"] = {name.decode("latin-1"): value.decode("latin-1") for name, value in fresh}
    preload = options.get("preload_content", False)
    if preload:  # the body is read only when it can be seen
        options["preload_content"] = False
    try:
        with inside():
            if isinstance(conn.sock, RecordedSocket):
                conn.close()
            _tunnel(pool, conn)
            response = make(pool, conn, method, url, **options)
    except BaseException as error:
        fail(pending, error)
        raise
    _tap(pending, response)
    if preload:
        _read(response, options.get("decode_content", True))
    return response


def _tap(pending: Pending, response: Any) -> None:
    below = response if isinstance(response, HTTPResponse) else response._fp  # urllib3 1 returns what is below
    tap(pending, below)


def _read(response: Any, decode: bool) -> None:
    """Read the body, as the response itself would have done when it was made: without a connection to give back."""
    connection, response._connection = response._connection, None
    try:
        response._body = response.read(decode_content=decode)
    finally:
        response._connection = connection


def _tunnel(pool: Any, conn: Any) -> None:
    prepare = conn.__dict__.pop(_TUNNEL, None)
    if prepare is None:
        return
    try:
        prepare(pool, conn)
    except (ssl.SSLError, OSError) as error:
        pool._raise_timeout(err=error, url=pool.proxy.url, timeout_value=conn.timeout)
        raise


def _replayed(
    pending: Pending, make: Make, pool: Any, conn: Any, method: str, url: str, options: dict[str, Any]
) -> Any:
    recorded = pending.recorded
    assert recorded is not None
    conn.__dict__.pop(_TUNNEL, None)
    if "status" not in recorded:
        pending.tick()
        raise _raised_again(recorded["error"], pool, conn)
    if conn.sock is not None:
        conn.close()
    conn.sock = RecordedSocket(pending)
    conn.is_verified = True  # whoever answered then was
    with inside():
        response = make(pool, conn, method, url, **options)
    conn.sock = None  # the pool asks sockets whether they are still connected
    return response


def _raised_again(held: Mapping[str, Any], pool: Any, conn: Any) -> BaseException:
    """Return a recorded exception. One of urllib3 names the pool or the connection, which are those of this run."""
    error = raised_again(held)
    kind = type(error)
    if not kind.__module__.startswith("urllib3."):
        return error
    of_connection = any(each.__name__ in ("NewConnectionError", "ConnectTimeoutError") for each in kind.__mro__)
    try:
        again = kind(*((conn if of_connection else pool) if _is_place(each) else each for each in error.args))
    except Exception:  # it takes others than it keeps
        return error
    if len(again.args) == 1:
        again.args = (held["text"],)
    again.__cause__ = error.__cause__
    return again


def _is_place(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.startswith("<urllib3.connection"))


def _whole_url(pool: Any, url: str) -> str:
    if "://" in url[:12]:  # to a proxy
        return url
    default = 443 if pool.scheme == "https" else 80
    port = "" if pool.port in (None, default) else f":{pool.port}"
    return f"{pool.scheme}://{pool.host}{port}{url}"
