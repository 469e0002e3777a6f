"""What recording adds to a program: beside reeltime, the best tool of the kind, which does less for each call.

In an environment that has both (`pip install httpx reeltime`, for the benchmark only): elsewhere there are no such
rows."""

from __future__ import annotations

import statistics
from importlib.util import find_spec

from harness import MICRO, Bench, Measured, at_most, row, summarize

_figures: dict[str, dict[str, list[float]]] = {}


def _added(bench: Bench, what: str, side: str) -> Measured:
    """Return what a side adds to the same work without a recording, and what reeltime adds: CPU time, round by
    round."""
    if not _figures:
        _figures.update(bench.process("recorded.py", bench.directory()))
    rounds = _figures[what]
    ours, theirs = (
        [one - none for one, none in zip(rounds[each], rounds["none"], strict=True)] for each in (side, "peer")
    )
    none = statistics.median(rounds["none"])
    return summarize(ours, theirs, "reeltime", note=f"CPU time, added to {none / MICRO:,.2f} µs unrecorded")


if find_spec("httpx") and find_spec("reeltime"):

    @row("record: an HTTP call, to a spool", at_most(50 * MICRO))
    def call_to_spool(bench: Bench) -> Measured:
        """`greenroom record`: the process survives, or not, with all that was handed to it on the disk."""
        return _added(bench, "calls", "spool")

    @row("record: an HTTP call, journaled in a session", at_most(50 * MICRO))
    def call_to_journal(bench: Bench) -> Measured:
        """`rt.recording()` in a host."""
        return _added(bench, "calls", "journal")

    @row("record: a read of the clock, to a spool", at_most(2 * MICRO))
    def clock_to_spool(bench: Bench) -> Measured:
        return _added(bench, "reads", "spool")

    @row("record: a read of the clock, journaled in a session", at_most(2 * MICRO))
    def clock_to_journal(bench: Bench) -> Measured:
        return _added(bench, "reads", "journal")

    @row("replay 1000 HTTP calls, beyond the program's own time", at_most(0.5))
    def replay_calls(bench: Bench) -> Measured:
        return _added(bench, "replays", "replay")
