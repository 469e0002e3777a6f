"""Replay: folding a session's state from its journal."""

from __future__ import annotations

from harness import Bench, Measured, at_least, row, summarize, timed_batch

from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.model import SessionState
from greenroom.runtime import Runtime, Session
from greenroom.storage.codec.keys import session_bytes

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
