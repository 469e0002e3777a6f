"""The types of the standard tools' inputs: words in any case, and numbers where a text is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

__all__ = ["AnyText", "TextOrBytes", "any_case"]


def any_case(same: Mapping[str, str] | None = None) -> BeforeValidator:
    """Return a validator that reads a word in any case, with "-" or a blank for "_". `same` maps other spellings."""

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        word = value.strip().lower().replace("-", "_").replace(" ", "_")
        return same.get(word, word) if same is not None else word

    return BeforeValidator(read)


def _text(value: Any) -> Any:
    """Return a number as the text that scripts show for it."""
    return str(value) if type(value) in (int, float) else value


AnyText = Annotated[str, BeforeValidator(_text)]
"""A text, or a number, which becomes its text."""
TextOrBytes = Annotated[str | bytes, BeforeValidator(_text)]
