"""``greenroom record``: run a program and record what crosses its boundaries."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from greenroom.runtime.cli.failures import in_our_words
from greenroom.runtime.cli.output import note, tell_beside
from greenroom.runtime.cli.store import Store, the_store
from greenroom.storage.errors import ConfigurationError, StorageError, StorageFull, StoreLocked

from .leftovers import put_into_store, take_leftovers_of
from .words import Command, name_of

if TYPE_CHECKING:
    from greenroom.runtime.recording.programs.folder import Run

__all__ = ["Redact", "record"]

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
    The store is open only before and after the program runs; greenroom recordings shows what it has done so far. If the
    disk takes nothing more, the program runs on, and what could not be kept is told.

    Examples:

      greenroom record -- python agent.py
      greenroom record --name trial --tag nightly -- python -m my_agent --fast
    """
    from greenroom.runtime.recording.programs.folder import Run
    from greenroom.runtime.recording.programs.launch import run_unrecorded
    from greenroom.runtime.recording.programs.live import record as run_recorded
    from greenroom.runtime.recording.tape.secrets.redacting import Redactor

    store = the_store(context)
    settings = store.settings()
    rules = [*(redact or ()), *(settings.config.redact if isinstance(settings.config.redact, tuple) else ())]
    Redactor(rules)
    run = Run(name=name or name_of(command), tags=list(tag or ()), key=key)
    try:
        run = _with_session(store, run)
        recorded = run_recorded(settings.data, command, run, redact=rules, processes=processes)
    except OSError as error:
        tell_beside(f"greenroom: the program runs without being recorded: {settings.data}: {error.strerror or error}")
        raise typer.Exit(run_unrecorded(command)) from None
    except ConfigurationError:
        if run.session is not None:  # nothing has run
            with store.writing() as runtime:
                runtime.session(run.session).delete()
        raise
    put_into_store(store, recorded)
    raise typer.Exit(recorded.code)


def _with_session(store: Store, run: Run) -> Run:
    """Make the session of a run, so that what is wrong with it is told before the program runs. If another process has
    the store open, or the disk is full, the session is made later. Raises OSError if there is no store and none can be
    made."""
    try:
        with store.writing(create=True) as runtime:
            take_leftovers_of(runtime)
            return replace(run, session=runtime.create_session(name=run.name, tags=run.tags, key=run.key).id)
    except StoreLocked:
        note("another process has the store open: what is recorded comes into it when it is free")
    except StorageError as error:
        if type(error) not in (StorageError, StorageFull):
            raise
        if not (store.settings().data / "CURRENT").exists():
            raise OSError(in_our_words(str(error), None)) from error
        note(f"what is recorded comes into the store when that can be written: {in_our_words(str(error), None)}")
    return run
