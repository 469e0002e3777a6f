"""How values are distributed, kept in bounded memory: durations, sizes, counts."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields
from typing import Final

__all__ = ["Distribution", "Values"]

_EXACT: Final = 256
_GAMMA: Final = 1.02
"""From one bucket to the next: quantiles that are read from buckets are within 1 % of the true ones."""
_LEAST: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Distribution:
    """Of `count` values: their sum, mean, median, 95th and 99th percentile and maximum; None where there are none.

    Count, sum, mean and maximum are exact; the quantiles are for up to 256 values, and within 1 % for more.
    """

    count: int = 0
    total: float = 0.0
    mean: float | None = None
    median: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """Every field by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


class Values:
    """Gathers values from 0 on: the first ones as they are, many of them in buckets of a logarithmic scale."""

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
        """Take in what another has gathered."""
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
        """What has been gathered so far."""
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
        """The value that has `rank` values below it."""
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
