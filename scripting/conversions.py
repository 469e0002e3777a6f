"""How scripts may spell numbers and texts: a whole number as a float, a number in place of a text, as Lua converts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

__all__ = ["CONVERSIONS", "Text", "Whole", "as_list", "as_text", "as_texts", "as_whole"]

Text: TypeAlias = Any
"""Annotates a parameter that is a text: a number stands for its digits."""
Whole: TypeAlias = Any
"""Annotates a parameter that is a whole number: a float without a fraction stands for it."""
_MOST: Final = 2.0**63


def as_text(value: Any) -> Any:
    """Return a number as Lua writes it, and any other value as it is."""
    if type(value) is int:
        return str(value)
    if type(value) is not float:
        return value
    digits = f"{value:.14g}"
    return digits if set(digits) & set("e.nf") else f"{digits}.0"


def as_list(value: Any) -> Any:
    """Return an empty list for an empty table, which Lua does not tell from it, and any other value as it is."""
    return [] if isinstance(value, Mapping) and not value else value


def as_texts(value: Any) -> Any:
    """Return a list with its numbers as texts, and any other value as `as_list` does."""
    return [as_text(each) for each in value] if isinstance(value, list | tuple) else as_list(value)


def as_whole(value: Any) -> Any:
    """Return a float that is a whole number of 64 bits as an integer, and any other value as it is."""
    return int(value) if type(value) is float and value.is_integer() and -_MOST <= value < _MOST else value


CONVERSIONS: Final[Mapping[str, Callable[[Any], Any]]] = {"Text": as_text, "Whole": as_whole}
"""What becomes of a number that is given for a parameter, by the parameter's annotation."""
