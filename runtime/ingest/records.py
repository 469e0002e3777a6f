"""The plain data that passes from the readers to the loader."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: Longest record (one line, one item of a list, one document) that is read, in bytes of the file.
MAX_RECORD_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """One JSON value found in a file, and where: ``line 3``, ``index 2`` or ``document``."""

    position: str
    value: Any
    repaired: int = 0  # lone surrogates replaced by U+FFFD
    size: int = 0  # bytes of the file it was read from


@dataclass(frozen=True, slots=True)
class Fault:
    """A place in a file that holds no readable record, and why."""

    position: str
    reason: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, in the shape of `Session.add_message`."""

    role: str
    content: str | list[Any] | None
    name: str | None = None
    tool_calls: list[Any] | None = None
    tool_call_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text of the turn: its content, or the texts of its parts put together with nothing between."""
        if self.content is None:
            return ""
        if isinstance(self.content, str):
            return self.content
        return "".join(_text_of_part(part) for part in self.content)


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of one record; `extra` holds the record's other keys, `format` names its layout."""

    format: str
    turns: list[Turn]
    extra: dict[str, Any] = field(default_factory=dict)


class UnknownRecord(ValueError):
    """The record is JSON but no conversation; the text says what is missing and where."""


def _text_of_part(part: Any) -> str:
    if isinstance(part, str):
        return part
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""
