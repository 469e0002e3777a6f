"""The report and the progress of an ingest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

#: Limit of listed places of each kind; further ones are only counted.
MAX_LISTED = 10_000


@dataclass(frozen=True, slots=True)
class Skipped:
    """A place that was skipped or changed: the file, the position in it (``line 3``, ``index 2``, ``document``), the
    field there (empty for the whole record), and the reason or change."""

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
    """Counts what was ingested, and lists every place that was skipped or changed.

    `sessions` counts the conversations that were stored, and `session_ids` are their sessions in file order; `branches`
    counts the forks that have their other branches, and `branch_ids` are these. `messages` and `artifacts` count those
    of both. `duplicates` counts conversations that were in the store already; they count as ingested. `grown` lists
    conversations of which the store had another state, and has both now. `ignored` lists what exports have beside their
    conversations, such as the account. `skipped` lists places that were not ingested;
    `repaired` lists changed fields, and `replaced_count` counts those whose text is lost; `moved` lists fields kept
    whole as artifacts. `failed_paths` are files without any ingested record. Lists end after `MAX_LISTED`; counts do
    not. After a dry run, `sessions` and the others say what would have been stored.
    """

    dry_run: bool = False
    sessions: int = 0
    branches: int = 0
    messages: int = 0
    artifacts: int = 0
    bytes_read: int = 0
    duplicate_count: int = 0
    grown_count: int = 0
    ignored_count: int = 0
    skipped_count: int = 0
    repaired_count: int = 0
    replaced_count: int = 0
    moved_count: int = 0
    session_ids: list[str] = field(default_factory=list)
    branch_ids: list[str] = field(default_factory=list)
    duplicates: list[Skipped] = field(default_factory=list)
    grown: list[Skipped] = field(default_factory=list)
    ignored: list[Skipped] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    repaired: list[Skipped] = field(default_factory=list)
    moved: list[Skipped] = field(default_factory=list)
    failed_paths: list[str] = field(default_factory=list)
    duration: float = 0.0  # seconds

    @property
    def whole(self) -> bool:
        """Whether everything is in the store: nothing was skipped, and no repair lost any text."""
        return not self.skipped_count and not self.replaced_count

    @property
    def nothing(self) -> bool:
        """Whether nothing was ingested and nothing was in the store already."""
        return not self.sessions and not self.duplicate_count

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        row: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            listed = isinstance(value, list)
            row[each.name] = (
                [item.to_dict() if isinstance(item, Skipped) else item for item in value] if listed else value
            )
        return row | {"duration": round(self.duration, 6)}


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """The progress of an ingest. Bytes count over all files whose sizes are known beforehand."""

    path: str
    bytes_read: int
    bytes_total: int
    sessions: int
    messages: int
    skipped: int


OnProgress = Callable[[IngestProgress], None]
