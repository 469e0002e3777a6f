"""Change a field deep in JSON."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from greenroom.storage.errors import ValidationError

from .grammar import Operator, Step, shown_path

__all__ = ["added", "apply", "missing"]


def apply(value: Any, path: Sequence[Step], operator: Operator, new: Any, *, at: str) -> Any:
    """Return a JSON value with one field changed; what is not on the way to it is shared with the old value.

    `at` is how the value is called in messages. Fields that are missing on the way are made by `=`, in objects only.
    Raises ValidationError if there is no such field, or if it cannot be changed so.
    """
    if not path:
        return new if operator == "=" else added(value, new, at)
    step, rest = path[0], path[1:]
    inner = at + shown_path((step,))
    if isinstance(value, list):
        if not isinstance(step, int) or not -len(value) <= step < len(value):
            raise missing(at, step, value)
        step %= len(value)
        if operator == "del" and not rest:
            return value[:step] + value[step + 1 :]
        return [*value[:step], apply(value[step], rest, operator, new, at=inner), *value[step + 1 :]]
    if not isinstance(value, dict):
        raise ValidationError(f"patch: {at} is {_kind(value)} and has no field {step!r}", field="patch")
    name = str(step)
    if operator == "del" and not rest:
        if name not in value:
            raise missing(at, step, value)
        return {key: each for key, each in value.items() if key != name}
    if name in value:
        return {**value, name: apply(value[name], rest, operator, new, at=inner)}
    if operator == "del" or any(isinstance(each, int) for each in rest):
        raise missing(at, step, value)
    if not rest:
        return {**value, name: [new] if operator == "+=" and isinstance(new, dict) else new}
    return {**value, name: apply({}, rest, operator, new, at=inner)}


def added(old: Any, new: Any, at: str) -> Any:
    """Return the sum of two values: texts and lists one behind the other, numbers added, objects joined. Raises
    ValidationError for what has no sum."""
    if old is None:
        return new
    if isinstance(old, list):
        return old + (new if isinstance(new, list) else [new])
    if isinstance(old, str) and isinstance(new, str):
        return old + new
    if isinstance(old, dict) and isinstance(new, dict):
        return old | new
    if _is_number(old) and _is_number(new):
        return old + new
    raise ValidationError(f"patch: {at} is {_kind(old)}: {_kind(new)} cannot be added to it", field="patch")


def missing(at: str, step: Step, value: Any) -> ValidationError:
    """Return the error for a field that is not there, with what is."""
    nearest: str | None = None
    if isinstance(value, list):
        told = f"{at} is a list of {len(value)}"
    else:
        names = [str(each) for each in value]
        close = difflib.get_close_matches(str(step), names, 1, 0.5)
        nearest = f"{at}.{close[0]}" if close else None
        some = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        told = f"the nearest is {nearest}" if nearest else f"it has {some or 'no fields'}"
    return ValidationError(f"patch: {at} has no {step!r}: {told}", field="patch", nearest=nearest)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    """Return what kind of value it is, in the words of JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names = ((str, "a text"), (list, "a list"), (dict, "an object"), ((int, float), "a number"))
    return next((name for kind, name in names if isinstance(value, kind)), type(value).__name__)
