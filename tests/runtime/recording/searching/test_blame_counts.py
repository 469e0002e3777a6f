"""Which step is blamed: how the forks are counted and planned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime.recording.searching.ranking import Trial, interval, planned, ranked


@pytest.mark.parametrize(
    ("hits", "tries", "low", "high"),
    [(0, 0, 0, 1), (0, 10, 0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1), (1, 1, 0.2065, 1)],
)
def test_the_interval_is_that_of_wilson(hits: int, tries: int, low: float, high: float) -> None:
    assert interval(hits, tries) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 10_000), st.data())
def test_the_rate_is_within_its_interval(tries: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, tries))
    low, high = interval(hits, tries)
    assert 0 <= low <= hits / tries + 1e-9
    assert hits / tries - 1e-9 <= high <= 1


def test_each_step_is_tried_once_before_any_is_tried_again() -> None:
    assert list(planned([1, 2, 3], 2)) == [(3, 1), (2, 1), (1, 1), (3, 2), (2, 2), (1, 2)]
    assert list(planned([1, 2], 2, {(2, 1), (1, 2)})) == [(1, 1), (2, 2)]


def test_the_last_of_the_steps_that_change_the_outcome_most_is_blamed() -> None:
    said = {1: [True, True], 2: [True, True, None], 3: [False, True], 4: [False, False]}
    trials = [Trial(step, number, "s", passed) for step, each in said.items() for number, passed in enumerate(each, 1)]
    scores = ranked(trials, passed=False)
    assert [(each.step, each.changed, each.tries) for each in scores] == [(2, 2, 2), (1, 2, 2), (3, 1, 2), (4, 0, 2)]
    assert scores[2].rate == 0.5
    assert ranked([], passed=True) == []
