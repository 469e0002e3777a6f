"""Patterns for the types of events: `*` stands for one segment, `**` for any number of segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from greenroom.storage.errors import ValidationError

__all__ = ["EventPattern"]

MAX_PATTERN: Final = 255


class EventPattern:
    """A pattern for dotted types, like `artifact.*`, `custom.**`, `**.failed` or `**`.

    `**` also stands for no segment at all, so that `custom.**` matches `custom`. A `*` next to other characters stands
    for any part of one segment (`tool.re*`). Raises ValidationError for a pattern that can match no type.
    """

    __slots__ = ("_segments", "text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise ValidationError(f"pattern: text is needed, this is {type(text).__name__}", field="pattern")
        if not 0 < len(text) <= MAX_PATTERN:
            raise ValidationError(f"pattern: 1 to {MAX_PATTERN} characters, this has {len(text)}", field="pattern")
        self.text = text
        self._segments = text.split(".")
        if "" in self._segments:
            raise ValidationError(
                "pattern: segments between dots must not be empty, as in artifact.* or custom.**", field="pattern"
            )

    def __repr__(self) -> str:
        return f"EventPattern({self.text!r})"

    def matches(self, type_: str) -> bool:
        """Return whether a type matches. The cost is bounded by the product of the two lengths."""
        return _fits(self._segments, type_.split("."), "**", _segment_fits)


def _segment_fits(pattern: str, segment: str) -> bool:
    if "*" not in pattern:
        return pattern == segment
    return _fits(pattern, segment, "*", str.__eq__)


def _fits(pattern: Sequence[str], items: Sequence[str], any_: str, fits: Callable[[Any, Any], bool]) -> bool:
    """Match with wildcards for any number of items. Only the last wildcard needs to be tried again, so this never takes
    more than quadratic time, whatever the pattern."""
    at = place = 0
    retry = retry_place = -1
    while place < len(items):
        if at < len(pattern) and pattern[at] == any_:
            retry, retry_place = at, place
            at += 1
        elif at < len(pattern) and fits(pattern[at], items[place]):
            at, place = at + 1, place + 1
        elif retry >= 0:
            retry_place += 1
            at, place = retry + 1, retry_place
        else:
            return False
    return all(each == any_ for each in pattern[at:])
