"""`gc`: finds what is leaked or missing in the bookkeeping of the store, repairs it, and says what it did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from greenroom.actors.store import ArtifactStore
from greenroom.actors.supervisor.supervisor import Supervisor

from .findings import Problem, Progress
from .verify import care_for

__all__ = ["GcReport", "collect"]


@dataclass(frozen=True, slots=True)
class GcReport:
    """What `gc` did. Sizes are bytes of stored content; the disk gets them back with `compact`."""

    repaired: tuple[Problem, ...]
    """Every thing that was leaked, missing or wrong, and what was done about it."""
    remaining: tuple[Problem, ...]
    """Damage, which is not gc's: `verify(repair=True)` repairs it."""
    checked: dict[str, int] = field(default_factory=dict)
    freed_bytes: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Repaired things by kind."""
        return dict(Counter(problem.kind for problem in self.repaired))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "counts": self.counts,
            "freed_bytes": self.freed_bytes,
            "repaired": [
                {"kind": p.kind, "where": p.where, "detail": p.detail, "repaired": p.repaired} for p in self.repaired
            ],
            "remaining": [{"kind": p.kind, "where": p.where, "detail": p.detail} for p in self.remaining],
            "checked": dict(self.checked),
        }


def collect(store: ArtifactStore, supervisor: Supervisor, on_progress: Progress | None = None) -> GcReport:
    """Repair what the journals tell how to, without reading content. Sessions may be at work meanwhile: each repair
    is decided and made in one turn of the writer, and what is on its way into the store is left alone."""
    report = care_for(store, supervisor, hashing=False, mending=False, repair=True, on_progress=on_progress)
    return GcReport(
        repaired=tuple(problem for problem in report.problems if problem.repaired is not None),
        remaining=tuple(problem for problem in report.problems if problem.repaired is None),
        checked=report.checked,
        freed_bytes=report.freed_bytes,
    )
