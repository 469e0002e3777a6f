"""Conditions on the state of a moment, written as text: `variables.k == 3`. Nothing in them is run as code."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Final

from greenroom.storage.common.times import iso_time
from greenroom.storage.errors import ValidationError

__all__ = ["Condition"]

MAX_CONDITION: Final = 1000
"""Characters of a condition."""
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "contains": lambda found, wanted: wanted in found,
    "in": lambda found, wanted: found in wanted,
}
_SEGMENT: Final = r"""(?:[^\s.\[\]"=!<>]+|\["(?:[^"\\]|\\.)*"\]|\[-?\d+\])"""
_FORM: Final = re.compile(
    rf"\s*(?P<path>{_SEGMENT}(?:\.?{_SEGMENT})*)\s*"
    r"(?:(?P<operator>==|!=|<=|>=|<|>|\bcontains\b|\bin\b)\s*(?P<value>\S.*?)\s*|(?P<exists>\bexists)\s*)",
    re.DOTALL,
)
_PART: Final = re.compile(_SEGMENT)
_MISSING: Final = object()
_HELP: Final = (
    "a path, one of == != < <= > >= contains in, and a JSON value is needed, as in variables.k == 3 or"
    ' status == "failed";'
    " or a path and exists, as in variables.k exists"
)


class Condition:
    """A condition such as `variables.k == 3`, `status == "failed"`, `tags contains "urgent"`, `messages[-1].role in
    ["user", "tool"]` or `variables["a.b"] exists`.

    A path leads through the fields of a `PastState`. Where it leads nowhere, only `!=` holds; values that cannot be
    compared are unequal, and neither is less. Raises ValidationError for any other text.
    """

    __slots__ = ("_compare", "_path", "_wanted", "text")

    def __init__(self, text: str, field: str = "when") -> None:
        found = _FORM.fullmatch(text) if len(text) <= MAX_CONDITION else None
        if found is None:
            raise ValidationError(f"{field}: {_HELP}", field=field)
        self.text = text
        self._path = [_segment(each) for each in _PART.findall(found["path"])]
        self._compare = _OPERATORS[found["operator"]] if found["operator"] else None
        try:
            self._wanted = json.loads(found["value"]) if found["value"] else None
        except (ValueError, RecursionError):
            raise ValidationError(
                f'{field}: the value is not JSON (text needs double quotes, as in "failed"): {_HELP}', field=field
            ) from None

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"

    def __call__(self, state: object) -> bool:
        """Return whether the condition holds for a state."""
        found: Any = state
        for segment in self._path:
            found = _within(found, segment)
            if found is _MISSING:
                break
        if self._compare is None:
            return found is not _MISSING
        if found is _MISSING:
            return self._compare is operator.ne
        try:
            return bool(self._compare(_plain(found), self._wanted))
        except TypeError:
            return False


def _segment(text: str) -> str | int:
    if text.startswith("["):
        inner: str | int = json.loads(text[1:-1])
        return inner
    return text


def _within(value: Any, segment: str | int) -> Any:
    """Return the part of a value with this name or place."""
    if isinstance(value, Mapping):
        return value.get(segment if isinstance(segment, str) else str(segment), _MISSING)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        try:
            return value[int(segment)]
        except (ValueError, IndexError):
            return _MISSING
    if not isinstance(segment, str) or segment.startswith("_"):
        return _MISSING
    found = getattr(value, segment, _MISSING)
    return _MISSING if callable(found) else found


def _plain(value: Any) -> Any:
    """Return a value as JSON would have it, so that it can be compared with one."""
    if isinstance(value, datetime):
        return iso_time(value)
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, (tuple, set, frozenset)) else value
