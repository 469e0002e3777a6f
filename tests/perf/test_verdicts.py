"""What the benchmarks conclude from figures: how an operation grows, and whether a long life stays flat."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SIZES = (10**3, 10**4, 10**5, 10**6)


@pytest.fixture
def perf(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "perf"))
    return importlib.import_module


@pytest.mark.parametrize(
    ("verdict", "seconds"),
    [
        ("flat", lambda n: 1e-5),
        ("flat", lambda n: 1e-5 + 2e-7 * math.log10(n)),
        ("logarithmic", lambda n: 1e-6 * math.log(n) ** 1.5),
        ("logarithmic", lambda n: 3e-6 * math.log(n) - 1e-5),
        ("linear", lambda n: 1e-9 * n),
        ("linear", lambda n: 1e-4 + 1e-9 * n),
        ("linear", lambda n: 1e-9 * n * math.log(n)),
    ],
)
def test_growth_is_told_by_its_shape(
    perf: Callable[[str], ModuleType], verdict: str, seconds: Callable[[int], float]
) -> None:
    tables = perf("sizes.tables")
    for noise in (1.0, 1.05, 0.95):
        times = {size: seconds(size) * (noise if size == SIZES[1] else 1) for size in SIZES}
        assert tables.verdict(times, times[SIZES[-1]] / times[SIZES[0]]) == verdict


@pytest.mark.parametrize("grows", ["memory", "objects", "blocks of Python", "threads", "files", "disk"])
def test_a_soak_finds_what_grows(perf: Callable[[str], ModuleType], grows: str) -> None:
    soak = perf("soak")
    flat = dict.fromkeys((*soak.MARGINS, *soak.BOUNDS), 100000.0)
    samples = [dict(flat) for _ in range(40)]
    assert all(each["flat"] for each in soak.judged(samples).values())
    for number, sample in enumerate(samples):
        sample[grows] += number * (1 << 20)
    assert [what for what, each in soak.judged(samples).items() if not each["flat"]] == [grows]


def test_a_soak_finds_a_log_beyond_its_bound(perf: Callable[[str], ModuleType]) -> None:
    soak = perf("soak")
    samples = [dict.fromkeys((*soak.MARGINS, *soak.BOUNDS), 1.0) for _ in range(40)]
    samples[3]["log of changes (WAL)"] = 1e9  # once is too often
    assert [what for what, each in soak.judged(samples).items() if not each["flat"]] == ["log of changes (WAL)"]


def test_latencies_are_those_of_so_many_calls(perf: Callable[[str], ModuleType]) -> None:
    row = perf("soak").Latencies._row
    counts = perf("collections").Counter({0: 9_900, 100: 99, 200: 1})
    assert row(counts) == {"calls": 10_000, "p50": 1.0, "p99": 1.0, "p99.99": 1.02**100, "longest": 1.02**200}
