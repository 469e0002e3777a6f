"""Marks the functions of a global that scripts can call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from .conversions import CONVERSIONS

__all__ = ["Export", "export", "exports_of"]

_F = TypeVar("_F", bound=Callable[..., Any])
_MARK = "_greenroom_export"
_Conversions = Mapping[int, Callable[[Any], Any]]
_Facts = tuple[int, int, _Conversions, frozenset[int], bool, bool, bool]
_known: dict[type, list[tuple[str, str, _Facts]]] = {}


class Export(NamedTuple):
    """A function of a global. `call` takes `least` to `most` arguments.

    Text arrives as str, other strings as bytes; the arguments at the positions in `binary` always as bytes. `numbers`
    converts a number at a position, for parameters that are annotated as `Text` or `Whole`.
    `on_session`: the first argument is a session, so the function is also a method of session ids. `callbacks`: an
    argument that is a function arrives as a `Callback`. `counted`: the answer may be long, so it is counted against the
    script's memory while it is built.
    """

    name: str
    call: Callable[..., Any]
    least: int
    most: int
    numbers: _Conversions
    binary: frozenset[int]
    on_session: bool
    callbacks: bool
    counted: bool


def export(
    *names: str,
    binary: tuple[int, ...] = (),
    on_session: bool = False,
    callbacks: bool = False,
    counted: bool = False,
) -> Callable[[_F], _F]:
    """Export a method to scripts under these names."""

    def mark(function: _F) -> _F:
        setattr(function, _MARK, (names, *_parameters(function), frozenset(binary), on_session, callbacks, counted))
        return function

    return mark


def _parameters(function: Callable[..., Any]) -> tuple[int, int, _Conversions]:
    """Return how many arguments a function takes, at least and at most, and how it takes numbers."""
    least = most = 0
    numbers: dict[int, Callable[[Any], Any]] = {}
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is parameter.VAR_POSITIONAL:
            return least, 16, numbers
        if parameter.annotation in CONVERSIONS:
            numbers[most] = CONVERSIONS[parameter.annotation]
        most += 1
        least += parameter.default is parameter.empty
    return least, most, numbers


def _marked(kind: type) -> list[tuple[str, str, _Facts]]:
    found = _known.get(kind)
    if found is None:
        found = _known[kind] = [
            (name, attribute, mark[1:])
            for attribute in dir(kind)
            if (mark := getattr(getattr(kind, attribute), _MARK, None)) is not None
            for name in mark[0]
        ]
    return found


def exports_of(instance: object) -> dict[str, Export]:
    """Return the functions that an object exports to scripts, by name."""
    return {
        name: Export(name, getattr(instance, attribute), *facts) for name, attribute, facts in _marked(type(instance))
    }
