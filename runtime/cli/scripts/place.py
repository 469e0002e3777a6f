"""Shows the line of a script that an error came from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenroom.storage.errors import ScriptError

__all__ = ["line_of", "source_line"]

_WIDEST = 160
_BEFORE = 60  # columns shown left of the place in a line that is too long


def line_of(error: ScriptError, source: str) -> str | None:
    """Return the line of the source that an error came from, as `source_line`. Where the language knows the column, the
    traceback has it."""
    line = error.fields.get("line")
    place = re.search(rf":{line}:(\d+)\b", str(error.fields.get("traceback") or ""))
    return source_line(source, line, int(place[1]) if place is not None else None)


def source_line(source: str, line: int | None, column: int | None = None) -> str | None:
    """Return a line of the source with its number, and below it a mark at the column, if one is known.

    None where there is no such line.
    """
    lines = source.split("\n")
    if line is None or not 1 <= line <= len(lines):
        return None
    text = lines[line - 1].rstrip("\r")
    if not text.strip():
        return None
    at = min(column - 1, len(text)) if column is not None and column > 0 else None
    if len(text) > _WIDEST:
        start = max(0, at - _BEFORE) if at is not None else 0
        end = start + _WIDEST
        cut_left, cut_right = "…" * (start > 0), "…" * (end < len(text))
        text = cut_left + text[start:end] + cut_right
        at = at - start + len(cut_left) if at is not None else None
    shown = f"{line:>4} | {text}"
    if at is None:
        return shown
    # A tab stays one below the line, so that the mark stands where the column does.
    below = "".join("\t" if each == "\t" else " " for each in text[:at])
    return f"{shown}\n     | {below}^"
