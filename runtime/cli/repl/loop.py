"""Reads, runs and prints, entry by entry, until the input ends. Knows nothing of terminals."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from greenroom.runtime.cli.failures import in_our_words, way_there
from greenroom.runtime.cli.output import printable
from greenroom.runtime.cli.scripts.place import line_of
from greenroom.runtime.scripts.console import Console, Reply
from greenroom.storage.errors import GreenroomError, ScriptError

from .commands import Leave, run_command

if TYPE_CHECKING:
    from greenroom.runtime import Runtime

__all__ = ["Loop", "plain_reader", "prompt_of"]

_LONGEST_NAME: Final = 24


class Loop:
    """One session of the repl.

    `read` returns a whole entry, raises EOFError at the end of the input, and KeyboardInterrupt for Ctrl-C.
    """

    def __init__(self, runtime: Runtime, console: Console, read: Callable[[], str]) -> None:
        self._runtime = runtime
        self._console = console
        self._read = read
        self.failed = False
        """Whether an entry has failed."""
        self.exit_code: int | None = None
        """What the script gave to `os.exit`."""

    def run(self) -> None:
        """Run entries until the input ends, .exit, or os.exit."""
        while True:
            try:
                text = self._read()
            except KeyboardInterrupt:  # what was being typed is given up
                continue
            except EOFError:
                return
            if not text.strip():
                continue
            try:
                if text.lstrip().startswith("."):
                    run_command(text.strip(), self._runtime, self._console)
                    continue
                reply = self._console.enter(text)
                if reply.exit_code is not None:
                    self.exit_code = reply.exit_code
                    return
                self._show(reply, text)
            except Leave:
                return
            except KeyboardInterrupt:
                _say("stopped")
            except GreenroomError as error:
                self.failed = True
                _say(in_our_words(str(error)))

    def _show(self, reply: Reply, text: str) -> None:
        if reply.shown:
            print(printable(reply.shown), flush=True)
        if reply.error is not None:
            self.failed = True
            _say(_told(reply.error, text))
        if reply.restarted:
            _say("The sandbox was made anew: the variables of the script are gone.")


def _told(error: ScriptError, text: str) -> str:
    """Return an error as the repl shows it: with its line if the entry has several, and with a long traceback."""
    lines = [in_our_words(str(error))]
    if "\n" in text:
        shown = line_of(error, text)
        lines += [shown] if shown is not None else []
    way = way_there(error).rstrip()
    if way.count("\n") > 2:
        lines.append(way)
    return "\n".join(lines)


def _say(text: str) -> None:
    sys.stdout.flush()
    print(printable(text), file=sys.stderr, flush=True)


def prompt_of(runtime: Runtime, console: Console) -> str:
    """Return the prompt: the language, and the current session by its name or the first digits of its id."""
    current = console.current
    if current is None:
        return f"{console.language}> "
    try:
        name = runtime.session(current).info().name
    except GreenroomError:
        name = None
    name = " ".join(printable(name).split()) if name else ""
    shown = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    return f"{console.language} {shown or current[:8]}> "


def plain_reader(console: Console) -> Callable[[], str]:
    """Return a function that reads lines from stdin until they make a whole entry."""

    def read() -> str:
        lines: list[str] = []
        for line in sys.stdin:
            lines.append(line.rstrip("\n") if lines or not line.startswith("\ufeff") else line[1:].rstrip("\n"))
            text = "\n".join(lines)
            if text.lstrip().startswith(".") or not console.unfinished(text):
                return text
        if lines:
            return "\n".join(lines)
        raise EOFError

    return read
