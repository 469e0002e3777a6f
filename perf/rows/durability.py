"""The fsync level: how much of its cost concurrent writers share."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from harness import Bench, Measured, at_least, at_most, row, summarize

from greenroom.runtime import Runtime, Session

WRITERS = 64


class _Round(NamedTuple):
    fsyncs_per_write: float
    rate: float
    """Acknowledged writes a second of all writers together."""
    rate_alone: float
    """The same of one writer that has the runtime for itself."""


@row("fsync, 64 writers: fsyncs per acknowledged write", at_most(0.05))
def fsyncs_per_write(bench: Bench) -> Measured:
    return summarize([each.fsyncs_per_write for each in _rounds(bench)], [], "", unit="fsync")


@row("fsync, 64 writers: acknowledged writes", at_least(3, "ratio"))
def rate(bench: Bench) -> Measured:
    turns = _rounds(bench)
    return summarize([each.rate for each in turns], [each.rate_alone for each in turns], "one writer", unit="1/s")


def _rounds(bench: Bench) -> list[_Round]:
    rt = bench.runtime(durability="fsync")
    sessions = [rt.create_session(config={"max_operations": 1 << 40}) for _ in range(WRITERS)]
    rounds, seconds = (3, 0.2) if bench.scale == "quick" else (9, 0.4)
    taken = []
    for _ in range(rounds):
        alone, _ = _write(rt, sessions[:1], seconds)
        together, fsyncs = _write(rt, sessions, seconds)
        taken.append(_Round(fsyncs / together, together / seconds, alone / seconds))
    return taken


def _write(rt: Runtime, sessions: list[Session], seconds: float) -> tuple[int, int]:
    """Each session set by a thread of its own for so long: (acknowledged writes, fsyncs)."""
    counts = [0] * len(sessions)
    ready = threading.Barrier(len(sessions) + 1)
    end = threading.Event()

    def writer(index: int) -> None:
        session = sessions[index]
        ready.wait()
        while not end.is_set():
            session.set("k", counts[index])
            counts[index] += 1

    threads = [threading.Thread(target=writer, args=(index,)) for index in range(len(sessions))]
    for thread in threads:
        thread.start()
    before = rt._store.engine.fsyncs
    ready.wait()
    time.sleep(seconds)
    total, fsyncs = sum(counts), rt._store.engine.fsyncs - before
    end.set()
    for thread in threads:
        thread.join()
    return total, fsyncs
