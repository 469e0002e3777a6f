"""``greenroom record``: run a program and record what crosses its boundaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from greenroom.runtime.cli.output import counted, note, tell_beside
from greenroom.runtime.cli.store import the_store

from .leftovers import take_leftovers_of
from .words import Command, dollars, name_of

if TYPE_CHECKING:
    from greenroom.runtime import Session
    from greenroom.runtime.recording.programs.described import Totals

__all__ = ["Redact", "record", "tell_recorded"]

Redact = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RULE",
        help="Remove from what is recorded: a regular expression, or a JSON path such as $..email. "
        "Keys in headers are never recorded. Repeatable.",
    ),
]


def record(
    context: typer.Context,
    command: Command,
    name: Annotated[
        str | None, typer.Option(help="Name of the session; otherwise the program's.", show_default=False)
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="A key of your own for the session, unique in the store.", show_default=False)
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Add a tag to the session. Repeatable.")] = None,
    redact: Redact = None,
    processes: Annotated[
        bool, typer.Option("--processes", help="Also record what the programs that it starts return.")
    ] = False,
) -> None:
    """Run a Python program, unchanged, and record it: a session that can be looked at, replayed and forked.

    Recorded is what makes an agent run differently each time: its calls of models and of other HTTP servers (by
    httpx, httpx2, requests, urllib3, botocore, aiohttp, http.client or urllib), of MCP servers, of functions marked
    with @tool, and what its own code reads of clock, randomness and environment. Keys and cookies in headers never
    reach the disk.

    The exit code is that of the program; what was recorded is told on stderr. What was recorded until a crash is kept.

    Examples:

      greenroom record -- python agent.py
      greenroom record --name trial --tag nightly -- python -m my_agent --fast
    """
    from greenroom.runtime.recording.programs.live import record_program

    with the_store(context).writing(create=True) as runtime:
        take_leftovers_of(runtime)
        session = runtime.create_session(name=name or name_of(command), tags=tag or (), key=key)
        code, totals = record_program(runtime.path, session, command, redact=redact, processes=processes)
        tell_recorded(session, totals)
    raise typer.Exit(code)


def tell_recorded(session: Session, totals: Totals) -> None:
    """Say on stderr what was recorded, and what to do with it."""
    if not totals.steps:
        note(
            "nothing crossed a boundary: the program called no model or server through a library that is recorded, or "
            "it was started without this Python's packages"
        )
    parts = [counted(totals.steps, "call"), f"{totals.model_calls:,} of models"]
    parts += [counted(totals.tokens, "token")] if totals.tokens else []
    parts += [dollars(totals.cost_microusd)] if totals.cost_microusd else []
    parts += [f"{totals.failed:,} failed"] if totals.failed else []
    tell_beside(f"recorded  {session.id}  {', '.join(parts)}")
    note(f"next: greenroom recordings {session.id[:8]}, greenroom replay {session.id[:8]}")
