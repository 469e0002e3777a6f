"""Starting, with an empty store and with one of many sessions, and working with more of them than stay in memory."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from harness import MILLI, Bench, Measured, at_most, row, summarize
from peers.by_hand import SqliteRecords

from greenroom.runtime import Runtime

MB: Final = 1_000_000


@row("open a store of 1 M sessions", at_most(30 * MILLI), scaled=True)
def open_store(bench: Bench) -> Measured:
    figures = _figures(bench.sessions, bench.parent)
    return summarize(figures["open"], [], "", note=_size(figures))


@row("1 M sessions, 10 k resident: memory", at_most(200), scaled=True)
def memory(bench: Bench) -> Measured:
    figures = _figures(bench.sessions, bench.parent)
    return Measured(figures["rss"] / MB, "MB", note=f"{_size(figures)}, {figures['resident']:,} resident; peak RSS")


@row("1 M sessions, 10 k resident: activation p99", at_most(0.5 * MILLI), scaled=True)
def activation(bench: Bench) -> Measured:
    figures = _figures(bench.sessions, bench.parent)
    median, p99 = figures["activation_median"], figures["activation_p99"]
    return Measured(p99, rounds=figures["activations"], note=f"{_size(figures)}; median {median * 1e6:.0f} µs")


@row("a session in memory that has one variable", None)
def resident(bench: Bench) -> Measured:
    taken = bench.process("memory.py", "resident", bench.directory() / "store", "")
    return Measured(float(taken["extra"]), "B", note=f"10,000 sessions; {taken['rss']} B of the process's memory each")


_IMPORT: Final = (
    "import time as t; b = t.perf_counter(); from greenroom.runtime import Runtime; print(t.perf_counter() - b)"
)


@row("import greenroom.runtime", at_most(120 * MILLI))
def importing(bench: Bench) -> Measured:
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(bench.directory())}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    times = []
    for _ in range(bench.rounds + 1):
        command = [sys.executable, "-c", _IMPORT]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        times.append(float(done.stdout))
    note = "compiled, in a process of its own, without the start of the interpreter"
    return summarize(times[1:], [], "", note=note)  # the first one compiles


@row("open and close a temporary store", at_most(20 * MILLI))
def temporary_store(bench: Bench) -> Measured:
    def by_hand() -> None:
        with SqliteRecords(bench.directory()):
            pass

    return bench.compare(lambda: Runtime.open().close(), by_hand, "SQLite WAL/NORMAL", batch=3)


def _size(figures: dict[str, Any]) -> str:
    return f"{figures['sessions']:,} sessions"


@functools.cache
def _figures(sessions: int, parent: Path | None) -> dict[str, Any]:
    """All three rows come of one process of its own, whose memory is nobody else's."""
    with Bench(parent=parent) as bench:
        return bench.process("many.py", sessions, bench.directory() / "store")
