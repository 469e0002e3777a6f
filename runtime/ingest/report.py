"""What an ingest did, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

#: How many places of each kind are listed one by one; beyond that they are only counted.
MAX_LISTED = 10_000


@dataclass(frozen=True, slots=True)
class Skipped:
    """What did not go in as it stood: the file, the place in it (``line 3``, ``index 2``, ``document``), the field
    there (empty for all of it), and why or how."""

    path: str
    position: str
    reason: str
    field: str = ""

    def __str__(self) -> str:
        where = f"{self.position}, {self.field}" if self.field else self.position
        return f"{self.path}: {where}: {self.reason}"

    def to_dict(self) -> dict[str, str]:
        """Return every field by name."""
        return {"path": self.path, "position": self.position, "field": self.field, "reason": self.reason}


@dataclass(slots=True)
class IngestReport:
    """Counts of what went in, and every place that did not, or not as it stood.

    `sessions`, `messages` and `artifacts` count what was stored; `session_ids` are the new sessions in file order.
    Conversations that were there already are in `duplicates` and pass for ingested. `skipped` are places of which
    nothing went in; `repaired` fields that went in changed, `replaced_count` those of them whose text is lost; `moved`
    fields that are kept whole as artifacts. `failed_paths` are files of which nothing went in. The counts go on where
    the lists end, after `MAX_LISTED`.
    """

    sessions: int = 0
    messages: int = 0
    artifacts: int = 0
    bytes_read: int = 0
    duplicate_count: int = 0
    skipped_count: int = 0
    repaired_count: int = 0
    replaced_count: int = 0
    moved_count: int = 0
    session_ids: list[str] = field(default_factory=list)
    duplicates: list[Skipped] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    repaired: list[Skipped] = field(default_factory=list)
    moved: list[Skipped] = field(default_factory=list)
    failed_paths: list[str] = field(default_factory=list)
    duration: float = 0.0  # seconds

    @property
    def whole(self) -> bool:
        """Whether everything is in the store: nothing was skipped, and no text was lost to a repair."""
        return not self.skipped_count and not self.replaced_count

    @property
    def nothing(self) -> bool:
        """Whether nothing went in and nothing was there."""
        return not self.sessions and not self.duplicate_count

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-able values."""
        return {
            "sessions": self.sessions,
            "messages": self.messages,
            "artifacts": self.artifacts,
            "bytes_read": self.bytes_read,
            "duration": round(self.duration, 6),
            "session_ids": list(self.session_ids),
            "duplicate_count": self.duplicate_count,
            "duplicates": [item.to_dict() for item in self.duplicates],
            "skipped_count": self.skipped_count,
            "skipped": [item.to_dict() for item in self.skipped],
            "repaired_count": self.repaired_count,
            "replaced_count": self.replaced_count,
            "repaired": [item.to_dict() for item in self.repaired],
            "moved_count": self.moved_count,
            "moved": [item.to_dict() for item in self.moved],
            "failed_paths": list(self.failed_paths),
        }


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """How far an ingest is; bytes count over all files, as far as their sizes are known beforehand."""

    path: str
    bytes_read: int
    bytes_total: int
    sessions: int
    messages: int
    skipped: int


OnProgress = Callable[[IngestProgress], None]
