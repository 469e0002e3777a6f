"""Exceptions on a tape, and how they are raised again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greenroom.storage.errors import ValidationError

from ..secrets.urls import clean_texts
from .values import find_class, give_back, hold, hold_loosely

__all__ = ["RecordedError", "held_error", "raised_again"]

_MAX_DEPTH: Final = 8
_MAX_TEXT: Final = 16 << 10


class RecordedError(Exception):
    """Stands for a recorded exception whose class is not there at the replay. Its text names the class."""


def held_error(error: BaseException) -> dict[str, Any]:
    """Return the form of an exception on a tape: module, name (qualified), args, text, and if there are any: state
    (its attributes), marks (how args and state are given back), cause, and exceptions (of a group). Errors tell of
    URLs, whose secrets are removed."""
    held: dict[str, Any] = clean_texts(_held(error, 0))
    return held


def _held(error: BaseException, depth: int) -> dict[str, Any]:
    kind = type(error)
    held: dict[str, Any] = {"module": kind.__module__, "name": kind.__qualname__, "text": _text_of(error)[:_MAX_TEXT]}
    args, state = _parts(error)
    parts: dict[str, Any] = {"args": _each(args), "state": _named(state)}
    if isinstance(error, BaseExceptionGroup):
        parts["args"] = [error.message]
        if depth < _MAX_DEPTH:
            held["exceptions"] = [_held(each, depth + 1) for each in error.exceptions[:64]]
    plain, marks = hold(parts)
    held["args"] = plain["args"]
    if plain["state"]:
        held["state"] = plain["state"]
    if marks:
        held["marks"] = marks
    if error.__cause__ is not None and depth < _MAX_DEPTH:
        held["cause"] = _held(error.__cause__, depth + 1)
    return held


def _text_of(error: BaseException) -> str:
    try:
        return str(error).encode("utf-8", "backslashreplace").decode()
    except Exception:  # its own __str__ may raise anything
        return ""


def _parts(error: BaseException) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments and the attributes from which an exception is made anew."""
    try:
        reduced: Any = error.__reduce__()
        if reduced[0] is type(error) and isinstance(reduced[1], tuple):  # such as OSError, whose args have no file name
            return reduced[1], dict(reduced[2] or {}) if len(reduced) > 2 else {}
    except Exception:  # its own __reduce__ may raise anything
        pass
    return error.args, dict(error.__dict__)


def _each(values: tuple[Any, ...]) -> list[Any]:
    return [value if _can_be_held(value) else hold_loosely(value) for value in values]


def _named(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if _can_be_held(value)}


def _can_be_held(value: Any) -> bool:
    try:
        hold(value)
    except ValidationError:
        return False
    return True


def raised_again(held: Mapping[str, Any]) -> BaseException:
    """Return the exception to raise for a recorded one: of the same class, with the same arguments and attributes. A
    RecordedError if the class is not there: then the program cannot name it in an `except` either."""
    kind = find_class(f"{held.get('module')}:{held.get('name')}")
    if kind is None or not issubclass(kind, BaseException):
        return RecordedError(f"{held.get('module')}.{held.get('name')}: {held.get('text')}")
    parts = give_back({"args": held.get("args") or [], "state": held.get("state") or {}}, held.get("marks") or [])
    error = _made(kind, tuple(parts["args"]), held)
    for name, value in parts["state"].items():
        try:
            setattr(error, name, value)
        except Exception:  # a property without a setter
            error.__dict__[name] = value
    if (cause := held.get("cause")) is not None:
        error.__cause__ = raised_again(cause)
    return error


def _made(kind: type[BaseException], args: tuple[Any, ...], held: Mapping[str, Any]) -> BaseException:
    if issubclass(kind, BaseExceptionGroup):
        inner = [raised_again(each) for each in held.get("exceptions") or ()]
        return kind(str(held.get("text")) if not args else str(args[0]), inner or [RecordedError("not recorded")])
    try:
        error: BaseException = kind(*args)
        if _text_of(error)[:_MAX_TEXT] == held.get("text"):
            return error
    except Exception:  # it takes other arguments than those that it keeps
        pass
    try:
        error = kind.__new__(kind, *args)
        error.args = args
    except Exception:  # it is made by code in C only
        return RecordedError(f"{held.get('module')}.{held.get('name')}: {held.get('text')}")
    return error
