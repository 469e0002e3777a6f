"""``greenroom timeline``: what caused what, and how long it took."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from greenroom.runtime.cli.output import console, counted, one_line, print_json, tell_beside
from greenroom.runtime.cli.parameters import AsJson, SessionOrNone
from greenroom.runtime.cli.store import the_session, the_store

if TYPE_CHECKING:
    from greenroom.runtime import Page, Runtime, TimelineRow

__all__ = ["timeline"]

_MOST_FAILURES = 10  # told in full below the picture


def timeline(
    context: typer.Context,
    session: SessionOrNone = None,
    correlation: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Instead of a session: the events with this correlation id, of all sessions.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="N events at most.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Draw what caused what, and how long it took: a line for each event, below its cause and moved to the right.

    Of one session, or with --correlation of all sessions that took part in one operation. Calls of tools, agents,
    hooks, scripts and workflows have bars on one axis of time; times in which nothing happened are shortened. What
    failed is marked, and long runs of equal events are one line.
    """
    if (session is None) == (correlation is None):
        raise typer.BadParameter("name a session, or an operation with --correlation, and not both")
    with the_store(context).reading() as runtime:
        rows, title = _rows(runtime, session, correlation, limit)
    if as_json:
        print_json([row.to_dict() for row in rows])
        return
    if not rows:
        tell_beside(f"no event to be seen belongs to {title}")
        return
    _draw(rows, title, sessions=correlation is not None)
    if rows.has_more:
        tell_beside(f"{rows.total - len(rows)} more: see them with a larger --limit")


def _rows(
    runtime: Runtime, session: str | None, correlation: str | None, limit: int | None
) -> tuple[Page[TimelineRow], str]:
    """Return the rows of a timeline, and what it is of."""
    most = {} if limit is None else {"limit": limit}
    if session is None:
        return runtime.events.timeline(correlation or "", **most), f"operation {correlation}"
    found = the_session(runtime, session)
    info = found.info()
    return found.timeline(**most), f"{info.name or info.id}  {info.status}"


def _draw(rows: Page[TimelineRow], title: str, *, sessions: bool) -> None:
    from rich.text import Text

    from greenroom.runtime.cli.times import lasted

    from .picture import Axis, Marks, draw, walk
    from .spans import spans_of

    out, marks = console(), Marks.for_encoding(sys.stdout.encoding)
    spans = spans_of(rows)
    axis = Axis(spans)
    failures = [span for span, _ in walk(spans) if span.error is not None]
    about = [counted(len(rows), "event")]
    if rows:
        first = min(row.event.timestamp for row in rows)
        took = f"in {lasted(axis.end - axis.begin)} from" if axis.end > axis.begin else "at"
        about += [f"{took} {first:%Y-%m-%d %H:%M:%S} UTC"]
    about += [f"{len(failures)} failed"] if failures else []
    about += [f"{lasted(axis.shortened)} without events shortened"] if axis.shortened >= 1 else []
    out.print(one_line(f"{title}  {', '.join(about)}"), style="bold", soft_wrap=True)
    for line in draw(spans, out.width, marks, whole=not rows.has_more, sessions=sessions):
        out.print(line, no_wrap=True, overflow="crop", crop=False)
    for span in failures[:_MOST_FAILURES]:
        line = Text(f"{marks.error} {span.event.sequence} {one_line(span.label)}: {span.error}", "red")
        out.print(line, soft_wrap=True)
    if len(failures) > _MOST_FAILURES:
        out.print(f"{len(failures) - _MOST_FAILURES} more have failed", style="red")
