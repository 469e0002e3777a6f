"""The options that `run` and `repl` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from greenroom.runtime.cli import completion

__all__ = [
    "AllowDir",
    "BoundTo",
    "FromPlugin",
    "Isolated",
    "OfLanguage",
    "OfProfile",
    "TimeLimit",
    "Trusted",
    "WithAgent",
]

OfLanguage = Annotated[
    str | None,
    typer.Option(
        "--language",
        metavar="LANGUAGE",
        help="lua or js. By default the ending of the file's name decides, else lua.",
        show_default=False,
        autocompletion=completion.one_of("lua", "js"),
    ),
]
OfProfile = Annotated[
    str,
    typer.Option(
        "--profile",
        help="What the script may reach: sandboxed, files or trusted.",
        autocompletion=completion.one_of("sandboxed", "files", "trusted"),
    ),
]
Isolated = Annotated[
    str | None,
    typer.Option(
        "--isolation",
        metavar="WHERE",
        help="Where the script runs: thread or process. Otherwise script_isolation, if it is set, else by --trust.",
        show_default=False,
        autocompletion=completion.one_of("thread", "process"),
    ),
]
Trusted = Annotated[
    str,
    typer.Option(
        "--trust",
        metavar="AUTHOR",
        help="Who wrote the script: host or untrusted. What others wrote runs in a process of its own.",
        autocompletion=completion.one_of("host", "untrusted"),
    ),
]
AllowDir = Annotated[
    list[Path] | None,
    typer.Option(
        "--allow-dir",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="A directory that profile 'files' may use (may be repeated).",
        show_default=False,
    ),
]
BoundTo = Annotated[
    str | None,
    typer.Option(
        "--session",
        metavar="SESSION",
        help="Bind the script to this session: it reaches no other.",
        show_default=False,
        autocompletion=completion.sessions,
    ),
]
WithAgent = Annotated[
    list[str] | None,
    typer.Option(
        "--agent",
        metavar="PROVIDER",
        help="Register a provider of agents that ships with greenroom: echo answers with its input (may be repeated).",
        show_default=False,
        autocompletion=completion.one_of("echo"),
    ),
]
FromPlugin = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="MODULE:FUNCTION",
        help="Call this Python function with the runtime first, to register tools, agents, hooks (may be repeated).",
        show_default=False,
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0.001,
        help="Longest run, in the repl of one entry; by default script_timeout, if it is set, else 5 minutes.",
        show_default=False,
    ),
]
