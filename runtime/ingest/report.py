"""What an ingest did, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

#: How many skipped and repaired places are listed one by one; beyond that they are only counted.
MAX_LISTED = 10_000


@dataclass(frozen=True, slots=True)
class Skipped:
    """What did not go in: the file, the place in it (``line 3``, ``index 2``, ``document``), and why."""

    path: str
    position: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.position}: {self.reason}"


@dataclass(slots=True)
class IngestReport:
    """Counts of what went in, and every place that did not.

    `sessions`, `messages` and `artifacts` count what was stored; `session_ids` are the new sessions in file
    order. `repaired` lists records that went in with half surrogate pairs replaced by U+FFFD.
    `failed_paths` are files of which nothing went in. `skipped_count` counts also what is beyond the first
    `MAX_LISTED` of `skipped`.
    """

    sessions: int = 0
    messages: int = 0
    artifacts: int = 0
    bytes_read: int = 0
    skipped_count: int = 0
    session_ids: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    repaired: list[Skipped] = field(default_factory=list)
    failed_paths: list[str] = field(default_factory=list)
    duration: float = 0.0  # seconds

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return {
            "sessions": self.sessions,
            "messages": self.messages,
            "artifacts": self.artifacts,
            "bytes_read": self.bytes_read,
            "duration": round(self.duration, 6),
            "session_ids": list(self.session_ids),
            "skipped_count": self.skipped_count,
            "skipped": [_place(item) for item in self.skipped],
            "repaired": [_place(item) for item in self.repaired],
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


def _place(item: Skipped) -> dict[str, str]:
    return {"path": item.path, "position": item.position, "reason": item.reason}
