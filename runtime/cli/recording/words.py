"""What the commands about recordings say alike."""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import Annotated, Any, Final

import typer

__all__ = ["OWN_OPTIONS", "Command", "CommandOrNone", "dollars", "name_of", "shown_command"]

OWN_OPTIONS: Final = {"allow_interspersed_args": False}
"""For commands that take a command: the options behind it are its own."""

_METAVAR: Final = "-- CMD…"

Command = Annotated[
    list[str],
    typer.Argument(metavar=_METAVAR, help="The command to run, such as: python agent.py --fast", show_default=False),
]
CommandOrNone = Annotated[
    list[str] | None,
    typer.Argument(metavar=f"[{_METAVAR}]", help="Another command than the recorded one.", show_default=False),
]


def dollars(micro: Any) -> str:
    """Return an amount of micro-dollars for people."""
    value = micro / 1e6 if isinstance(micro, (int, float)) else 0.0
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}" if value else "$0"


def shown_command(command: Any) -> str:
    """Return a command as one would type it."""
    return shlex.join(str(each) for each in command) if isinstance(command, list) else ""


def name_of(command: list[str]) -> str:
    """Return what to call a recording of a command: the program's file or module, or the command itself."""
    script = next((each for each in command if each.endswith(".py")), None)
    if script is None and "-m" in command[:-1]:
        return command[command.index("-m") + 1][:255]
    return PurePath(script or command[0]).name[:255]
