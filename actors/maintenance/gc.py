"""`gc`: find orphaned and missing records in the bookkeeping of the store, repair them, and report the repairs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from greenroom.actors.maintenance.verification.findings import Problem, Progress
from greenroom.actors.maintenance.verification.verify import care_for
from greenroom.actors.store import ArtifactStore
from greenroom.actors.supervisor.supervisor import Supervisor

__all__ = ["GcReport", "collect"]


@dataclass(frozen=True, slots=True)
class GcReport:
    """The result of `gc`. Sizes are bytes of stored content; `compact` gives them back to the disk."""

    repaired: tuple[Problem, ...]
    """Everything that was orphaned, missing or wrong, and how it was repaired."""
    remaining: tuple[Problem, ...]
    """Damage that `gc` does not repair: `verify(repair=True)` does."""
    checked: dict[str, int] = field(default_factory=dict)
    freed_bytes: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """The number of repaired things by kind."""
        return dict(Counter(problem.kind for problem in self.repaired))

    def to_dict(self) -> dict[str, Any]:
        """Return every field by name as JSON values."""
        return {
            "counts": self.counts,
            "freed_bytes": self.freed_bytes,
            "repaired": [asdict(each) for each in self.repaired],
            "remaining": [{"kind": p.kind, "where": p.where, "detail": p.detail} for p in self.remaining],
            "checked": dict(self.checked),
        }


def collect(store: ArtifactStore, supervisor: Supervisor, on_progress: Progress | None = None) -> GcReport:
    """Repair what the journals tell how to, without reading content. Sessions may be at work meanwhile: each repair is
    decided and made in one turn of the writer, and content on its way into the store is left alone."""
    report = care_for(store, supervisor, hashing=False, mending=False, repair=True, on_progress=on_progress)
    return GcReport(
        repaired=tuple(problem for problem in report.problems if problem.repaired is not None),
        remaining=tuple(problem for problem in report.problems if problem.repaired is None),
        checked=report.checked,
        freed_bytes=report.freed_bytes,
    )
