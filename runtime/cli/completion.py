"""What a shell offers where a word is being typed: ids, statuses, names; typer knows the commands and the options."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Final

import typer
from typer.completion import completion_init, get_completion_script, install  # type: ignore[attr-defined]

from .store import Store, the_session

if TYPE_CHECKING:
    from greenroom.runtime import Runtime, Session

__all__ = ["Install", "Show", "artifacts", "is_asked", "one_of", "sessions", "statuses", "templates"]

_PROGRAM: Final = "greenroom"
_VARIABLE: Final = "_GREENROOM_COMPLETE"
_MOST: Final = 50  # offered at once
_MOST_READ: Final = 1000  # of the names in a store, to find those that fit
_LONGEST_HINT: Final = 60

# The shells' scripts take what is offered as source text, without quotes of their own: what they would not take as
# a plain word is never offered, and a name of somebody's choice stands as letters beside an id.
_PLAIN: Final = re.compile(r"[\w.,/+][\w.,/+-]*")
_NOT_PLAIN: Final = re.compile(r"[^\w.,/+-]+")

completion_init()  # typer's own scripts and forms, in place of those of click


class Shell(StrEnum):
    """A shell that completes."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def _show(shell: Shell | None) -> None:
    if shell is not None:
        typer.echo(get_completion_script(prog_name=_PROGRAM, complete_var=_VARIABLE, shell=shell.value))
        raise typer.Exit


def _install(shell: Shell | None) -> None:
    if shell is not None:
        _, path = install(shell=shell.value, prog_name=_PROGRAM, complete_var=_VARIABLE)
        typer.echo(f"Written to {path}. It holds in every new {shell} from now on.")
        raise typer.Exit


Show = Annotated[
    Shell | None,
    typer.Option(
        "--show-completion",
        callback=_show,
        is_eager=True,
        show_default=False,
        help="Print the script that makes this shell complete, and stop.",
    ),
]
Install = Annotated[
    Shell | None,
    typer.Option(
        "--install-completion",
        callback=_install,
        is_eager=True,
        show_default=False,
        help="Put that script where the shell finds it, and stop.",
    ),
]


def is_asked() -> bool:
    """Return whether a shell has started this process to learn what to offer."""
    return bool(os.environ.get(_VARIABLE))


def sessions(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer ids of sessions, with their names and statuses; as long as nothing is typed, those last changed."""

    def found(runtime: Runtime) -> Iterator[tuple[str, str]]:
        if incomplete:
            infos = [runtime.session(each).info() for each in runtime.find_sessions(incomplete, limit=_MOST)]
        else:
            infos = list(runtime.list_sessions(status=_statuses(), sort_by="updated_at", descending=True, limit=_MOST))
        for info in infos:
            yield info.id, f"{info.name or ''} {info.status}"

    return _offered(context, incomplete, found)


def artifacts(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the names of the artifacts of the session that stands before."""

    def found(runtime: Runtime) -> Iterator[tuple[str, str]]:
        session: Session = the_session(runtime, context.params["session"])
        yield from {info.name: info.artifact_type for info in session.list_artifacts(limit=_MOST_READ)}.items()

    return _offered(context, incomplete, found)


def templates(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer the names of the templates."""
    return _offered(context, incomplete, lambda runtime: ((each.name, "") for each in runtime.templates.list()))


def statuses() -> list[str]:
    """Offer what a session may be, and all of it."""
    return [*_statuses(), "all"]


def one_of(*words: str) -> Callable[[], list[str]]:
    """Return what offers these words."""
    return lambda: list(words)


def _statuses() -> list[str]:
    from greenroom.runtime import SessionStatus

    return [str(each) for each in SessionStatus]


def _offered(
    context: typer.Context, incomplete: str, found: Callable[[Runtime], Iterator[tuple[str, str]]]
) -> list[tuple[str, str]]:
    """Return those of the words found that fit what is typed, with hints; none where the store cannot be read."""
    fitting: list[tuple[str, str]] = []
    with (
        contextlib.suppress(Exception),
        contextlib.redirect_stderr(io.StringIO()),
        _store(context).reading() as runtime,
    ):
        words = (
            (word, hint) for word, hint in found(runtime) if word.startswith(incomplete) and _PLAIN.fullmatch(word)
        )
        fitting += islice(words, _MOST)
    return [(word, _NOT_PLAIN.sub(" ", hint).strip()[-_LONGEST_HINT:]) for word, hint in fitting]


def _store(context: typer.Context) -> Store:
    """Return the store that the line names so far."""
    inner: typer.Context | None = context
    while inner is not None:
        if inner.params.get("data"):
            return Store(inner.params["data"])
        inner = inner.parent  # type: ignore[assignment]
    return Store(None)
