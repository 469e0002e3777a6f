"""The commands of the repl that are no script: they begin with a dot."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from greenroom.runtime.cli.output import one_line, printable
from greenroom.runtime.cli.store import the_session
from greenroom.runtime.scripts.console import Console, FunctionHelp
from greenroom.storage.errors import ValidationError

if TYPE_CHECKING:
    from greenroom.runtime import Runtime

__all__ = ["COMMANDS", "Leave", "run_command"]

COMMANDS: Final = {
    ".help": "[NAME]  what a global or one of its functions does",
    ".session": "[SESSION | none]  show the current session, or choose it",
    ".exit": "end the repl; so does Ctrl-D",
}


class Leave(Exception):
    """Raised by the command that ends the repl."""


def run_command(text: str, runtime: Runtime, console: Console) -> None:
    """Run a command. Raises Leave, ValidationError, and what the runtime raises."""
    try:
        name, *arguments = shlex.split(text)
    except ValueError:
        name, *arguments = text.split()
    if len(arguments) > 1:
        raise ValidationError(f"{name} takes one argument", field="command")
    argument = arguments[0] if arguments else None
    match name:
        case ".exit" | ".quit":
            raise Leave
        case ".session":
            _session(argument, runtime, console)
        case ".help":
            _help(argument, console)
        case _:
            known = ", ".join(COMMANDS)
            raise ValidationError(f"there is no command {name[:50]!r}; there are: {known}", field="command")


def _session(wanted: str | None, runtime: Runtime, console: Console) -> None:
    if wanted == "none":
        console.set_current(None)
    elif wanted is not None:
        console.set_current(the_session(runtime, wanted).id)
    current = console.current
    if current is None:
        print("no session is current; choose one with: .session ID")
    else:
        info = runtime.session(current).info()
        print(f"{info.id}  {info.status}  {one_line(info.name or '')}".rstrip())


def _help(wanted: str | None, console: Console) -> None:
    functions = list(console.functions)
    if wanted is None:
        for name, about in COMMANDS.items():
            print(f"{name} {about}")
        names = sorted({each.name.partition(".")[0] for each in functions if "." in each.name})
        print(f"globals: {', '.join(names)}")
        print(".help Session lists its functions; .help Session.create says what one does")
        return
    wanted = wanted.replace(":", ".").removesuffix("()")
    exact = [each for each in functions if each.name == wanted]
    below = [each for each in functions if each.name.startswith(f"{wanted}.")]
    if not exact and not below:
        from greenroom.runtime.scripts import nearest

        near = nearest(wanted, [each.name for each in functions])
        raise ValidationError(
            f"there is no {wanted[:100]!r} to tell about" + (f"; the nearest is {near}" if near else ""), field="name"
        )
    for each in exact:
        _tell(each)
    width = max((len(each.signature) for each in below), default=0)
    for each in below:
        print(f"{each.signature.ljust(min(width, 48))}  {one_line(each.summary).split('. ')[0]}".rstrip())


def _tell(function: FunctionHelp) -> None:
    owner = function.name.rpartition(".")[0]
    print(f"{owner}.{function.signature}" if owner else function.signature)
    if function.summary:
        print(printable(function.summary))
    if function.options:
        width = max(map(len, function.options))
        print("options:")
        for key, kind in function.options.items():
            print(f"  {key.ljust(width)}  {kind}".rstrip())
