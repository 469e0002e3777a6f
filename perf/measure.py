"""A small harness for several sides: the same work by greenroom and by other stores, in turns, in one process.

A file of perf/adapters has a function `rows(folder)` which yields a `Row` for each kind of work:

    ```py
    def rows(folder: Path) -> Iterator[Row]:
        ours, sqlite, memory = …
        yield Row("put", {"greenroom": lambda: ours.put(…), "SQLite NORMAL": …, "memory": …})
    ```

Sides take turns, round by round, so that what else the machine does hits them alike. The median of the rounds is
printed, and the median of its ratios to greenroom's in the same round. `Row.size` is a figure in bytes instead.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["Many", "Row", "measured", "ratio_shown", "shown", "size_of", "table"]

Clock = Callable[[], float]
ROUNDS: Final = 9
ROUND_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Many:
    """Work that is told how many times it is to be done, as a loop of its own, or steps within one run."""

    run: Callable[[int], object]


@dataclass(frozen=True)
class Row:
    """One kind of work, and how each side does it. The first side is greenroom."""

    name: str
    sides: Mapping[str, Callable[[], object] | Many] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes of each side, where the row is about size."""


def _seconds(call: Callable[[], object] | Many, times: int, clock: Clock = time.perf_counter) -> float:
    begun = clock()
    if isinstance(call, Many):
        call.run(times)
    else:
        for _ in range(times):
            call()
    return (clock() - begun) / times


def measured(
    row: Row, *, brief: float = math.inf, most: int = 2000, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Return the seconds of one call by each side in each round; sides take turns. A round has at most so many calls.
    Work that takes longer than `brief` seconds on some side is done once."""
    if row.sizes:
        return {side: [float(size)] for side, size in row.sizes.items()}
    gc.collect()
    # The first call opens what the others find open.
    firsts = {side: _seconds(call, 1, clock) for side, call in row.sides.items()}
    if max(firsts.values()) > brief:
        return {side: [once] for side, once in firsts.items()}
    times = {}
    for side, call in row.sides.items():
        once = _seconds(call, 20 if isinstance(call, Many) else 1, clock)
        times[side] = max(1, min(most, int(ROUND_SECONDS / max(once, 1e-7))))
    taken: dict[str, list[float]] = {side: [] for side in row.sides}
    gc.collect()
    order = list(row.sides)
    for _ in range(ROUNDS):
        for side in order:
            taken[side].append(_seconds(row.sides[side], times[side], clock))
        order.append(order.pop(0))  # none always inherits the aftermath of the same other
    return taken


def shown(value: float, *, is_size: bool) -> str:
    if is_size:
        return f"{value / 1e6:.2f} MB" if value >= 1e5 else f"{value / 1e3:.1f} kB"
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.2f} ms" if value >= 1e-3 else f"{value * 1e6:.1f} µs"


def ratio_shown(ratio: float) -> str:
    return f"{ratio:,.0f}×" if ratio >= 10 else f"{ratio:.2g}×"


def table(rows: Iterable[Row]) -> str:
    """Return a Markdown table of all rows: a figure for each side, and its ratio to the first."""
    lines: list[str] = []
    heads: list[str] = []
    for row in rows:
        figures = measured(row)
        if list(figures) != heads:
            heads = list(figures)
            lines += ["", "| what | " + " | ".join(heads) + " |", "| --- |" + " --- |" * len(heads)]
        cells = []
        for side, rounds in figures.items():
            cell = shown(statistics.median(rounds), is_size=bool(row.sizes))
            if side != heads[0]:
                ratios = [value / ours for value, ours in zip(rounds, figures[heads[0]], strict=True)]
                cell += f" ({ratio_shown(statistics.median(ratios))})"
            cells.append(cell)
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines[1:])


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
