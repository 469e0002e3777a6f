"""``greenroom demo``: plays the demo, which is one of the examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from greenroom.runtime.cli.store import the_store


def demo(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
            help="Conversations to take in beside the samples.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.5, max=60, help="How long the worker writes before it is killed.")
    ] = 4,
) -> None:
    """See it work: sessions, a script, a crash, and nothing lost. Takes well under a minute.

    It works in a temporary directory, or in the store that --data names, which is kept.
    """
    from greenroom.examples.demo.play import WorkerFailed, play

    store = the_store(context)
    try:
        passed = play(store.settings().data if store.named else None, files or [], seconds)
    except WorkerFailed as failure:
        typer.echo(f"greenroom: {failure}", err=True)
        passed = False
    if not passed:
        raise typer.Exit(1)
