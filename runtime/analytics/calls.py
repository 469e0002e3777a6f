"""Calls of tools, agents, hooks and scripts: how many, how they ended, how long they took, what they used."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

from .durations import Distribution, Values

__all__ = ["OTHER", "CallMetrics", "CallTable", "CallTally", "TableTally", "counted"]

MAX_NAMES: Final = 500
OTHER: Final = "(other)"
"""What is counted under no name of its own, since there are more names than are kept apart."""


@dataclass(frozen=True, slots=True)
class CallMetrics:
    """Calls that were begun (`calls`), and how those that ended did. `unanswered` have no return: they are still at
    work, or their process died. `success_rate` is of those that ended, None without any. `seconds` they took. Tokens
    and cost are those that agents told."""

    calls: int = 0
    succeeded: int = 0
    failed: int = 0
    seconds: Distribution = field(default_factory=Distribution)
    tokens: int = 0
    cost_usd: float = 0.0

    @property
    def unanswered(self) -> int:
        return max(0, self.calls - self.succeeded - self.failed)

    @property
    def success_rate(self) -> float | None:
        ended = self.succeeded + self.failed
        return self.succeeded / ended if ended else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "calls": self.calls,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "unanswered": self.unanswered,
            "success_rate": self.success_rate,
            "seconds": self.seconds.to_dict(),
            "tokens": self.tokens,
            "cost_usd": self.cost_usd,
        }


@dataclass(frozen=True, slots=True)
class CallTable:
    """Calls in total, and by name, the most called first. More than 500 names: the rest is under "(other)"."""

    total: CallMetrics = field(default_factory=CallMetrics)
    by_name: dict[str, CallMetrics] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "total": self.total.to_dict(),
            "by_name": {name: each.to_dict() for name, each in self.by_name.items()},
        }


class CallTally:
    """Counts the calls of one name."""

    __slots__ = ("calls", "cost", "failed", "seconds", "succeeded", "tokens")

    def __init__(self) -> None:
        self.calls = 0
        self.succeeded = 0
        self.failed = 0
        self.seconds = Values()
        self.tokens = 0
        self.cost = 0

    def end(self, success: bool, seconds: float | None, tokens: int = 0, cost: int = 0) -> None:
        """Count how one has ended. The cost is in micro-dollars."""
        if success:
            self.succeeded += 1
        else:
            self.failed += 1
        if seconds is not None and math.isfinite(seconds):
            self.seconds.add(seconds)
        self.tokens += tokens
        self.cost += cost

    def merge(self, other: CallTally) -> None:
        self.calls += other.calls
        self.succeeded += other.succeeded
        self.failed += other.failed
        self.seconds.merge(other.seconds)
        self.tokens += other.tokens
        self.cost += other.cost

    def metrics(self) -> CallMetrics:
        return CallMetrics(
            self.calls,
            self.succeeded,
            self.failed,
            self.seconds.distribution(),
            self.tokens,
            self.cost / 1_000_000,
        )


class TableTally:
    """Counts calls by name."""

    __slots__ = ("_by_name",)

    def __init__(self) -> None:
        self._by_name: dict[str, CallTally] = {}

    def of(self, name: str) -> CallTally:
        found = self._by_name.get(name)
        if found is None:
            name = _kept(self._by_name, name)
            found = self._by_name.setdefault(name, CallTally())
        return found

    def merge(self, other: TableTally) -> None:
        for name, each in other._by_name.items():
            self.of(name).merge(each)

    def total(self) -> CallTally:
        whole = CallTally()
        for each in self._by_name.values():
            whole.merge(each)
        return whole

    def table(self) -> CallTable:
        by_name = sorted(self._by_name.items(), key=lambda each: (-each[1].calls, each[0]))
        return CallTable(self.total().metrics(), {name: each.metrics() for name, each in by_name})


def counted(counts: dict[str, int], name: str, more: int = 1) -> None:
    """Count something under its name; beyond 500 names, under "(other)"."""
    name = _kept(counts, name)
    counts[name] = counts.get(name, 0) + more


def _kept(table: dict[str, Any], name: str) -> str:
    return name if name in table or len(table) < MAX_NAMES else OTHER
