"""``greenroom search``: what was said, stored and named, in all sessions or some."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from greenroom.runtime.cli import completion
from greenroom.runtime.cli.output import counted, moment, one_line, print_json, print_rows, short_id, tell_beside
from greenroom.runtime.cli.parameters import AsJson, entries_of
from greenroom.runtime.cli.store import the_session, the_store
from greenroom.runtime.cli.times import TIMES, moment_of

if TYPE_CHECKING:
    from greenroom.runtime import Runtime

_KINDS: Final = completion.one_of("message", "artifact", "name")


def search(
    context: typer.Context,
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT", help='Words that must all be there; "in quotes" a phrase, wor* the beginning of a word.'
        ),
    ],
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="Only messages, artifacts or names (message, artifact, name; may be repeated).",
            show_default=False,
            autocompletion=_KINDS,
        ),
    ] = None,
    session: Annotated[
        str | None,
        typer.Option(
            metavar="SESSION", help="Only in this session.", show_default=False, autocompletion=completion.sessions
        ),
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(help="Only in sessions of this status (may be repeated).", show_default="all"),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only in sessions with this tag (may be repeated).", show_default=False)
    ] = None,
    created_by: Annotated[
        str | None, typer.Option(help="Only in sessions of this creator.", show_default=False)
    ] = None,
    key_prefix: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only in sessions with a key that begins so.", show_default=False),
    ] = None,
    parent: Annotated[
        str | None,
        typer.Option(
            metavar="SESSION",
            help="Only in children of this session.",
            autocompletion=completion.sessions,
            show_default=False,
        ),
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Only in sessions with this entry in the metadata; the value is JSON, or text.",
            show_default=False,
        ),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=f"Only in sessions created then or later: {TIMES}.", show_default=False),
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only in sessions created before then.", show_default=False)
    ] = None,
    updated_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only in sessions changed then or later.", show_default=False)
    ] = None,
    updated_before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only in sessions not changed since then.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    cursor: Annotated[
        str | None,
        typer.Option(
            metavar="CURSOR",
            help="Go on after an earlier page. A line on stderr says the cursor, with --json and --quiet too.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0.001, metavar="SECONDS", help="How long to wait until everything is indexed.")
    ] = 3600.0,
    as_json: AsJson = False,
) -> None:
    """Search conversations, the texts of artifacts, and names and descriptions of sessions; the best hits first.

    The first search of a store makes its index, which takes a while. While another process has the store open, this
    one indexes what is new in a copy of its own.

    Examples:

      greenroom search "lisbon flight"
      greenroom search '"cheap flight"' --kind message --tag travel
      greenroom search 'err*' --updated-after 24h --status failed
    """
    given: dict[str, Any] = {
        "status": tuple(status or ()) or None,
        "tags": tuple(tag or ()) or None,
        "created_by": created_by,
        "key_prefix": key_prefix,
        "metadata": entries_of(metadata, "--metadata") if metadata else None,
        "created_after": moment_of(after, "--after"),
        "created_before": moment_of(before, "--before"),
        "updated_after": moment_of(updated_after, "--updated-after"),
        "updated_before": moment_of(updated_before, "--updated-before"),
    }
    criteria = {name: value for name, value in given.items() if value is not None}
    with _opened(context) as runtime:
        if parent is not None:
            criteria["parent"] = the_session(runtime, parent).id
        where = the_session(runtime, session).id if session is not None else None
        page = runtime.search(
            text, kinds=kind or None, session=where, limit=limit, cursor=cursor, timeout=wait, **criteria
        )
    if as_json:
        print_json([hit.to_dict() for hit in page])
    else:
        print_rows(
            ("session", "kind", "what", "created (UTC)", "text"),
            [
                (
                    short_id(hit.session_id),
                    hit.kind,
                    one_line(hit.name or f"{hit.sequence} {hit.role}" if hit.kind != "name" else ""),
                    moment(hit.created_at),
                    one_line(hit.marked()),
                )
                for hit in page
            ],
        )
    if page.next_cursor is not None:
        tell_beside(f"{len(page)} of {counted(page.total, 'hit')}; more with --cursor {page.next_cursor}")


@contextmanager
def _opened(context: typer.Context) -> Iterator[Runtime]:
    """The store, opened for writing so that its index stays; beside whoever has it open, for reading."""
    from greenroom.runtime import StorageError

    store = the_store(context)
    writing = store.writing()
    try:
        runtime = writing.__enter__()
    except StorageError:  # another process has it, or it can only be read
        with store.reading() as runtime:
            yield runtime
        return
    try:
        yield runtime
    finally:
        writing.__exit__(None, None, None)
