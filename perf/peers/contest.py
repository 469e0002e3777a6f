"""The same work by greenroom and by what people use instead, in turns, in one process; each beside its equals.

All stores of SQLite have a log (WAL) here, whatever their default is. Those whose library is not installed are left
out: `make bench PEERS=1` installs them.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from measure import Row, measured, ratio_shown, shown

from peers import side as s

__all__ = ["Contest", "Figure", "held", "table"]

MODULES: Final = ("greenroom", "sqlite", "cache", "openai_agents", "langgraph", "dbos", "adk")
LEVELS: Final[tuple[s.Level, ...]] = ("process", "machine")
GROWTH: Final = f"on disk after {s.TURNS} turns"


@dataclass(frozen=True)
class Figure:
    """What one peer needs for one kind of work: the median, in seconds or bytes, and the median of the rounds' ratios
    to greenroom. `level` is what the write survives; None for what only reads."""

    what: str
    level: s.Level | None
    peer: str
    median: float
    ratio: float
    unit: str = "s"


@dataclass(frozen=True)
class Contest:
    """All figures, the libraries' versions, and what was left out for want of its library."""

    peers: Sequence[str]
    figures: Sequence[Figure]
    versions: dict[str, str]
    missing: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        return {"figures": [asdict(each) for each in self.figures], "versions": self.versions}


def held(folder: Path, tell: Callable[[str], object] = lambda _: None) -> Contest:
    """Measure all peers that are installed, in a folder that is empty."""
    makers, versions, missing = {}, {}, {}
    for name in MODULES:
        try:
            module = importlib.import_module(f"peers.{name}")
        except ImportError as error:
            missing[name] = str(error)
            continue
        makers[name] = module.sides
        for library in module.REQUIRES.split():
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                versions[library] = importlib.metadata.version(library)
    figures: list[Figure] = []
    with contextlib.ExitStack() as stack:
        sides: dict[s.Level, list[s.Side]] = {level: [] for level in LEVELS}
        for level in LEVELS:
            for name, make in makers.items():
                tell(f"{name}: filling")
                side = make(folder / f"{name}-{level}", level)
                stack.callback(side.close)
                sides[level].append(side)
        for what in s.WORK:
            tell(what)
            figures += _compared(what, sides)
        sizes = {}
        for each in sides["process"]:
            if each.growth is not None:
                tell(f"{each.name}: {GROWTH}")
                sizes[each.name] = float(each.growth())
    figures += [Figure(GROWTH, None, name, size, size / sizes["greenroom"], "B") for name, size in sizes.items()]
    return Contest([each.name for each in sides["process"]], figures, versions, missing)


def _compared(what: str, sides: dict[s.Level, list[s.Side]]) -> Iterator[Figure]:
    """Measure the peers of all levels in the same rounds."""
    levels = LEVELS[:1] if what in s.READS else LEVELS
    works = {(level, each.name): each.work[what] for level in levels for each in sides[level] if what in each.work}
    labels = {f"{level} {name}": (level, name) for level, name in works}
    rounds = measured(Row(what, {label: works[key] for label, key in labels.items()}))
    for label, (level, name) in labels.items():
        ours = rounds[f"{level} greenroom"]
        ratio = statistics.median(a / b for a, b in zip(rounds[label], ours, strict=True))
        yield Figure(what, None if what in s.READS else level, name, statistics.median(rounds[label]), ratio)


def table(contest: Contest) -> str:
    """Return a Markdown table: a line for each kind of work and level, a column for each peer."""
    peers = list(contest.peers)
    lines = ["| what | survives a crash of the | " + " | ".join(peers) + " |", "| --- | --- |" + " ---: |" * len(peers)]
    cells: dict[tuple[str, s.Level | None], dict[str, str]] = {}
    for each in contest.figures:
        cell = shown(each.median, is_size=each.unit == "B")
        cell += f" ({ratio_shown(each.ratio)})" if each.peer != "greenroom" else ""
        cells.setdefault((each.what, each.level), {})[each.peer] = cell
    for (what, level), row in cells.items():
        lines.append(f"| {what} | {level or ''} | " + " | ".join(row.get(peer, "–") for peer in peers) + " |")
    return "\n".join(lines)
