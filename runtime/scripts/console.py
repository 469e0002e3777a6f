"""A sandbox that stays: runs what is typed, piece by piece, and keeps what each piece has left."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, runtime_checkable

from greenroom.storage.errors import InvalidOperation, ScriptError

from .events import run_recorded
from .scripts import ScriptRequest, ScriptResult, engine_for
from .sources import ScriptSource

if TYPE_CHECKING:
    from greenroom.runtime.handles.session import Session

__all__ = ["Around", "Console", "ConsoleEngine", "FunctionHelp", "Reply", "open_console"]

Around: TypeAlias = Callable[[Callable[[], ScriptResult]], ScriptResult]
"""Calls a function as the operation that a script is, on the calling thread."""
_NAME: Final = "repl"


@dataclass(frozen=True)
class FunctionHelp:
    """What a person who types should know of a function of a global."""

    name: str
    """In full, such as "Session.create"."""
    signature: str
    """How it is called: "create(options)"."""
    summary: str
    options: Mapping[str, str]
    """The keys of the tables of options that it takes, with the types of their values."""


@dataclass(frozen=True)
class Reply:
    """What a piece of a script came to: its values as readable text ("" without any), or its error."""

    shown: str = ""
    error: ScriptError | None = None
    restarted: bool = False
    """Whether the sandbox was made anew, so that the script's variables are gone."""
    exit_code: int | None = None
    """What the piece gave to `os.exit`, if it called that: the conversation is over."""


class Console(Protocol):
    """A conversation with one sandbox. For one thread."""

    language: str
    functions: Sequence[FunctionHelp]
    """The functions of all globals, methods of sessions and rows included."""

    @property
    def current(self) -> str | None:
        """The id of the current session."""

    def set_current(self, session: str | None) -> None:
        """Make a session current, or none."""

    def unfinished(self, text: str) -> bool:
        """Return whether the text is the beginning of a piece, which more lines complete."""

    def enter(self, text: str) -> Reply:
        """Run a piece within the time and the instructions of the request, both counted from now.

        KeyboardInterrupt stops the piece, and is raised again once it has ended.
        """

    def names(self, path: Sequence[str]) -> list[str]:
        """Return the names in a table or object of the script, such as ("a", "b") for a.b; without a path, the script's
        globals. Runs no code of the script."""

    def close(self) -> None:
        """End the sandbox."""


@runtime_checkable
class ConsoleEngine(Protocol):
    """A script engine that has consoles."""

    language: str

    def console(self, request: ScriptRequest, around: Around) -> Console:
        """Open a console. `around` is called once, with all that runs; the request's source is not used."""


def open_console(
    runtime: Any,
    language: str,
    *,
    profile: str,
    session: Session | None,
    timeout: float | None,
    directories: Sequence[str | os.PathLike[str]],
    echo: Callable[[str], None],
) -> Console:
    """Open a console of a language over a `Runtime`, with the limits of `Runtime.run_script` for each piece.

    Raises ConfigurationError for an unknown language or profile, and InvalidOperation where a language has no console.
    """
    engine = engine_for(language)
    if not isinstance(engine, ConsoleEngine):
        raise InvalidOperation(f"scripts in {language} cannot be typed piece by piece: run them as files")
    config, source = runtime.config, ScriptSource("")
    request = ScriptRequest(
        runtime=runtime,
        source=source.text,
        name=_NAME,
        profile=profile,
        session=session,
        args=(),
        timeout=config.script_timeout if timeout is None else timeout,
        max_instructions=config.script_instructions,
        max_memory=runtime.policies.script_memory(session.id if session is not None else None, config),
        directories=tuple(Path(each) for each in directories),
        echo=echo,
    )
    return engine.console(request, lambda run: run_recorded(runtime.core, request, source, engine.language, run))
