"""``greenroom events``: the journal of a session."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from greenroom.runtime.cli.output import console, is_terminal, json_able, note, print_json, print_json_line, printable
from greenroom.runtime.cli.store import SessionId, the_session, the_store

if TYPE_CHECKING:
    from greenroom.runtime import Event

_LOOK_AGAIN_SECONDS = 0.2


def show(
    context: typer.Context,
    session: SessionId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new events as they happen.")] = False,
    after: Annotated[int, typer.Option(min=0, metavar="N", help="Only events after sequence N.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="N events at most.", show_default=False)] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: a list, with --follow one object a line.")
    ] = False,
) -> None:
    """Show the events of a session, oldest first."""
    from greenroom.runtime import SessionNotFound

    with the_store(context).reading() as runtime:
        found = the_session(runtime, session)
        found.info()  # an unknown session is an error also when it is followed
        if as_json and not follow:
            print_json([event.to_dict() for event in found.events(after=after, limit=limit)])
            return
        left = limit
        try:
            while True:
                for event in found.events(after=after, limit=left):
                    after = event.sequence
                    left = None if left is None else left - 1
                    print_json_line(event.to_dict()) if as_json else _print_event(event)
                sys.stdout.flush()
                if not follow or left == 0:
                    return
                time.sleep(_LOOK_AGAIN_SECONDS)
                runtime.refresh()
                found.info()
        except KeyboardInterrupt:
            return
        except SessionNotFound:
            note("the session was deleted")


def _print_event(event: Event) -> None:
    data = printable(json.dumps(json_able(event.data), ensure_ascii=False))
    when = event.timestamp.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    if not is_terminal():
        print(f"{event.sequence:>6}  {when}  {event.type:<20}  {data}")
        return
    from rich.text import Text

    room = max(20, shutil.get_terminal_size().columns - 56)
    data = data if len(data) <= room else data[: room - 1] + "…"
    line = Text.assemble(
        (f"{event.sequence:>6}  ", "bold"), (f"{when}  ", "dim"), (f"{event.type:<20}  ", "cyan"), data
    )
    console().print(line, no_wrap=True, overflow="ellipsis")
