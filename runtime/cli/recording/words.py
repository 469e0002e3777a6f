"""What the commands about recordings say alike."""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Final

import typer

__all__ = ["RECORDED", "Command", "dollars", "shown_command"]

RECORDED: Final = {"allow_interspersed_args": False}
"""For commands that take a command: its options are its own."""

Command = Annotated[
    list[str],
    typer.Argument(metavar="-- CMD…", help="The command to run, such as: python agent.py --fast", show_default=False),
]


def dollars(micro: Any) -> str:
    """Return an amount of micro-dollars for people."""
    value = micro / 1e6 if isinstance(micro, (int, float)) else 0.0
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}" if value else "$0"


def shown_command(command: Any) -> str:
    """Return a command as one would type it."""
    return shlex.join(str(each) for each in command) if isinstance(command, list) else ""
