"""The size of answers: whatever is stored, an answer is JSON of a size that a client and a model can take."""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["MAX_ANSWER", "MAX_PIECE", "MAX_VALUE", "bounded_row", "bounded_rows", "plain", "shortened", "text_piece"]

MAX_VALUE: Final = 8_000
"""The most characters of one value in an answer, as JSON."""
MAX_ANSWER: Final = 60_000
"""The most characters of all rows of an answer, as JSON."""
MAX_PIECE: Final = 64 * 1024
"""The most bytes or characters of a content that is read piece by piece."""


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=_encoded)


def _encoded(value: object) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return {"base64": base64.b64encode(value).decode()}
    return str(value)


def plain(value: object) -> Any:
    """Return a value as JSON has it: bytes as `{"base64": …}`, numbers that JSON does not have as text."""
    return json.loads(_as_json(value), parse_constant=str)


def shortened(value: object) -> Any:
    """Return a value as JSON has it, or, if it is longer than MAX_VALUE, its beginning and its length."""
    if value is None or isinstance(value, bool | int):
        return value
    text = value if isinstance(value, str) else _as_json(value)
    if len(text) <= MAX_VALUE:
        return value if isinstance(value, str) else json.loads(text, parse_constant=str)
    return {"cut": True, "characters": len(text), "beginning": text[:MAX_VALUE]}


def bounded_row(row: Mapping[str, object]) -> dict[str, Any]:
    """Return a row with every field shortened."""
    return {name: shortened(value) for name, value in row.items()}


def bounded_rows(rows: Iterable[Mapping[str, object]]) -> tuple[list[dict[str, Any]], bool]:
    """Return as many rows as fit into MAX_ANSWER, the first in any case, and whether these are all."""
    kept: list[dict[str, Any]] = []
    left = MAX_ANSWER
    for row in rows:
        short = bounded_row(row)
        left -= len(_as_json(short))
        if left < 0 and kept:
            return kept, False
        kept.append(short)
    return kept, True


def text_piece(data: bytes, *, last: bool) -> tuple[str, int] | None:
    """Return the text that a piece of UTF-8 begins with and how many bytes it is, or None if it is no text.

    A character that the end of the piece cuts is left for the next piece, unless it is the `last`.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(data, final=last)
    except UnicodeDecodeError:
        return None
    used = len(data) - len(decoder.getstate()[0])
    return None if "\x00" in text or (data and not used) else (text, used)
