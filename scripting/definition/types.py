"""What the parameters and options of functions hold, and how scripts may spell it: a whole number as a float, a number
in place of a text, as Lua converts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from greenroom.runtime import ValidationError

from .callback import Callback

__all__ = [
    "ANYTHING",
    "CONTENT",
    "FLAG",
    "FUNCTION",
    "NUMBER",
    "TABLE",
    "TEXT",
    "TEXTS",
    "TYPES",
    "WHOLE",
    "Content",
    "Flag",
    "Function",
    "Json",
    "Number",
    "Table",
    "Text",
    "Texts",
    "Type",
    "Whole",
    "as_list",
    "as_text",
    "as_texts",
    "as_whole",
]

Text: TypeAlias = Any
"""Annotates a parameter that is a text: a number stands for its digits."""
Whole: TypeAlias = Any
"""Annotates a parameter that is a whole number: a float without a fraction stands for it."""
Number: TypeAlias = Any
"""Annotates a parameter that is a number."""
Flag: TypeAlias = Any
"""Annotates a parameter that is true or false."""
Content: TypeAlias = Any
"""Annotates a parameter that is the content of an artifact or a file: bytes, or a text."""
Texts: TypeAlias = Any
"""Annotates a parameter that is a list of texts."""
Table: TypeAlias = Any
"""Annotates a parameter that is a table."""
Json: TypeAlias = Any
"""Annotates a parameter that is any plain value."""
Function: TypeAlias = Any
"""Annotates a parameter that is a function of the script."""
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


def _as_content(value: Any) -> Any:
    return value.encode("utf-8", "surrogatepass") if type(value) is str else as_text(value)


def _same(value: Any) -> Any:
    return value


class Type:
    """A kind of value: its name in the reference and in errors, how other spellings of it are converted, and which
    Python types it then has (any, without `kinds`)."""

    __slots__ = ("_kinds", "convert", "name", "needed")

    def __init__(
        self,
        name: str,
        convert: Callable[[Any], Any] = _same,
        kinds: tuple[type, ...] = (),
        needed: str | None = None,
    ) -> None:
        self.name = name
        self.convert = convert
        self.needed = needed or name
        self._kinds = kinds

    def __repr__(self) -> str:
        return self.name

    def read(self, value: Any, function: str, parameter: str) -> Any:
        """Return the value as the host takes it. Raises ValidationError naming the function and the parameter."""
        value = self.convert(value)
        if self._kinds and type(value) not in self._kinds:
            shown = type(value).__name__
            raise ValidationError(f"{function}: {parameter}: {self.needed} is needed, not {shown}", field=parameter)
        return value


ANYTHING: Final = Type("any value", as_whole)
TEXT: Final = Type("text", as_text)
WHOLE: Final = Type("whole number", as_whole)
NUMBER: Final = Type("number")
FLAG: Final = Type("boolean")
CONTENT: Final = Type("content", _as_content)
TEXTS: Final = Type("list of texts", as_texts)
TABLE: Final = Type("table")
JSON: Final = Type("any value")
FUNCTION: Final = Type("function", _same, (Callback,), "a function")
TYPES: Final[Mapping[str, Type]] = {
    "Text": TEXT,
    "Whole": WHOLE,
    "Number": NUMBER,
    "Flag": FLAG,
    "Content": CONTENT,
    "Texts": TEXTS,
    "Table": TABLE,
    "Json": JSON,
    "Function": FUNCTION,
}
"""The types by the annotations of parameters."""
