"""``greenroom repl``: a script typed line by line."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from greenroom.runtime.cli import completion
from greenroom.runtime.cli.output import is_terminal, note, print_piece
from greenroom.runtime.cli.scripts.opening import opened_for_scripts
from greenroom.runtime.cli.scripts.options import AllowDir, BoundTo, FromPlugin, OfProfile, TimeLimit, WithAgent
from greenroom.runtime.cli.store import the_session, the_store


def repl(
    context: typer.Context,
    language: Annotated[
        str,
        typer.Option(
            "--language",
            metavar="LANGUAGE",
            help="lua or js.",
            autocompletion=completion.one_of("lua", "js"),
        ),
    ] = "lua",
    profile: OfProfile = "sandboxed",
    allow_dir: AllowDir = None,
    session: BoundTo = None,
    agent: WithAgent = None,
    plugin: FromPlugin = None,
    timeout: TimeLimit = None,
) -> None:
    """Type a script line by line: each entry is run at once, and its variables stay.

    Tab completes names, functions and the keys of options; the line at the bottom says how a function is called. An
    entry that is not finished goes on in the next line. Ctrl-C stops an entry, Ctrl-D ends the repl. .help says more.

    Without a terminal, entries come from stdin, and the exit code is 1 if one of them failed.
    """
    from greenroom.runtime.scripts.console import open_console

    from .loop import Loop, plain_reader

    with opened_for_scripts(the_store(context), create=session is None, agents=agent, plugins=plugin) as runtime:
        console = open_console(
            runtime,
            language,
            profile=profile,
            session=the_session(runtime, session) if session else None,
            timeout=timeout,
            directories=allow_dir or [],
            echo=print_piece,
        )
        try:
            if is_terminal(sys.stdin) and is_terminal():
                from .history import HistoryFile, history_path
                from .terminal import terminal_reader

                history = HistoryFile(history_path(console.language))
                read = terminal_reader(runtime, console, history)
                where = the_store(context).settings().data
                note(f"greenroom {console.language} repl on {where}. .help says what there is.")
                loop = Loop(runtime, console, read)
                loop.run()
                code = loop.exit_code or 0
            else:
                loop = Loop(runtime, console, plain_reader(console))
                loop.run()
                code = int(loop.failed) if loop.exit_code is None else loop.exit_code
        finally:
            console.close()
    if code:
        raise typer.Exit(code)
