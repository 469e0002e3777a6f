"""How a binding dresses what a function returns: a row that answers methods, a page that knows its total.

A shape says it once, for all languages. What crosses to a script is plain data; the binding adds the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

__all__ = [
    "COUNT",
    "DICT",
    "FLAG",
    "LIST",
    "NOTHING",
    "NUMBER",
    "TEXT",
    "TRUE",
    "VALUE",
    "Fluent",
    "Iterator",
    "Maybe",
    "Object",
    "Page",
    "Rows",
    "Shape",
    "Value",
    "plain",
]


class Value:
    """Plain data that needs no dress. `kind` says what it is, for the reference and the tests."""

    __slots__ = ("kind",)

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return self.kind


VALUE: Final = Value("any value")
TEXT: Final = Value("text")
COUNT: Final = Value("whole number")
NUMBER: Final = Value("number")
FLAG: Final = Value("boolean")
TRUE: Final = Value("true")
DICT: Final = Value("table")
LIST: Final = Value("list")
NOTHING: Final = Value("nothing")


class Object:
    """A row of data that also answers methods.

    A method is a function that is exported with `on=` this object, under all of its names, or one of `methods`, which
    gives the function ("Tool.invoke") for each name. It is called with the row's field `key` first; without a key, with
    its arguments alone. Methods may be called with the row as receiver or without (`row:name(x)`, `row.name(x)`).

    - `aliases`: other names of fields.
    - `hidden`: fields that the row has for the host, and does not show. They travel with it when it is given back.
    - `getters`: methods that return a hidden field, by their names.
    - `parts`: the shapes of fields.
    - `shows`: for a field that is a table, which of the row's fields it also answers where it has none of that name.
    - `within`: a field that is a table, whose fields the row answers where it has none of that name itself.
    - `text`: what the row is as a text: a field, or fields joined by ":".
    - `itself`: the name under which a row without such a field shows itself, so that `row.metadata.tags` is `row.tags`.
    """

    def __init__(
        self,
        name: str,
        key: str | None = None,
        *,
        methods: Mapping[str, str] | None = None,
        aliases: Mapping[str, str] | None = None,
        getters: Mapping[str, str] | None = None,
        hidden: tuple[str, ...] = (),
        parts: Mapping[str, Shape] | None = None,
        shows: Mapping[str, tuple[str, ...]] | None = None,
        within: str | None = None,
        text: str | tuple[str, ...] | None = None,
        itself: str | None = "metadata",
        fields: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.key = key
        self.methods = dict(methods or {})
        self.aliases = dict(aliases or {})
        self.getters = dict(getters or {})
        self.hidden = tuple(dict.fromkeys((*hidden, *self.getters.values())))
        self.parts: dict[str, Shape] = dict(parts or {})
        self.shows = dict(shows or {})
        self.within = within
        self.text = text
        self.itself = itself
        self.fields = fields
        """The names of all fields that a row can have, where they are known."""

    def __repr__(self) -> str:
        return self.name


class Rows:
    """A list of values of one shape."""

    def __init__(self, of: Shape) -> None:
        self.of = of

    def __repr__(self) -> str:
        return f"list of {self.of!r}"


class Page:
    """Rows with the fields `total`, `has_more` and `next_cursor`.

    The host returns a list, which is all there is, or a table of `rows` and these fields. Without a total, the function
    of the same global that `total` names counts it, with the same arguments, when it is read for the first time.
    """

    def __init__(self, of: Shape, total: str | None = None) -> None:
        self.of = of
        self.total = total

    def __repr__(self) -> str:
        return f"page of {self.of!r}"


class Maybe:
    """A value of this shape, or nothing."""

    def __init__(self, of: Shape) -> None:
        self.of = of

    def __repr__(self) -> str:
        return f"{self.of!r} or nothing"


class Fluent:
    """A builder: each method sets the option of its name and returns the builder. `lists` names the methods that add to
    a list instead, with the option that has it; a method of `ends` calls `function` with the options."""

    def __init__(self, name: str, function: str, ends: tuple[str, ...], lists: Mapping[str, str]) -> None:
        self.name = name
        self.function = function
        self.ends = ends
        self.lists = dict(lists)

    def __repr__(self) -> str:
        return self.name


class Iterator:
    """Values that come one by one, for a loop of the language. The host returns what `function` gets with each call; it
    returns nothing after the last value."""

    def __init__(self, name: str, function: str) -> None:
        self.name = name
        self.function = function

    def __repr__(self) -> str:
        return f"iterator over {self.name}"


Shape: TypeAlias = Value | Object | Rows | Page | Maybe | Fluent | Iterator


def plain(shape: Any) -> Any:
    """Return a shape without its `Maybe`."""
    while isinstance(shape, Maybe):
        shape = shape.of
    return shape
