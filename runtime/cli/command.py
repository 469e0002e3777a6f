"""What holds for every command: the options that all take, and what a failure looks like."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from . import completion, failures
from .output import set_quiet
from .store import Store

__all__ = ["Commands", "Data", "Json", "Quiet", "Root"]

_PANEL = "Options of every command"

Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Directory of the store. Otherwise GREENROOM_DATA, greenroom.toml, or ./greenroom-data.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Say only what was asked for: no remarks, no progress.", rich_help_panel=_PANEL),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, errors too, for programs.", rich_help_panel=_PANEL)]


class Commands(typer.Typer):
    """A group of commands, each of which also takes the options of every command, and tells its failures."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(callback=_between, no_args_is_help=True, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Return a decorator that makes a function, whose first parameter is the context, a command."""

        def register(function: Callable[..., Any]) -> Any:
            told = {"help": _help_of(function)} | settings
            return super(Commands, self).command(name, **told)(_for_everybody(function))

        return register


class Root(TyperGroup):
    """The outermost group. Whatever goes wrong ends in exit code 1 or 2 and words for people, or JSON."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and leave the process with its exit code; not `standalone`, return or raise instead."""
        given = list(sys.argv[1:] if args is None else args)
        if not standalone_mode:
            return super().main(given, "greenroom", complete_var, standalone_mode=False, **extra)
        try:
            code = super().main(given, "greenroom", complete_var, standalone_mode=False, **extra)
        except Exception as error:
            # Where a shell asks what to offer, nobody asked for words, and they would stand in the line being typed.
            code = 1 if completion.is_asked() else failures.tell(error, as_json=_wants_json(given))
        sys.exit(code if isinstance(code, int) else 0)


def _between(context: typer.Context, data: Data = None, as_json: Json = False, quiet: Quiet = False) -> None:
    context.obj.take(data=data, quiet=quiet, as_json=as_json)


def _wants_json(arguments: list[str]) -> bool:
    """Return whether errors of a command line that may not even be understood are to be JSON."""
    return "--json" in (arguments[: arguments.index("--")] if "--" in arguments else arguments)


def _help_of(function: Callable[..., Any]) -> str:
    """Return what a docstring says as typer takes it: a paragraph is one line, unless it is indented, and no markup."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    joined = (each if each.startswith(" ") else " ".join(each.split()) for each in paragraphs)
    return re.sub(r"\[(?=[a-z#/@])", r"\\[", "\n\n".join(joined))


def _for_everybody(function: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(function, eval_str=True)
    own = dict(signature.parameters)
    added = {"data": Data, "quiet": Quiet} | ({} if "as_json" in own else {"as_json": Json})

    @functools.wraps(function)
    def run(context: typer.Context, **given: Any) -> None:
        store: Store = context.obj
        common = {name: given.pop(name) for name in added if name in given}
        store.take(data=common["data"], quiet=common["quiet"], as_json=common.get("as_json") or given.get("as_json"))
        set_quiet(store.quiet)
        if "as_json" in own:
            given["as_json"] = store.as_json
        try:
            function(context, **given)
        except Exception as error:
            if failures.is_for_outside(error):
                raise
            raise typer.Exit(failures.tell(error, as_json=store.as_json, command=context.command)) from None

    parameters = list(own.values()) + [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if name == "data" else False,
            annotation=annotation,
        )
        for name, annotation in added.items()
    ]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run
