from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.runtime.analytics.counts import Values

seconds = st.floats(min_value=0, max_value=1e9, allow_nan=False)


def gathered(values: list[float]) -> Values:
    found = Values()
    for each in values:
        found.add(each)
    return found


@given(st.lists(seconds, min_size=1, max_size=200))
def test_few_values_are_told_exactly(values: list[float]) -> None:
    found = gathered(values).distribution()
    assert (found.count, found.max) == (len(values), max(values))
    assert found.median == pytest.approx(statistics.median(values))
    assert found.mean == pytest.approx(statistics.mean(values))
    assert found.p95 == sorted(values)[math.ceil(0.95 * len(values)) - 1]


@settings(max_examples=20)
@given(st.lists(st.floats(min_value=1e-6, max_value=1e5), min_size=257, max_size=400))
def test_quantiles_of_many_values_are_within_one_percent(values: list[float]) -> None:
    found = gathered(values).distribution()
    ranked = sorted(values)
    assert (found.count, found.max) == (len(values), max(values))
    assert found.total == pytest.approx(math.fsum(values))
    for quantile, told in ((0.95, found.p95), (0.99, found.p99)):
        assert told == pytest.approx(ranked[math.ceil(quantile * len(values)) - 1], rel=0.0101)


@settings(max_examples=40)
@given(st.lists(seconds, max_size=300), st.lists(seconds, max_size=300))
def test_merged_values_are_as_if_gathered_together(left: list[float], right: list[float]) -> None:
    merged = gathered(left)
    merged.merge(gathered(right))
    together = gathered(left + right).distribution()
    told = merged.distribution()
    assert (told.count, told.max) == (together.count, together.max)
    for one, other in ((told.median, together.median), (told.p95, together.p95), (told.total, together.total)):
        assert one == (pytest.approx(other, rel=0.0201, abs=1e-6) if other is not None else None)


def test_values_that_are_nothing_stay_nothing_in_buckets() -> None:
    assert gathered([0.0] * 1000).distribution().median == 0.0
