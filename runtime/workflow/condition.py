"""Evaluates conditions of workflows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from greenroom.runtime.model.template import filled
from greenroom.runtime.model.workflow import Condition
from greenroom.storage.codec.records import Value
from greenroom.storage.errors import GreenroomError, InvalidOperation, ValidationError

__all__ = ["holds"]

_FALSE: Final = ("", "false", "0", "null")


def holds(condition: Condition, known: Callable[[str | None, str | None], Value], outputs: Mapping[str, Value]) -> bool:
    """Return whether a condition holds. `known` gives the values of placeholders, `outputs` the outputs by step.

    Raises ValidationError for unknown placeholders and values that cannot be compared, InvalidOperation if a function
    fails.
    """
    if isinstance(condition, str):
        value = filled(condition, known)
        return value.lower() not in _FALSE if isinstance(value, str) else bool(value)
    if isinstance(condition, Mapping):
        test, other = next((key, filled(each, known)) for key, each in condition.items() if key != "value")
        return _compare(test, filled(condition["value"], known), other)
    try:
        return bool(condition(dict(outputs)))
    except GreenroomError:
        raise
    except Exception as error:
        raise InvalidOperation(f"the condition of a workflow failed: {type(error).__name__}") from error


def _compare(test: str, value: Any, other: Any) -> bool:
    try:
        if test == "equals":
            return bool(value == other)
        if test == "not_equals":
            return bool(value != other)
        if test == "contains":
            return other in value
        return bool(value > other if test == "above" else value < other)
    except TypeError:
        raise ValidationError(f"condition: these values cannot be compared by {test!r}", field="condition") from None
