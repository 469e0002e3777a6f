"""A small benchmark harness: rows with targets, medians of interleaved repeats, baselines in the same process.

A row is a function in a file of perf/rows/, under its target:

    ```py
    @row("set a variable durably", at_most(20 * MICRO))
    def set_variable(bench: Bench) -> Measured:
        session, raw = bench.runtime().create_session(), bench.keep(RawStore(bench.directory()))
        return bench.compare(lambda: session.set("k", 1), lambda: raw.set_variable("k", 1), "raw")
    ```

The sides of a comparison take turns, round by round, in one process: what else the machine does hits them alike.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from greenroom.runtime import Runtime, RuntimeConfig

__all__ = ["MICRO", "MILLI", "Bench", "Measured", "Result", "Row", "Target", "at_least", "at_most", "row", "rows"]

logger = logging.getLogger("bench")
MICRO: Final = 1e-6
MILLI: Final = 1e-3

Scale = Literal["quick", "default", "full"]
T = TypeVar("T", bound=contextlib.AbstractContextManager[Any])
Prepare = Callable[[int], Iterable[Any]]


@dataclass(frozen=True)
class Target:
    """What a row must reach: a bound on the `value` itself, or on its `ratio` to the baseline."""

    bound: float
    upper: bool
    of: Literal["value", "ratio"] = "value"

    def met(self, measured: Measured) -> bool:
        figure = measured.value if self.of == "value" else measured.ratio
        if figure is None:
            raise ValueError("a target on the ratio needs a baseline")
        return figure <= self.bound if self.upper else figure >= self.bound

    def used(self, measured: Measured) -> float:
        """How much of the target is used: 1 is exactly on it, more than 1 misses it."""
        figure = (measured.value if self.of == "value" else measured.ratio) or 0.0
        if self.upper:
            return figure / self.bound if self.bound else float(figure > 0) * 10
        return self.bound / figure if figure else 10.0


def at_most(bound: float, of: Literal["value", "ratio"] = "value") -> Target:
    return Target(bound, True, of)


def at_least(bound: float, of: Literal["value", "ratio"] = "value") -> Target:
    return Target(bound, False, of)


@dataclass(frozen=True)
class Measured:
    """What a row measured. `value` and `baseline` are in `unit`; `ratio` is the median of the rounds' ratios.

    `memory` is what the same costs in memory, with a plain dict or list and nothing durable. `low` and `high` are the
    quartiles of `value` over the rounds: how far to trust it.
    """

    value: float
    unit: str = "s"
    baseline: float | None = None
    baseline_name: str = ""
    ratio: float | None = None
    memory: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 1
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A line of the table. `scaled` rows need the full run for their verdict to count."""

    name: str
    target: Target | None
    group: str
    measure: Callable[[Bench], Measured]
    scaled: bool = False


@dataclass(frozen=True)
class Result:
    """A row with what it measured, or the error that kept it from measuring."""

    row: Row
    measured: Measured | None
    error: str | None
    seconds: float
    complete: bool

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is no target or no figure."""
        if self.row.target is None or self.measured is None:
            return None
        return self.row.target.met(self.measured)


_rows: list[Row] = []


def row(
    name: str, target: Target | None, *, group: str = "", scaled: bool = False
) -> Callable[[Callable[[Bench], Measured]], Callable[[Bench], Measured]]:
    """Enter the function below as a row of the table; without a target it is there for information."""

    def enter(measure: Callable[[Bench], Measured]) -> Callable[[Bench], Measured]:
        _rows.append(Row(name, target, group or measure.__module__.rpartition(".")[2], measure, scaled))
        return measure

    return enter


def rows(pattern: str = "") -> list[Row]:
    """The rows whose name or group contains the pattern, whatever its case, in the order they were entered."""
    needle = pattern.casefold()
    return [each for each in _rows if needle in each.name.casefold() or needle in each.group.casefold()]


@dataclass
class Bench:
    """What a row measures with. Runtimes and directories that it hands out are gone when the row has ended."""

    scale: Scale = "default"
    parent: Path | None = None
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def rounds(self) -> int:
        """How many rounds a comparison takes."""
        return {"quick": 7, "default": 25, "full": 25}[self.scale]

    @property
    def sessions(self) -> int:
        """How many sessions the rows about large stores create."""
        return 1_000_000 if self.scale == "full" else 100_000

    def directory(self) -> Path:
        """A new empty directory on the disk that is measured."""
        path = Path(tempfile.mkdtemp(prefix="greenroom-bench-", dir=self.parent))
        self._stack.callback(shutil.rmtree, path, ignore_errors=True)
        return path

    def runtime(self, **config: Any) -> Runtime:
        """A runtime on a new store."""
        return self.keep(Runtime.open(self.directory() / "store", config=RuntimeConfig(**config)))

    def keep(self, resource: T) -> T:
        """Have a resource closed when the row has ended."""
        self._stack.enter_context(resource)
        return resource

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        gc.collect()

    def process(self, script: str, *arguments: object) -> dict[str, Any]:
        """Run one of the scripts beside this file in a process of its own, and return the JSON object it prints."""
        command = [sys.executable, str(Path(__file__).parent / script), *map(str, arguments)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            raise RuntimeError(f"{script} failed: {done.stderr.strip().splitlines()[-1:]}")
        figures: dict[str, Any] = json.loads(done.stdout)
        return figures

    # -- measuring

    def time(
        self, ours: Callable[..., object], *, prepare: Prepare | None = None, batch: int = 200, note: str = ""
    ) -> Measured:
        """The median time of one call; see `compare`."""
        return self.compare(ours, None, "", prepare=prepare, batch=batch, note=note)

    def compare(
        self,
        ours: Callable[..., object],
        baseline: Callable[..., object] | None,
        baseline_name: str,
        *,
        memory: Callable[..., object] | None = None,
        prepare: Prepare | None = None,
        prepare_baseline: Prepare | None = None,
        batch: int = 200,
        rounds: int | None = None,
        note: str = "",
    ) -> Measured:
        """Time all sides in turn, `batch` calls a round. Medians over the rounds, in seconds a call.

        `memory` does the same with a plain dict or list. `prepare(n)` makes the `n` arguments of the next batch outside
        the time that is taken: what each call needs fresh. Without it the functions are called with no argument. One
        round before the first is thrown away.
        """
        rounds = rounds or self.rounds
        sides = [(ours, prepare), (baseline, prepare_baseline or prepare), (memory, prepare)]
        there = [number for number, (call, _) in enumerate(sides) if call is not None]
        times: list[list[float]] = [[] for _ in sides]
        for index in range(rounds + 1):
            # Who goes first changes from round to round, so that none always inherits the aftermath of another.
            first = index % len(there)
            for number in there[first:] + there[:first]:
                call, before = sides[number]
                assert call is not None
                times[number].append(timed_batch(call, batch, before) / batch)
        mine, theirs, held = (each[1:] for each in times)
        return summarize(mine, theirs, baseline_name, held, note=note)


def timed_batch(call: Callable[..., object], batch: int, prepare: Prepare | None) -> float:
    """Seconds that `batch` calls take. The garbage collector runs before, and stays on as it is for users."""
    arguments = list(prepare(batch)) if prepare is not None else None
    gc.collect(0)
    clock = time.perf_counter
    if arguments is None:
        turns = range(batch)
        begin = clock()
        for _ in turns:
            call()
        return clock() - begin
    begin = clock()
    for argument in arguments:
        call(argument)
    return clock() - begin


def summarize(
    mine: list[float],
    theirs: list[float],
    baseline_name: str,
    memory: Sequence[float] = (),
    *,
    unit: str = "s",
    note: str = "",
) -> Measured:
    """Medians and quartiles of a comparison's rounds."""
    low, high = quartiles(mine)
    return Measured(
        statistics.median(mine),
        unit,
        baseline=statistics.median(theirs) if theirs else None,
        baseline_name=baseline_name,
        ratio=statistics.median(a / b for a, b in zip(mine, theirs, strict=True)) if theirs else None,
        memory=statistics.median(memory) if memory else None,
        low=low,
        high=high,
        rounds=len(mine),
        note=note,
    )


def quartiles(figures: list[float]) -> tuple[float, float]:
    if len(figures) < 2:
        return figures[0], figures[0]
    cuts = statistics.quantiles(figures, n=4, method="inclusive")
    return cuts[0], cuts[2]


def run(each: Row, scale: Scale, parent: Path | None) -> Result:
    """Measure one row. An error in it costs only that row."""
    begin = time.perf_counter()
    measured: Measured | None = None
    error: str | None = None
    try:
        with Bench(scale, parent) as bench:
            measured = each.measure(bench)
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
        logger.debug("%s", each.name, exc_info=True)
    return Result(each, measured, error, time.perf_counter() - begin, scale == "full" or not each.scaled)
