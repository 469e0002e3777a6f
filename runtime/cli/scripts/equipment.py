"""Registers what scripts can call besides the standard tools: agents that ship, and what plugins of the user bring."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from greenroom.runtime import Runtime

__all__ = ["plugins_named", "register_agents", "run_plugins"]

_AGENT = "--agent"
_PLUGIN = "--plugin"


def register_agents(runtime: Runtime, providers: Iterable[str]) -> None:
    """Register the agents' providers that ship with greenroom under their names. Raises BadParameter for others."""
    from greenroom.runtime.agents import echo

    shipped = {"echo": echo}
    for name in dict.fromkeys(providers):
        if name not in shipped:
            raise typer.BadParameter(
                f"no provider {name!r} ships with greenroom; there is: {', '.join(shipped)}. "
                f"Register others in a plugin: {_PLUGIN} MODULE:FUNCTION",
                param_hint=_AGENT,
            )
        runtime.agents.register(name, shipped[name])


def plugins_named(names: Iterable[str]) -> list[tuple[str, Callable[[Any], Any]]]:
    """Return the functions that texts such as ``my_tools:register`` name, found as Python finds modules from the
    working directory. Raises BadParameter."""
    found = []
    for name in names:
        module_name, colon, path = name.partition(":")
        if not colon or not all(part.isidentifier() for part in (*module_name.split("."), *path.split("."))):
            raise typer.BadParameter(
                f"{name!r} is not of the form MODULE:FUNCTION, such as my_tools:register", param_hint=_PLUGIN
            )
        function: Any = _imported(module_name, name)
        for part in path.split("."):
            if not hasattr(function, part):
                raise typer.BadParameter(f"{name}: module {module_name!r} has no {path!r}", param_hint=_PLUGIN)
            function = getattr(function, part)
        if not callable(function):
            raise typer.BadParameter(f"{name}: {path!r} is no function", param_hint=_PLUGIN)
        found.append((name, function))
    return found


def run_plugins(runtime: Runtime, plugins: Iterable[tuple[str, Callable[[Any], Any]]]) -> None:
    """Call the plugins with the runtime. Raises ConfigurationError, which says where a plugin failed."""
    from greenroom.runtime import ConfigurationError

    for name, function in plugins:
        try:
            answer = function(runtime)
        except (Exception, SystemExit) as error:
            _fail(name, "failed", error)
        if inspect.iscoroutine(answer):
            answer.close()
            raise ConfigurationError(f"{_PLUGIN} {name}: a plain function is needed, not an async one")


def _imported(module_name: str, plugin: str) -> Any:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise typer.BadParameter(
                f"{plugin}: there is no module {error.name!r}, neither installed nor in {here}", param_hint=_PLUGIN
            ) from None
        _fail(plugin, f"module {module_name!r} cannot be imported", error)
    except (Exception, SystemExit) as error:
        _fail(plugin, f"module {module_name!r} cannot be imported", error)


def _fail(plugin: str, what: str, error: BaseException) -> NoReturn:
    """Raise ConfigurationError with the place in the plugin's own code that the error came from."""
    from greenroom.runtime import ConfigurationError

    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    raise ConfigurationError(
        f"{_PLUGIN} {plugin}: {what}: {text}{_place(error.__traceback__, error)}", plugin=plugin
    ) from error


def _place(trace: TracebackType | None, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename is not None:
        return ""  # its text names the file and the line
    frames = [frame for frame in traceback.extract_tb(trace)[1:] if not frame.filename.startswith("<frozen")]
    near = [frame for frame in frames if frame.filename.startswith(os.path.join(os.getcwd(), ""))]
    last = next(reversed(near or frames), None)
    return f" ({os.path.relpath(last.filename)}:{last.lineno})" if last is not None else ""
