"""The repl at a terminal: editing, history, completion, and the signature of the function in hand.

Imports prompt_toolkit, which takes a tenth of a second, so this module is imported only when a repl begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, has_completions, is_searching
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.shortcuts import CompleteStyle

from greenroom.runtime.cli.output import printable
from greenroom.runtime.scripts.console import Console

from .commands import COMMANDS
from .completion import function_at, offers
from .history import HistoryFile
from .loop import prompt_of

if TYPE_CHECKING:
    from greenroom.runtime import Runtime

__all__ = ["terminal_reader"]

_LONGEST_HINT: Final = 60
_HINT: Final = "Tab completes, .help tells, Ctrl-D ends"


def terminal_reader(runtime: Runtime, console: Console, history: HistoryFile) -> Callable[[], str]:
    """Return a function that reads entries from the terminal. Enter ends a whole entry, else it begins a new line."""
    session: PromptSession[str] = PromptSession(
        history=_History(history),
        completer=_Offered(console),
        complete_while_typing=False,
        complete_style=CompleteStyle.MULTI_COLUMN,
        multiline=True,
        key_bindings=_keys(console),
        bottom_toolbar=lambda: _signature(console, session.default_buffer.document.text_before_cursor),
        prompt_continuation=lambda width, line, wrapped: " " * max(0, width - 3) + ".. ",
        enable_open_in_editor=False,
        include_default_pygments_style=False,
    )

    def read() -> str:
        return session.prompt(prompt_of(runtime, console))

    return read


class _History(InMemoryHistory):
    """What was typed, now and earlier."""

    def __init__(self, file: HistoryFile) -> None:
        super().__init__(file.load())
        self._file = file

    def store_string(self, string: str) -> None:
        super().store_string(string)
        self._file.add(string)


class _Offered(Completer):
    def __init__(self, console: Console) -> None:
        self._console = console

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        before = document.text_before_cursor
        if before.startswith("."):
            name, space, argument = before.partition(" ")
            if not space:
                yield from (Completion(each, -len(name)) for each in COMMANDS if each.startswith(name))
            elif name == ".help":
                names = {each.name for each in self._console.functions}
                names |= {each.partition(".")[0] for each in names}
                yield from (Completion(each, -len(argument)) for each in sorted(names) if each.startswith(argument))
            return
        for offer in offers(before, self._console):
            about = offer.about if len(offer.about) <= _LONGEST_HINT else offer.about[: _LONGEST_HINT - 1] + "…"
            yield Completion(offer.text, -offer.replaces, display_meta=printable(about))


def _keys(console: Console) -> KeyBindings:
    keys = KeyBindings()

    @Condition
    def at_the_end() -> bool:
        from prompt_toolkit.application import get_app

        return not get_app().current_buffer.document.text_after_cursor.strip()

    @keys.add("enter", filter=at_the_end & ~is_searching & ~has_completions)
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        text = buffer.text
        # An empty line ends what does not end by itself: it will say what is missing.
        gave_up = text.endswith("\n") and not text.rsplit("\n", 1)[-1].strip()
        if text.startswith(".") or gave_up or not text.strip() or not console.unfinished(text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n" + _indent(text))

    return keys


def _indent(text: str) -> str:
    """Return the spaces that the last line begins with."""
    last = text.rsplit("\n", 1)[-1]
    return last[: len(last) - len(last.lstrip())]


def _signature(console: Console, before: str) -> str:
    function = function_at(before, console)
    if function is None:
        return _HINT
    owner = function.name.rpartition(".")[0]
    summary = function.summary.split("\n")[0]
    return printable(f"{owner}.{function.signature}" if owner else function.signature) + (
        f"  {summary}" if summary else ""
    )
