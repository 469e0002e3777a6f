"""``greenroom mcp``: serves a store to clients of the Model Context Protocol."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from greenroom.runtime.cli import completion
from greenroom.runtime.cli.store import the_session, the_store

if TYPE_CHECKING:
    from greenroom.runtime.integrations.mcp import GreenroomServer

__all__ = ["mcp"]


def mcp(
    context: typer.Context,
    http: Annotated[
        str | None,
        typer.Option(
            "--http",
            metavar="HOST:PORT",
            help="Serve streamable HTTP at this address, path /mcp, instead of stdin and stdout.",
            show_default=False,
        ),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Offer tools that change sessions too. No other process may write then.")
    ] = False,
    session: Annotated[
        str | None,
        typer.Option(
            "--session",
            metavar="SESSION",
            help="Serve this session and its descendants, and nothing else.",
            autocompletion=completion.sessions,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve the store to an MCP client: sessions, conversations, artifacts, search, timeline and differences.

    By default on stdin and stdout, as clients start it: give them the command greenroom --data DIR mcp. It reads only,
    also while another process writes to the store, unless --write is given.

    HTTP asks for no password: let only those reach the address who may see the store. Needs: pip install
    'greenroom[mcp]'
    """
    from greenroom.runtime import InvalidOperation

    address = None if http is None else _address(http)
    if find_spec("mcp") is None:
        raise InvalidOperation("serving MCP needs the package mcp: pip install 'greenroom[mcp]'")
    from greenroom.runtime.integrations.mcp import server

    store = the_store(context)
    ended: int | None = None
    with store.writing() if write else store.reading() as runtime:
        bound = the_session(runtime, session) if session is not None else None
        served = server(runtime, write=write, session=bound)
        if address is None:
            ended = _serve_stdio(served)
        else:
            with contextlib.suppress(KeyboardInterrupt):
                _serve_http(served, address, quiet=store.quiet)
    if ended is not None:
        # A thread still waits for a line of the client, and nothing but the end of the process ends it.
        os._exit(ended)


def _serve_stdio(served: GreenroomServer) -> int | None:
    """Serve stdin and stdout until stdin ends. Return the exit code if a signal came first, otherwise None."""
    failed: list[BaseException] = []

    def serve() -> None:
        try:
            served.run()
        except BaseException as error:
            failed.append(error)

    serving = threading.Thread(target=serve, name="greenroom-mcp", daemon=True)
    serving.start()
    try:
        serving.join()
    except KeyboardInterrupt:
        return 0
    except SystemExit as leaving:  # by the handler of SIGTERM
        return leaving.code if isinstance(leaving.code, int) else 1
    for error in failed:
        raise error
    return None


def _address(text: str) -> tuple[str, int]:
    """Return the host and port that a text names. Raises BadParameter."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()) or int(port[:6]) > 65535:
        raise typer.BadParameter(f"{text[:100]!r} is no HOST:PORT, such as 127.0.0.1:8000", param_hint="--http")
    return host, int(port)


def _serve_http(served: GreenroomServer, address: tuple[str, int], *, quiet: bool) -> None:
    from greenroom.runtime import Runtime, StorageError
    from greenroom.runtime.integrations.mcp import GreenroomEventStore, serve_http

    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(f"cannot listen at {host}:{port}: {reason}; choose another with --http") from None
    # Streams end with this process, so what is kept of them needs no place in the store.
    with listening, Runtime.open() as streams:
        if not quiet:
            shown = f"[{host}]" if ":" in host else host
            typer.echo(f"serving MCP at http://{shown}:{listening.getsockname()[1]}/mcp; stop with Ctrl-C", err=True)
        serve_http(served, GreenroomEventStore(streams), listening, host=host)
