"""A table of growth: a store of each size, the operations on them in turns, and how their time grows.

The time is that of the processor, of all threads: what else the machine does would otherwise hide what grows.
"""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from measure import Row, measured, ratio_shown, shown

from greenroom.runtime import Runtime, RuntimeConfig

__all__ = ["ROOMY", "Growth", "Operation", "Stand", "Table", "grown", "markdown", "reads_all"]

Verdict = Literal["flat", "logarithmic", "linear"]
BRIEF: Final = 0.15
MOST: Final = 20
"""Calls of a round: few, so that what operations write does not count beside what was there."""
ROOMY: Final = {"max_artifacts": 100_000_000, "max_storage_bytes": 1 << 44}
"""The limits of a session that is to hold many artifacts."""


@dataclass(frozen=True)
class Stand:
    """A filled store: its runtime, how many there are, a folder for what operations write, and what filling left."""

    rt: Runtime
    count: int
    folder: Path
    made: Any


@dataclass(frozen=True)
class Operation:
    """`make(stand)` returns what is timed. `needed`: it reads or writes all that there are, so it may grow with it."""

    make: Callable[[Stand], Callable[[], object]]
    needed: bool = False


def reads_all(make: Callable[[Stand], Callable[[], object]]) -> Operation:
    return Operation(make, needed=True)


@dataclass(frozen=True)
class Table:
    """`fill(rt, count)` makes so many of something, and returns what the operations need."""

    name: str
    fill: Callable[[Runtime, int], Any]
    operations: Mapping[str, Operation | Callable[[Stand], Callable[[], object]]]
    most: int = 10**9
    """More than this cannot be made, or nobody makes."""


@dataclass(frozen=True)
class Growth:
    """What one operation took at each size: medians in seconds, and how they grow."""

    table: str
    operation: str
    seconds: Mapping[int, float]
    ratio: float
    verdict: Verdict
    needed: bool

    @property
    def is_defect(self) -> bool:
        return self.verdict == "linear" and not self.needed


def grown(table: Table, sizes: Sequence[int], folder: Path, tell: Callable[[str], object]) -> Iterator[Growth]:
    """Fill a store of each size, and measure each operation on all of them in turns."""
    with contextlib.ExitStack() as stack:
        stands = []
        for count in (each for each in sizes if each <= table.most):
            tell(f"{table.name}: making {count:,}")
            own = folder / f"{table.name} {count}".replace(" ", "-")
            rt = stack.enter_context(Runtime.open(own / "store", config=RuntimeConfig(max_resident_sessions=1000)))
            stands.append(Stand(rt, count, own, table.fill(rt, count)))
            rt.compact()
        for name, operation in table.operations.items():
            tell(f"{table.name}: {name}")
            known = operation if isinstance(operation, Operation) else Operation(operation)
            rounds = measured(
                Row(name, {str(each.count): known.make(each) for each in stands}),
                brief=BRIEF,
                most=MOST,
                clock=time.process_time,
            )
            seconds = {int(count): statistics.median(taken) for count, taken in rounds.items()}
            first, *_, last = rounds.values()
            ratio = statistics.median(b / a for a, b in zip(first, last, strict=True))
            yield Growth(table.name, name, seconds, ratio, verdict(seconds, ratio), known.needed)


def verdict(seconds: Mapping[int, float], ratio: float) -> Verdict:
    """How times grow with the sizes. Flat: by less than a tenth power of the size. Else whichever of a + b log n and
    a + b n is nearer, by relative error."""
    sizes = list(seconds)
    if ratio <= (sizes[-1] / sizes[0]) ** 0.1:
        return "flat"
    errors = {name: _error(seconds, shape) for name, shape in (("logarithmic", math.log), ("linear", float))}
    return "logarithmic" if errors["logarithmic"] <= errors["linear"] else "linear"


def _error(seconds: Mapping[int, float], shape: Callable[[float], float]) -> float:
    """The sum of squared relative errors of the best a + b shape(n)."""
    rows = [(1 / t, shape(n) / t) for n, t in seconds.items()]
    aa, ab, bb = (sum(x[i] * x[j] for x in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    a1, b1 = (sum(x[i] for x in rows) for i in (0, 1))
    det = aa * bb - ab * ab
    a, b = (a1 * bb - b1 * ab) / det, (aa * b1 - ab * a1) / det
    return sum((a * x[0] + b * x[1] - 1) ** 2 for x in rows)


def markdown(found: Sequence[Growth]) -> str:
    """A table for each thing of which there are many: a line for each operation."""
    lines: list[str] = []
    for name in dict.fromkeys(each.table for each in found):
        rows = [each for each in found if each.table == name]
        sizes = list(rows[0].seconds)
        lines += ["", f"| {name} | " + " | ".join(f"{size:,}" for size in sizes) + " | ratio | grows |"]
        lines += ["| --- |" + " ---: |" * (len(sizes) + 1) + " --- |"]
        for each in rows:
            cells = " | ".join(shown(each.seconds[size], is_size=False) for size in sizes)
            judged = each.verdict + (" (reads or writes all)" if each.needed and each.verdict != "flat" else "")
            judged = f"**{judged}**" if each.is_defect else judged
            lines.append(f"| {each.operation} | {cells} | {ratio_shown(each.ratio)} | {judged} |")
    return "\n".join(lines[1:])
