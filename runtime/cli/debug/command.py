"""``greenroom debug``: the command that opens the debugger."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from greenroom.runtime.cli.output import is_terminal
from greenroom.runtime.cli.parameters import SessionId
from greenroom.runtime.cli.store import the_session, the_store

if TYPE_CHECKING:
    from .recorded import Recorded

__all__ = ["debug"]


def debug(
    context: typer.Context,
    session: SessionId,
    at: Annotated[
        int | None,
        typer.Option(
            "--at", min=1, metavar="N", help="Begin at this event; otherwise at the newest.", show_default=False
        ),
    ] = None,
) -> None:
    """Look at everything that happened in a session, full screen, event by event.

    A timeline of the events, and of the selected one its data, the state after it, the conversation as the model saw
    it, and what it has changed. Search, breakpoints, and forks at any event; the keys stand at the bottom, ? shows all.

    The session may be in use meanwhile: nothing is changed, and new events appear. A fork needs the store for a moment
    and says so while another process writes to it. Needs: pip install 'greenroom[debug]'
    """
    _require_screen()
    store = the_store(context)
    with store.reading() as runtime:
        from .session import RecordedSession

        _show(RecordedSession(runtime, the_session(runtime, session), store.writing), at)


def _require_screen() -> None:
    """Raise unless there are a terminal and the library to draw on it."""
    from greenroom.runtime import InvalidOperation

    if find_spec("textual") is None:
        raise InvalidOperation("the debugger needs textual: pip install 'greenroom[debug]'")
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):  # textual draws on stderr
        raise InvalidOperation(
            "the debugger needs a terminal; elsewhere: greenroom timeline, greenroom events, greenroom context"
        )


def _show(recorded: Recorded, at: int | None) -> None:
    from .app import Debugger

    Debugger(recorded, at).run()
