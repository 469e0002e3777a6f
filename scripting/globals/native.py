"""The functions that each language has itself: they stand here for the reference, completion and tests."""

from __future__ import annotations

from typing import Any

from greenroom.scripting.definition.examples import example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.shapes import FLAG, LIST, NOTHING, TEXT, VALUE
from greenroom.scripting.definition.types import Json, Text
from greenroom.scripting.definition.values import UNDEFINED

__all__ = ["JsonGlobal", "Print"]


class JsonGlobal:
    """Reads and writes JSON. `JSON.null` is the null of JSON."""

    NAME = "JSON"

    @export("parse", returns=VALUE, native=True, example=example('{"n": 1, "list": []}'))
    def parse(self, text: Text) -> Any:
        """Return the value of a JSON text. Errors name position, line and column."""

    @export("stringify", returns=TEXT, native=True, example=example({"n": 1}, 2))
    def stringify(self, value: Json, indent: Any = UNDEFINED) -> Any:
        """Return a value as JSON, with sorted keys."""

    @export("array", returns=LIST, native=True, example=example([]))
    def array(self, table: Any = UNDEFINED) -> Any:
        """Mark a table as a list, even if it is empty."""

    @export("is_null", returns=FLAG, native=True, example=example(None))
    def is_null(self, value: Json) -> Any:
        """Return whether a value is the null of JSON."""


class Print:
    """Prints to the script's output."""

    NAME = ""

    @export("print", returns=NOTHING, native=True, example=example("words", 7))
    def print(self, *values: Json) -> Any:
        """Add a line to the script's output: the values as texts, with tabs between them."""
