"""What a search finds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.codec.records import Value
from greenroom.storage.common.arguments import as_text
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.times import iso_time

__all__ = ["KINDS", "Document", "FollowedSession", "Found", "Kind", "SearchHit"]

Kind = Literal["message", "artifact", "name"]
KINDS: Final[tuple[Kind, ...]] = ("message", "artifact", "name")
"""What can be found; the places in this list stand for them in the index."""

_MOST: Final = 255


class Document(NamedTuple):
    """One text of a session: a turn by its sequence, an artifact by its number, or (0) its name and description."""

    kind: int
    number: int
    version: int
    """The newest event of a turn: a text of another version is not this one."""
    title: str
    body: str


class FollowedSession(NamedTuple):
    """How far a session is indexed: its id in the file, the last event that was read, and the time of that event."""

    id: int
    position: int
    mark: int


class Found(NamedTuple):
    """A text in which the words stand, as the index knows it."""

    place: int
    session: bytes
    kind: int
    number: int
    version: int
    score: float


@dataclass(frozen=True, slots=True, repr=False)
class SearchHit:
    """A text that a search has found: a turn of a conversation, an artifact, or the name or description of a session.

    `snippet` is the part of the text around the first hits, as it was written, and `marks` are the (begin, end) of the
    hits in it. A higher `score` is a better hit; scores of different searches cannot be compared.
    """

    kind: Kind
    session_id: str
    score: float
    snippet: str
    marks: tuple[tuple[int, int], ...]
    created_at: datetime
    """When the turn, the artifact or the session was created, aware UTC."""
    sequence: int | None = None
    """Names the turn, for a message."""
    role: str | None = None
    """Who said it, for a message."""
    artifact: ArtifactId | None = None
    name: str | None = None
    """The name of the artifact, or of the session if its name or description was found."""

    def __repr__(self) -> str:
        return f"<SearchHit {self.kind} of {self.session_id}, score {self.score:g}>"

    @checked
    def marked(self, begin: str = "**", end: str = "**") -> str:
        """Return the snippet with these texts around each hit. Raises ValidationError."""
        begin, end = as_text("begin", begin, _MOST, empty=True), as_text("end", end, _MOST, empty=True)
        parts: list[str] = []
        at = 0
        for first, last in self.marks:
            parts += [self.snippet[at:first], begin, self.snippet[first:last], end]
            at = last
        return "".join([*parts, self.snippet[at:]])

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name, with the time in RFC 3339 and the artifact as the text of its id."""
        row: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        row["created_at"] = iso_time(self.created_at)
        row["artifact"] = str(self.artifact) if self.artifact is not None else None
        row["marks"] = [list(mark) for mark in self.marks]
        return row
