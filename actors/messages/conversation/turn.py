"""`Turn`: one turn of a conversation, as it is read from the journal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from greenroom.storage.codec.records import Json, Value, unpack_value
from greenroom.storage.common.message_text import text_of_message
from greenroom.storage.common.times import iso_time, utc_time
from greenroom.storage.errors import shown

__all__ = ["Turn", "stored_turn"]

_FIELDS: Final = (
    "sequence",
    "role",
    "content",
    "created_at",
    "name",
    "tool_calls",
    "tool_call_id",
    "metadata",
    "edited_at",
    "partial",
)


class Turn:
    """One turn of a conversation, known to users as `Message`. It cannot be changed.

    `sequence` is the sequence of the event that began it, by which it is edited and retracted. `content` is text, a
    list of parts, or None. `created_at` and `edited_at` are aware UTC; `edited_at` is None if it was never edited. A
    turn is `partial` while it is being streamed, and stays so if its stream was broken off.
    """

    # Reading a long conversation makes many turns, of which most fields are never looked at: so fields are kept as they
    # are stored, and decoded when they are first read.
    __slots__ = ("_content", "_created", "_data", "_edited", "_partial", "_sequence")

    _sequence: int
    _created: int | datetime
    _data: dict[str, Any]
    """Role, name, tool_call_id, tool_calls and metadata, the last two encoded or not."""
    _content: Any
    """Encoded if it is bytes, which no decoded content is."""
    _edited: int | datetime | None
    _partial: bool

    def __init__(
        self,
        sequence: int,
        role: str,
        content: str | list[Value] | None,
        created_at: datetime,
        name: str | None = None,
        tool_calls: list[Value] | None = None,
        tool_call_id: str | None = None,
        metadata: Mapping[str, Value] | None = None,
        *,
        edited_at: datetime | None = None,
        partial: bool = False,
    ) -> None:
        self._sequence = sequence
        self._created = created_at
        self._data = {
            "role": role,
            "name": name,
            "tool_calls": tool_calls,
            "tool_call_id": tool_call_id,
            "metadata": dict(metadata) if metadata is not None else {},
        }
        self._content = content
        self._edited = edited_at
        self._partial = partial

    @property
    def sequence(self) -> int:
        return self._sequence

    @property
    def role(self) -> str:
        role: str = self._data["role"]
        return role

    @property
    def content(self) -> str | list[Json] | None:
        content = self._content
        if content.__class__ is bytes:
            content = self._content = _decoded(content)
        return content  # type: ignore[no-any-return]

    @property
    def created_at(self) -> datetime:
        created = self._created
        return utc_time(created) if isinstance(created, int) else created

    @property
    def name(self) -> str | None:
        return self._data.get("name")

    @property
    def tool_calls(self) -> list[Json] | None:
        calls = self._data.get("tool_calls")
        if calls.__class__ is bytes:
            calls = self._data["tool_calls"] = unpack_value(calls)
        return calls

    @property
    def tool_call_id(self) -> str | None:
        return self._data.get("tool_call_id")

    @property
    def metadata(self) -> dict[str, Json]:
        metadata = self._data.get("metadata")
        if metadata.__class__ is not dict:
            metadata = self._data["metadata"] = unpack_value(metadata) if metadata else {}
        return metadata

    @property
    def edited_at(self) -> datetime | None:
        edited = self._edited
        return utc_time(edited) if isinstance(edited, int) else edited

    @property
    def partial(self) -> bool:
        return self._partial

    @property
    def text(self) -> str:
        """The text of the turn: its content, or the texts of its parts joined without separators. If the content has no
        text: the turn's refusal, spoken words or reasoning."""
        return text_of_message(self.content, self.metadata)

    def to_dict(self) -> dict[str, Json]:
        """Return every field by name, with times in RFC 3339."""
        row: dict[str, Value] = {name: getattr(self, name) for name in _FIELDS}
        row["created_at"] = iso_time(self.created_at)
        row["edited_at"] = iso_time(self.edited_at)
        return row

    def __repr__(self) -> str:
        return f"<Message {self.sequence} {shown(self.role)}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Turn):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _FIELDS)

    __hash__ = None  # type: ignore[assignment]  # a turn has lists and dicts


def stored_turn(
    sequence: int, time: int, data: dict[str, Any], content: Any, edited: int | None = None, partial: bool = False
) -> Turn:
    """Return a turn from what is stored: times in ns since the epoch, and fields that may be encoded."""
    turn = _new(Turn)
    turn._sequence = sequence
    turn._created = time
    turn._data = data
    turn._content = content
    turn._edited = edited
    turn._partial = partial
    return turn


_new: Final = Turn.__new__
_TEXT_AT: Final = {**dict.fromkeys(range(0xA0, 0xC0), 1), 0xD9: 2, 0xDA: 3, 0xDB: 5}
"""Where the text of an encoded text begins, by its first byte."""


def _decoded(content: bytes) -> Any:
    begin = _TEXT_AT.get(content[0])
    if begin is None:
        return unpack_value(content)
    return content[begin:].decode("utf-8", "surrogatepass")
