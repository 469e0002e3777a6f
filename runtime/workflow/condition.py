"""Evaluates conditions of workflows."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from greenroom.runtime.model.template import filled, uses_state
from greenroom.runtime.model.workflow import Condition
from greenroom.storage.codec.records import Value
from greenroom.storage.errors import CallFailed, GreenroomError, ValidationError

__all__ = ["function_in", "holds", "is_open"]

_FALSE: Final = ("", "false", "0", "null")
# Lazy and within 1000 characters, so that a long text without an operator is left quickly.
_COMPARED: Final = re.compile(r"\s*+(.{1,1000}?)\s*+(==|!=|~=|>=|<=|>|<|\scontains\s)\s*+(.{0,1000})", re.DOTALL)
_NUMBER: Final = re.compile(r"[+-]?\d{1,300}(\.\d{1,300})?")
_QUOTED: Final = re.compile(r"""(["'])(.*)\1""", re.DOTALL)
_WORDS: Final[Mapping[str, Value]] = {"true": True, "false": False, "null": None, "nil": None}
_ORDERS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


Known = Callable[[str | None, str | None], Value]


def is_open(condition: Condition) -> bool:
    """Return whether a condition may give another answer the next time: one that asks a function, a tool, an agent or
    the state."""
    asks = isinstance(condition, Mapping) and ("tool" in condition or "agent" in condition)
    return asks or callable(condition) or uses_state(condition) or any(map(is_open, _parts(condition)))


def function_in(condition: Condition) -> Callable[..., Any] | None:
    """Return a function that a condition asks, if it asks any."""
    if callable(condition):
        return condition
    return next((found for part in _parts(condition) if (found := function_in(part)) is not None), None)


def _parts(condition: Condition) -> list[Any]:
    if not isinstance(condition, Mapping):
        return []
    parts = [part for name in ("all", "any") for part in condition.get(name, ())]
    return [*parts, condition["not"]] if "not" in condition else parts


def holds(
    condition: Condition, known: Known, outputs: Mapping[str, Value], call: Callable[[Mapping[str, Any]], Value]
) -> bool:
    """Return whether a condition holds. `known` gives the values of placeholders, `outputs` the outputs by step; `call`
    makes the call of a condition that is one.

    Raises ValidationError for unknown placeholders and values that cannot be compared, CallFailed if a function fails.
    """
    if isinstance(condition, bool):
        return condition
    if isinstance(condition, str):
        compared = _COMPARED.fullmatch(condition)
        if compared is not None:
            left, right = (_side(compared[number], known) for number in (1, 3))
            return _ordered(compared[2].strip(), left, right)
        return _true(filled(condition, known))
    if isinstance(condition, Mapping):
        if "tool" in condition or "agent" in condition:
            return _true(call(condition))
        if "not" in condition:
            return not holds(condition["not"], known, outputs, call)
        if "all" in condition:
            return all(holds(each, known, outputs, call) for each in condition["all"])
        if "any" in condition:
            return any(holds(each, known, outputs, call) for each in condition["any"])
        test, other = next((key, filled(each, known)) for key, each in condition.items() if key != "value")
        return _compare(test, filled(condition["value"], known), other)
    try:
        return bool(condition(dict(outputs)))
    except GreenroomError:
        raise
    except Exception as error:
        raise CallFailed(
            f"the condition of a workflow failed: {type(error).__name__}",
            kind="function",
            name="condition",
            error=type(error).__name__,
        ) from error


def _true(value: Value) -> bool:
    return value.lower() not in _FALSE if isinstance(value, str) else bool(value)


def _side(text: str, known: Callable[[str | None, str | None], Value]) -> Value:
    """Return one side of a comparison: a placeholder's value, a number, a quoted text, true, false, null, or the text
    itself. What a placeholder gives is not read again."""
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        return filled(quoted[2], known)
    if text in _WORDS:
        return _WORDS[text]
    value = filled(text, known)
    return value if value is not text else _as_number(text)


def _as_number(value: Value) -> Value:
    """Return a text that is a number as one, and any other value as it is."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value) if "." in value else int(value)
    return value


def _ordered(test: str, left: Value, right: Value) -> bool:
    if isinstance(left, str) != isinstance(right, str):
        left, right = _as_number(left), _as_number(right)
    if test in ("==", "!=", "~="):
        return (left == right) is (test == "==")
    try:
        if test == "contains":
            return right in left
        return bool(_ORDERS[test](left, right))
    except TypeError:
        raise _incomparable(test) from None


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
        raise _incomparable(test) from None


def _incomparable(test: str) -> ValidationError:
    return ValidationError(f"condition: these values cannot be compared by {test!r}", field="condition")
