"""Serves a server over streamable HTTP, with streams that a client can resume after a cut."""

from __future__ import annotations

import socket
from typing import Any, Final

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.streamable_http import EventStore
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.routing import Route

from .streams import GreenroomEventStore

__all__ = ["http_app", "serve_http"]

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class _Sessions(StreamableHTTPSessionManager):
    """Gives each MCP session an event store of its own: the names of streams are the same for every client."""

    @property
    def event_store(self) -> EventStore | None:
        """A new store, for the session that is being opened."""
        return self._events.apart() if isinstance(self._events, GreenroomEventStore) else self._events

    @event_store.setter
    def event_store(self, store: EventStore | None) -> None:
        self._events = store


def http_app(served: MCPServer[Any], events: GreenroomEventStore, *, host: str = "127.0.0.1") -> Starlette:
    """Return the ASGI application that serves a server at `/mcp`. Streams are kept in `events`, for each client apart.

    On a loopback `host`, requests from web pages of other origins are refused, as by the SDK's own application.

    Example:
        ```py
        uvicorn.run(http_app(server(rt), GreenroomEventStore(rt)), port=8000)
        ```
    """
    allowed = [f"{each}:*" for each in ("127.0.0.1", "localhost", "[::1]")]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=allowed,
        allowed_origins=[f"http://{each}" for each in allowed],
    )
    sessions = _Sessions(
        served._lowlevel_server,
        event_store=events,
        security_settings=security if host in _LOOPBACK else None,
        retry_interval=500,
    )
    return Starlette(
        routes=[Route("/mcp", endpoint=StreamableHTTPASGIApp(sessions))], lifespan=lambda _: sessions.run()
    )


def serve_http(
    served: MCPServer[Any], events: GreenroomEventStore, listening: socket.socket, *, host: str = "127.0.0.1"
) -> None:
    """Serve `http_app` on a socket that listens, until the process is interrupted."""
    config = uvicorn.Config(
        http_app(served, events, host=host), log_level="warning", timeout_graceful_shutdown=3, lifespan="on"
    )
    uvicorn.Server(config).run(sockets=[listening])
