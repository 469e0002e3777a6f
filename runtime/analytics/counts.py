"""Counters with bounded memory: events over time, distributions of durations, calls by name."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final

from greenroom.storage.common.times import iso_time, utc_time

__all__ = [
    "OTHER",
    "Activity",
    "ActivityTally",
    "CallMetrics",
    "CallTable",
    "CallTally",
    "Distribution",
    "TableTally",
    "Values",
    "counted",
]


MAX_BUCKETS: Final = 1000
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Activity:
    """Events per bucket of `seconds`, as (beginning, events) in order of time. Empty buckets are left out.

    Buckets begin at whole multiples of their length since the epoch.
    """

    seconds: float
    buckets: tuple[tuple[datetime, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values; times in RFC 3339."""
        return {
            "seconds": self.seconds,
            "buckets": [{"from": iso_time(begin), "events": count} for begin, count in self.buckets],
        }


class ActivityTally:
    """Counts events by time. Doubles the length of buckets whenever there are more than 1000."""

    __slots__ = ("_counts", "_width")

    def __init__(self, seconds: float) -> None:
        self._width = max(1, round(seconds * _SECOND))
        self._counts: dict[int, int] = {}

    def add(self, time: int) -> None:
        """Count an event at a time in ns since the epoch."""
        bucket = time // self._width
        counts = self._counts
        counts[bucket] = counts.get(bucket, 0) + 1
        while len(self._counts) > MAX_BUCKETS:
            self._widen()

    def merge(self, other: ActivityTally) -> None:
        """Add the counts of another tally, which began with the same length of buckets."""
        while self._width < other._width:
            self._widen()
        ratio = self._width // other._width
        for bucket, count in other._counts.items():
            self._counts[bucket // ratio] = self._counts.get(bucket // ratio, 0) + count
        while len(self._counts) > MAX_BUCKETS:
            self._widen()

    def _widen(self) -> None:
        self._width *= 2
        wider: dict[int, int] = {}
        for bucket, count in self._counts.items():
            wider[bucket // 2] = wider.get(bucket // 2, 0) + count
        self._counts = wider

    def activity(self) -> Activity:
        return Activity(
            self._width / _SECOND,
            tuple((utc_time(bucket * self._width), count) for bucket, count in sorted(self._counts.items())),
        )


_EXACT: Final = 256
_GAMMA: Final = 1.02
"""Ratio of one bucket to the one before: keeps quantiles within 1 % of the true values."""
_LEAST: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Distribution:
    """The sum, mean, median, 95th and 99th percentile and maximum of `count` values; None without values.

    Count, sum, mean and maximum are exact. Quantiles are exact for up to 256 values, else within 1 %.
    """

    count: int = 0
    total: float = 0.0
    mean: float | None = None
    median: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """Return every field by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


class Values:
    """Collects values of at least 0: the first ones exactly, more of them in logarithmic buckets."""

    __slots__ = ("_buckets", "_exact", "_max", "_total", "count")

    def __init__(self) -> None:
        self.count = 0
        self._total = 0.0
        self._max = 0.0
        self._exact: list[float] | None = []
        self._buckets: Counter[int] = Counter()

    def add(self, value: float) -> None:
        value = max(0.0, value)
        self.count += 1
        self._total += value
        self._max = max(self._max, value)
        if self._exact is None:
            self._buckets[_bucket(value)] += 1
            return
        self._exact.append(value)
        if len(self._exact) > _EXACT:
            self._spill()

    def merge(self, other: Values) -> None:
        """Add the values of another collection."""
        self.count += other.count
        self._total += other._total
        self._max = max(self._max, other._max)
        if self._exact is not None and other._exact is not None:
            self._exact += other._exact
            if len(self._exact) > _EXACT:
                self._spill()
            return
        self._spill()
        self._buckets.update(other._buckets)
        self._buckets.update(map(_bucket, other._exact or ()))

    def _spill(self) -> None:
        self._buckets.update(map(_bucket, self._exact or ()))
        self._exact = None

    def distribution(self) -> Distribution:
        """Return the distribution of the values so far."""
        if not self.count:
            return Distribution()
        if self._exact is not None:
            self._exact.sort()
        median = (self._ranked((self.count - 1) // 2) + self._ranked(self.count // 2)) / 2
        return Distribution(
            self.count,
            self._total,
            self._total / self.count,
            median,
            self._ranked(math.ceil(0.95 * self.count) - 1),
            self._ranked(math.ceil(0.99 * self.count) - 1),
            self._max,
        )

    def _ranked(self, rank: int) -> float:
        """Return the value that has `rank` values below it."""
        if self._exact is not None:
            return self._exact[rank]
        passed = 0
        for bucket in sorted(self._buckets):
            passed += self._buckets[bucket]
            if passed > rank:
                return min(self._max, _middle(bucket))
        return self._max


def _bucket(value: float) -> int:
    return math.ceil(math.log(max(value, _LEAST)) / math.log(_GAMMA))


def _middle(bucket: int) -> float:
    value = 2 * _GAMMA**bucket / (_GAMMA + 1)
    return value if value > _LEAST * _GAMMA else 0.0


MAX_NAMES: Final = 500
OTHER: Final = "(other)"
"""The name under which further names are counted together."""


@dataclass(frozen=True, slots=True)
class CallMetrics:
    """The number of calls and their outcomes. `unanswered` calls have no return: they still run, or their process died.
    `success_rate` covers the calls that ended, None if none did. `seconds` is how long calls took. Tokens and cost are
    as reported by agents."""

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
        """Return it as JSON values."""
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
    """Calls in total and by name, the most called first. Names beyond 500 count as "(other)"."""

    total: CallMetrics = field(default_factory=CallMetrics)
    by_name: dict[str, CallMetrics] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
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
        """Count the end of a call. The cost is in micro-dollars."""
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
    """Add to the count of a name; beyond 500 names, to "(other)"."""
    name = _kept(counts, name)
    counts[name] = counts.get(name, 0) + more


def _kept(table: dict[str, Any], name: str) -> str:
    return name if name in table or len(table) < MAX_NAMES else OTHER
