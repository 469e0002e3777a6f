"""What the parameters and options of functions hold, and how scripts may spell it: a whole number as a float, a number
in place of a text, as Lua converts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from greenroom.runtime import ValidationError

from .callback import Callback
from .values import UNDEFINED

__all__ = [
    "ANYTHING",
    "ARTIFACT",
    "CONTENT",
    "FLAG",
    "FUNCTION",
    "ITEMS",
    "JSON",
    "NUMBER",
    "OTHER_SESSION",
    "PATH",
    "SESSION",
    "TABLE",
    "TEXT",
    "TEXTS",
    "TIME",
    "TYPES",
    "WHOLE",
    "ArtifactRef",
    "Content",
    "Flag",
    "Function",
    "Items",
    "Json",
    "Number",
    "OtherSession",
    "Path",
    "SessionRef",
    "Table",
    "Text",
    "Texts",
    "Time",
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
Items: TypeAlias = Any
"""Annotates a parameter that is a list; an empty table is an empty list."""
Table: TypeAlias = Any
"""Annotates a parameter that is a table."""
Json: TypeAlias = Any
"""Annotates a parameter that is any plain value; a missing one arrives as UNDEFINED."""
Function: TypeAlias = Any
"""Annotates a parameter that is a function of the script."""
SessionRef: TypeAlias = Any
"""Annotates a parameter that is a session: an id, or a row with one. Missing, null or "" means the current session."""
OtherSession: TypeAlias = Any
"""Annotates a parameter that is a session, which must be given."""
ArtifactRef: TypeAlias = Any
"""Annotates a parameter that is an artifact: an id, a row with one, the text of an id, or a name."""
Time: TypeAlias = Any
"""Annotates a parameter that is a time: RFC 3339 text, or seconds since the epoch."""
Path: TypeAlias = Any
"""Annotates a parameter that is the path of a file."""
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


def _as_session(value: Any) -> Any:
    if isinstance(value, Mapping):
        value = value.get("id")
    return UNDEFINED if value is None or value == "" else value


def _same(value: Any) -> Any:
    return value


class Type:
    """A kind of value.

    `name` is what the reference calls it, `needed` what errors ask for. `convert` reads other spellings; then the value
    has one of the Python types `kinds` (any, without them). A value that is missing or null is the parameter's default;
    a type that is `missing` takes it as it is.
    """

    __slots__ = ("convert", "kinds", "missing", "name", "needed")

    def __init__(
        self,
        name: str,
        convert: Callable[[Any], Any] = _same,
        kinds: tuple[type, ...] = (),
        *,
        needed: str | None = None,
        missing: bool = False,
    ) -> None:
        self.name = name
        self.convert = convert
        self.needed = needed or f"a {name}"
        self.kinds = kinds
        self.missing = missing

    def __repr__(self) -> str:
        return self.name

    def read(self, value: Any, function: str, parameter: str) -> Any:
        """Return the value as the host takes it. Raises ValidationError naming the function and the parameter."""
        value = self.convert(value)
        if self.kinds and type(value) not in self.kinds and not (self.missing and value is UNDEFINED):
            shown = _SHOWN.get(type(value), type(value).__name__)
            raise ValidationError(f"{function}: {parameter}: {self.needed} is needed, not {shown}", field=parameter)
        return value


_SHOWN: Final[Mapping[type, str]] = {
    str: "a text",
    bytes: "bytes that are no text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    dict: "a table",
    list: "a list",
    type(None): "null",
    Callback: "a function",
}

ANYTHING: Final = Type("value", as_whole)
"""An option whose values the runtime checks."""
TEXT: Final = Type("text", as_text, (str,), needed="text")
WHOLE: Final = Type("whole number", as_whole, (int,))
NUMBER: Final = Type("number", kinds=(int, float))
FLAG: Final = Type("boolean", kinds=(bool,))
CONTENT: Final = Type("content", _as_content, (bytes, str), needed="content (a text or bytes)")
TEXTS: Final = Type("list of texts", as_texts, (list, tuple))
ITEMS: Final = Type("list", as_list, (list, tuple))
TABLE: Final = Type("table", kinds=(dict, list))
JSON: Final = Type("value", missing=True)
FUNCTION: Final = Type("function", kinds=(Callback,))
SESSION: Final = Type("session", _as_session, (str,), needed="the id of a session", missing=True)
OTHER_SESSION: Final = Type("session", _as_session, (str,), needed="the id of a session")
ARTIFACT: Final = Type("artifact", as_text, (str, dict), needed="an artifact's id or name")
TIME: Final = Type("time", kinds=(str, int, float), needed="a time (RFC 3339 text, or seconds since the epoch)")
PATH: Final = Type("path", kinds=(str,), needed="the path of a file")
TYPES: Final[Mapping[str, Type]] = {
    "Text": TEXT,
    "Whole": WHOLE,
    "Number": NUMBER,
    "Flag": FLAG,
    "Content": CONTENT,
    "Texts": TEXTS,
    "Items": ITEMS,
    "Table": TABLE,
    "Json": JSON,
    "Function": FUNCTION,
    "SessionRef": SESSION,
    "OtherSession": OTHER_SESSION,
    "ArtifactRef": ARTIFACT,
    "Time": TIME,
    "Path": PATH,
}
"""The types by the annotations of parameters. A parameter without one of them takes any value, as `Json`."""
