"""The fsync level: how much of its cost concurrent writers share."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from harness import Bench, Measured, at_least, at_most, row, summarize, timed_batch

from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.model import SessionState
from greenroom.runtime import Runtime, Session
from greenroom.storage.codec.keys import session_bytes

WRITERS = 64


class _Round(NamedTuple):
    fsyncs_per_write: float
    rate: float
    """Acknowledged writes a second of all writers together."""
    rate_alone: float
    """The same of one writer that has the runtime for itself."""


@row("fsync, 64 writers: fsyncs per acknowledged write", at_most(0.1))
def fsyncs_per_write(bench: Bench) -> Measured:
    return summarize([each.fsyncs_per_write for each in _rounds(bench)], [], "", unit="fsync")


@row("fsync, 64 writers: acknowledged writes", at_least(2, "ratio"))
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


EVENTS = 20_000


@row("fold events from the journal", at_least(200_000))
def fold_journal(bench: Bench) -> Measured:
    """Read, check, decode and fold: what replaying a session from its first event takes."""
    rt, session = _long_session(bench)
    journal, raw_id = rt._store.journal, session_bytes(session.id)

    def fold() -> None:
        state = SessionState(session.id)
        for sequence, fields in journal.fields(raw_id):
            evolve(state, sequence, fields)
        assert state.sequence == EVENTS

    return _rate(bench, fold, "read, check, decode and fold")


@row("fold events in memory", None)
def fold_memory(bench: Bench) -> Measured:
    rt, session = _long_session(bench)
    events = list(rt._store.journal.fields(session_bytes(session.id)))

    def fold() -> None:
        state = SessionState(session.id)
        for sequence, fields in events:
            evolve(state, sequence, fields)

    return _rate(bench, fold, "the pure fold alone")


def _long_session(bench: Bench) -> tuple[Runtime, Session]:
    """A session of EVENTS events in table files, without a snapshot."""
    rt = bench.runtime()
    session = rt.create_session()
    for index in range(EVENTS - 1):
        session.set(f"key{index % 50}", {"step": index})
    rt.compact()
    return rt, session


def _rate(bench: Bench, fold: object, note: str) -> Measured:
    assert callable(fold)
    rates = [EVENTS / timed_batch(fold, 1, None) for _ in range(bench.rounds + 1)][1:]
    return summarize(rates, [], "", unit="1/s", note=note)
