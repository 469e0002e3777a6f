"""A store of many sessions: opening it, and working with more of them than stay in memory."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Final

from harness import MILLI, Bench, Measured, at_most, row, summarize

MB: Final = 1_000_000


@row("open a store of 1 M sessions", at_most(300 * MILLI), scaled=True)
def open_store(bench: Bench) -> Measured:
    figures = _figures(bench.sessions, bench.parent)
    return summarize(figures["open"], [], "", note=_size(figures))


@row("1 M sessions, 10 k resident: memory", at_most(600), scaled=True)
def memory(bench: Bench) -> Measured:
    figures = _figures(bench.sessions, bench.parent)
    return Measured(figures["rss"] / MB, "MB", note=f"{_size(figures)}, {figures['resident']:,} resident; peak RSS")


@row("1 M sessions, 10 k resident: activation p99", at_most(1 * MILLI), scaled=True)
def activation(bench: Bench) -> Measured:
    figures = _figures(bench.sessions, bench.parent)
    median, p99 = figures["activation_median"], figures["activation_p99"]
    return Measured(p99, rounds=figures["activations"], note=f"{_size(figures)}; median {median * 1e6:.0f} µs")


def _size(figures: dict[str, Any]) -> str:
    return f"{figures['sessions']:,} sessions"


@functools.cache
def _figures(sessions: int, parent: Path | None) -> dict[str, Any]:
    """All three rows come of one process of its own, whose memory is nobody else's."""
    with Bench(parent=parent) as bench:
        return bench.process("many.py", sessions, bench.directory() / "store")
