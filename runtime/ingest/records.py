"""The data that readers pass to the loader."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from blake3 import blake3

from greenroom.storage.common.message_text import text_of_message

#: Longest record (one line, one item of a list, one document) that is read, in bytes of the file.
MAX_RECORD_BYTES = 64 * 1024 * 1024


class Readable(Protocol):
    """A stream of bytes, read once from beginning to end."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""


@dataclass(frozen=True, slots=True)
class Note:
    """Reports a changed field: its place in the record, and what was done.

    `lost`: the original value is not in the store. `moved`: it is kept whole, as an artifact.
    """

    field: str
    what: str
    lost: bool = False
    moved: bool = False


def numbered(number: int, notes: Iterable[Note]) -> list[Note]:
    """Return the notes of a value that is an item of a list."""
    return [replace(note, field=f"[{number}].{note.field}" if note.field else f"[{number}]") for note in notes]


@dataclass(frozen=True, slots=True)
class Record:
    """One JSON value of a file, and its position: ``line 3``, ``index 2`` or ``document``."""

    position: str
    value: Any
    notes: tuple[Note, ...] = ()
    salvaged: bool = False  # found in or after a broken value: counts only if it is a conversation
    size: int = 0
    """Characters in the file. 0 for the item of a list."""
    line: int = 0
    """The line of the file on which it begins; 0 for the item of a list."""
    last_line: int = 0
    """The line on which it ends."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A place in a file without a readable record, and the reason."""

    position: str
    reason: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Records of a file that are one conversation together, such as the lines of a log."""

    form: str
    items: list[Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, in the shape of `Session.add_message`, with the time at which it was said.

    `time` is in ns since the epoch; None if the recording has none.
    """

    role: str
    content: str | list[Any] | None
    name: str | None = None
    tool_calls: list[Any] | None = None
    tool_call_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    time: int | None = None

    @property
    def text(self) -> str:
        """The text of the turn: its content, or the joined texts of its parts."""
        return text_of_message(self.content, self.metadata)


@dataclass(frozen=True, slots=True)
class Branch:
    """A path of a conversation that the application does not show, such as the answer before a regenerated one.

    It leaves another path, `origin`: -1 is the conversation itself, other numbers are earlier branches. It begins with
    the first `shared` turns of that path, and `turns` are its own. `id` names its last message.
    """

    origin: int
    shared: int
    turns: list[Turn]
    id: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of one record; `extra` holds the record's other fields, `format` names its layout.

    `started` and `ended` are in ns since the epoch; None if the record has none. `source_id` is the id that the
    application gave the conversation.
    """

    format: str
    turns: list[Turn]
    extra: dict[str, Any] = field(default_factory=dict)
    title: str | None = None
    started: int | None = None
    ended: int | None = None
    notes: list[Note] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)
    source_id: str | None = None
    digest: str = ""
    """BLAKE3 of the record's value, independent of file, spacing and order of keys."""


class UnknownRecord(ValueError):
    """The record is JSON but not a conversation; the text says what is missing and where."""


class BesideConversations(UnknownRecord):
    """The record belongs to an application's export, and is known to be no conversation: an account, say."""


def digest_of(value: Any) -> str:
    """Return the BLAKE3 of a JSON value in hex, independent of spacing and order of keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return blake3(text.encode("utf-8", "surrogatepass")).hexdigest()
