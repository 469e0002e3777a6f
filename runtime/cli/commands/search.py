"""``greenroom search``: what was said, stored and named, in all sessions or some."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from greenroom.runtime.cli import completion
from greenroom.runtime.cli.output import counted, moment, one_line, print_json, print_rows, short_id, tell_beside
from greenroom.runtime.cli.parameters import (
    AsJson,
    Cursor,
    OfCreator,
    OfParent,
    Since,
    Until,
    UpdatedSince,
    UpdatedUntil,
    WithKeyPrefix,
    WithMetadata,
    WithStatus,
    WithTags,
    criteria_of,
)
from greenroom.runtime.cli.store import the_session, the_store

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
    status: WithStatus = None,
    tag: WithTags = None,
    created_by: OfCreator = None,
    key_prefix: WithKeyPrefix = None,
    parent: OfParent = None,
    metadata: WithMetadata = None,
    after: Since = None,
    before: Until = None,
    updated_after: UpdatedSince = None,
    updated_before: UpdatedUntil = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    cursor: Cursor = None,
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
    criteria = criteria_of(context)
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
