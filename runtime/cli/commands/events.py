"""``greenroom events``: what has happened, in one session or in one operation."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenroom.runtime.cli.output import (
    console,
    is_terminal,
    print_json,
    print_json_line,
    printable,
    reader_leaves,
    tell_beside,
)
from greenroom.runtime.cli.parameters import Correlation, SessionOrNone
from greenroom.runtime.cli.store import the_session, the_store
from greenroom.storage.codec.json_lines import json_able

if TYPE_CHECKING:
    from greenroom.runtime import Event, Session

_LOOK_AGAIN_SECONDS = 0.5  # without events, whether the reader is still there


def show(
    context: typer.Context,
    session: SessionOrNone = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new events as they happen.")] = False,
    after: Annotated[int, typer.Option(min=0, metavar="N", help="Only events after sequence N.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="N events at most.", show_default=False)] = None,
    type: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="PATTERN",
            help="Only types that fit: * stands for one segment, ** for any number, as in 'artifact.*'.",
            show_default=False,
        ),
    ] = None,
    correlation: Correlation = None,
    origin: Annotated[
        str | None,
        typer.Option(
            "--origin",
            metavar="ORIGIN",
            help="Only facts that greenroom journaled (runtime), or only what hosts and scripts published (published).",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: a list, with --follow one object a line.")
    ] = False,
) -> None:
    """Show the events of a session, oldest first.

    With --correlation also those of all sessions that belong to one operation.
    """
    if origin not in (None, "runtime", "published"):
        raise typer.BadParameter("runtime or published", param_hint="--origin")
    if session is None:
        if correlation is None:
            raise typer.BadParameter("name a session, or what belongs together with --correlation")
        if follow or after:
            raise typer.BadParameter("--follow and --after are for the events of one session")
        _show_correlated(context, correlation, type, limit, origin, as_json)
        return
    from greenroom.runtime import SessionNotFound

    with the_store(context).reading() as runtime:
        found = the_session(runtime, session)
        found.info()  # an unknown session is an error also when it is followed
        belonging = (
            event
            for event in _events(found, after, type or "**", origin, follow)
            if correlation is None or event.correlation_id == correlation
        )
        shown: list[dict[str, Any]] = []
        try:
            for event in islice(belonging, limit):
                if as_json and not follow:
                    shown.append(event.to_dict())
                else:
                    print_json_line(event.to_dict()) if as_json else _print_event(event)
                    if follow:
                        sys.stdout.flush()
        except KeyboardInterrupt:
            return
        except SessionNotFound:
            tell_beside("the session was deleted")
        if as_json and not follow:
            print_json(shown)


def _events(found: Session, after: int, pattern: str, origin: str | None, follow: bool) -> Iterator[Event]:
    """Yield the events there are and, if they are to be followed, new ones until the reader of stdout has gone.

    Raises SessionNotFound when a session that is followed has been deleted.
    """
    cursor: int | str = after
    while True:
        timeout = _LOOK_AGAIN_SECONDS if follow else 0
        with found.follow(cursor, pattern=pattern, origin=origin, timeout=timeout) as events:
            yield from events
            cursor = events.cursor
        if not follow or reader_leaves(0):
            return
        found.info()


def _show_correlated(
    context: typer.Context, correlation: str, type: str | None, limit: int | None, origin: str | None, as_json: bool
) -> None:
    criteria: dict[str, Any] = {"correlation_id": correlation, "type": type, "limit": limit, "origin": origin}
    with the_store(context).reading() as runtime:
        found = runtime.events.query(**{name: value for name, value in criteria.items() if value is not None})
        if as_json:
            print_json([event.to_dict() for event in found])
            return
        for event in found:
            _print_event(event, session=True)


def _print_event(event: Event, *, session: bool = False) -> None:
    data = printable(json.dumps(json_able(event.data), ensure_ascii=False))
    when = event.timestamp.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    where = f"{event.session_id[:8] if is_terminal() else event.session_id}  " if session else ""
    type_ = printable(event.type)
    if event.origin == "published" and not event.type.startswith("custom."):
        type_ += " (published)"
    if not is_terminal():
        print(f"{where}{event.sequence:>6}  {when}  {type_:<20}  {data}")
        return
    from rich.text import Text

    room = max(20, shutil.get_terminal_size().columns - 36 - len(where) - max(20, len(type_)))
    data = data if len(data) <= room else data[: room - 1] + "…"
    line = Text.assemble(
        (where, "cyan"), (f"{event.sequence:>6}  ", "bold"), (f"{when}  ", "dim"), (f"{type_:<20}  ", "cyan"), data
    )
    console().print(line, no_wrap=True, overflow="ellipsis")
