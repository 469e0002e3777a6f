"""``greenroom debug``: the command that opens the debugger."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenroom.runtime.cli import completion
from greenroom.runtime.cli.output import done, is_terminal, print_json, progress_bar, size
from greenroom.runtime.cli.parameters import AsJson
from greenroom.runtime.cli.store import KEY, the_session, the_store

if TYPE_CHECKING:
    from greenroom.runtime import Debugger, Runtime, Session

__all__ = ["debug"]


def debug(
    context: typer.Context,
    session: Annotated[
        str,
        typer.Argument(
            metavar="SESSION|FILE",
            help="Id of the session, the first six or more digits of it, or key:KEY; or a file that --export wrote.",
            autocompletion=completion.sessions,
        ),
    ],
    at: Annotated[
        int | None,
        typer.Option(
            "--at", min=1, metavar="N", help="Begin at this event; otherwise at the newest.", show_default=False
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="FILE",
            help="Write all debugging data as JSON instead, for debug elsewhere.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at everything that happened in a session, full screen, event by event.

    A timeline of the events, and of the selected one its data, the state after it, the conversation as the model saw
    it, and what it has changed. Search, breakpoints, and forks at any event; the keys stand at the bottom, ? shows all.

    The session may be in use meanwhile: nothing is changed, and new events appear. A fork needs the store for a moment
    and says so while another process writes to it. Needs: pip install 'greenroom[debug]'
    """
    from greenroom.runtime import Debugger

    if export is None:
        _require_screen()
    store = the_store(context)
    if export is not None and not _is_file(export.name):
        raise typer.BadParameter(f"{export} is no name of a JSON file: let it end with .json", param_hint="--export")
    if _is_file(session):
        if export is not None:
            raise typer.BadParameter(f"{session} is an export already", param_hint="--export")
        debugger = Debugger.load(session)
        _show(
            debugger, f"{Path(session).name}  {debugger.at().status}", None, at if at is not None else debugger.position
        )
        return
    with store.reading() as runtime:
        found = the_session(runtime, session)
        if export is not None:
            debugger = found.debugger()
            if at is not None:
                debugger.goto(at)
            _export(debugger, export, as_json)
            return
        _show(found.debugger(), _title(found), store.writing, at)


def _title(session: Session) -> str:
    from greenroom.runtime import IntegrityError

    try:
        info = session.info()
    except IntegrityError:
        return f"{session.id}  damaged"
    return f"{info.name or info.id}  {info.status}"


def _is_file(name: str) -> bool:
    """Return whether a name is that of a file; keys and ids of sessions never end so."""
    return name.endswith(".json") and not name.startswith(KEY)


def _export(debugger: Debugger, target: Path, as_json: bool) -> None:
    with progress_bar("export", not as_json, "events") as show:
        size_ = debugger.export(target, on_progress=show)
    if as_json:
        print_json({"path": str(target), "bytes": size_})
    else:
        done(f"{size(size_)} written to {target}; look at it: greenroom debug {target}")


def _require_screen() -> None:
    """Raise unless there are a terminal and the library to draw on it."""
    from greenroom.runtime import InvalidOperation

    if find_spec("textual") is None:
        raise InvalidOperation("the debugger needs textual: pip install 'greenroom[debug]'")
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):  # textual draws on stderr
        raise InvalidOperation(
            "the debugger needs a terminal; elsewhere: greenroom timeline, greenroom events, greenroom context"
        )


def _show(
    debugger: Debugger, title: str, writing: Callable[[], AbstractContextManager[Runtime]] | None, at: int | None
) -> None:
    from .app import DebuggerApp
    from .recording import Recording

    DebuggerApp(Recording(debugger, title, writing), at, stops=debugger.breakpoints).run()
