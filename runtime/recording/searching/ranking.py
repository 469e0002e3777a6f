"""Find the step that decides how a run ends: let each step be made anew several times, and count how often the outcome
is another one. What is here only counts and plans; whoever uses it runs the forks."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["StepScore", "Trial", "interval", "planned", "ranked"]

_Z: Final = 1.959963984540054
"""Of a normal distribution, for 95 %."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One fork: everything before a step was replayed, and the rest was made anew. `passed` is what the check said;
    None if the program could not be run to its end. `cost` is in micro-dollars."""

    step: int
    number: int
    session_id: str
    passed: bool | None
    cost: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return everything by name as JSON values."""
        return {
            "step": self.step,
            "number": self.number,
            "session_id": self.session_id,
            "passed": self.passed,
            "cost_microusd": self.cost,
        }


@dataclass(frozen=True, slots=True)
class StepScore:
    """How often the outcome was another one when a step, and what came after it, was made anew. `low` and `high` are
    the ends of the 95 % confidence interval of the rate."""

    step: int
    tries: int
    changed: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """The share of the tries with another outcome."""
        return self.changed / self.tries if self.tries else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return everything by name as JSON values."""
        return {
            "step": self.step,
            "tries": self.tries,
            "changed": self.changed,
            "rate": self.rate,
            "low": self.low,
            "high": self.high,
        }


def interval(hits: int, tries: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a rate, after Wilson: it holds for few tries, and for 0 and all hits."""
    if not tries:
        return 0.0, 1.0
    rate, square = hits / tries, _Z * _Z
    middle = rate + square / (2 * tries)
    spread = _Z * math.sqrt(rate * (1 - rate) / tries + square / (4 * tries * tries))
    low, high = ((middle + sign * spread) / (1 + square / tries) for sign in (-1, 1))
    return low if hits else 0.0, high if hits < tries else 1.0


def planned(steps: Sequence[int], tries: int, done: Collection[tuple[int, int]] = ()) -> Iterator[tuple[int, int]]:
    """Return the trials that are left, each a step and the number of its try: once for each step before any is tried
    again, so that a budget that ends early has looked everywhere. The last step comes first: it is the cheapest."""
    for number in range(1, tries + 1):
        for step in reversed(steps):
            if (step, number) not in done:
                yield step, number


def ranked(trials: Sequence[Trial], passed: bool) -> list[StepScore]:
    """Return the scores of the steps that were tried. `passed` is what the check says of the recorded run.

    The step that changes the outcome most often comes first. Of steps with the same rate, the last comes first: an
    earlier one changes the outcome only because all after it is made anew as well.
    """
    counts: dict[int, list[int]] = {}
    for each in trials:
        if each.passed is not None:
            count = counts.setdefault(each.step, [0, 0])
            count[0] += 1
            count[1] += each.passed != passed
    scores = [StepScore(step, tries, changed, *interval(changed, tries)) for step, (tries, changed) in counts.items()]
    return sorted(scores, key=lambda each: (-each.rate, -each.step))
