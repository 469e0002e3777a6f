"""The past of a long session: how fast its journal folds, how near every moment is, and a step back in a replay."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from functools import partial

import msgpack
from harness import MILLI, Bench, Measured, at_least, at_most, row, summarize, timed_batch

from greenroom.actors.replay.history import History
from greenroom.actors.session.state.evolve import evolve_all
from greenroom.actors.session.state.model import SessionState
from greenroom.runtime import Runtime, Session
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.engine.engine import CF, Engine

EVENTS = 100_000
FOLDED = 20_000


@row("fold events from the journal", at_least(400_000))
def fold_journal(bench: Bench) -> Measured:
    """Read, check, decode and fold: what replaying a session from its first event takes."""
    rt, session = _long_session(bench, FOLDED)
    journal, raw_id = rt._store.journal, session_bytes(session.id)
    engine = rt._store.engine

    def fold() -> None:
        state = SessionState(session.id)
        for run in journal.runs(raw_id):
            evolve_all(state, run)
        assert state.sequence == FOLDED

    def by_hand() -> None:
        assert len(_variables(engine, raw_id, {}, 0, FOLDED)) == 50

    rates, raw = [], []
    for _ in range(bench.rounds + 1):
        rates.append(FOLDED / timed_batch(fold, 1, None))
        raw.append(FOLDED / timed_batch(by_hand, 1, None))
    return summarize(
        rates[1:], raw[1:], "raw: the same events, unchecked", unit="1/s", note="read, check, decode and fold"
    )


@row("replay: decide 20,000 events again", at_least(50_000))
def decide_again(bench: Bench) -> Measured:
    """Decide every event of a conversation and its variables anew, and compare each byte for byte."""
    return _replays(bench, {}, "decide, compare and fold; baseline: a replay that only folds")


@row("replay: fold 20,000 events, and check digests", at_least(200_000))
def check_digests(bench: Bench) -> Measured:
    return _replays(bench, {"compare_results": False}, "no comparison event by event")


def _replays(bench: Bench, config: dict[str, bool], note: str) -> Measured:
    rt = bench.runtime()
    session = rt.create_session()
    for number in range(FOLDED // 2):
        session.set(f"k{number % 50}", number)
        session.add_message("user", "How is the weather?")
    rates, folds = [], []
    for _ in range(bench.rounds + 1):
        for into, how in ((rates, config), (folds, {"compare_results": False})):
            result = rt.replay(session, how)
            assert result.identical
            into.append(result.events / result.duration)
    return summarize(rates[1:], folds[1:], "only folding", unit="1/s", note=note)


@row("fold events in memory", None)
def fold_memory(bench: Bench) -> Measured:
    rt, session = _long_session(bench, FOLDED)
    runs = list(rt._store.journal.runs(session_bytes(session.id)))

    def fold() -> None:
        state = SessionState(session.id)
        for run in runs:
            evolve_all(state, run)

    rates = [FOLDED / timed_batch(fold, 1, None) for _ in range(bench.rounds + 1)][1:]
    return summarize(rates, [], "", unit="1/s", note="the pure fold alone")


@row("state at a random moment of 100,000 events", at_most(20 * MILLI))
def random_moment(bench: Bench) -> Measured:
    return _moments(bench, 50, "state of 50 variables")


@row("state at a random moment of 100,000 events: 1000 variables", at_most(20 * MILLI))
def random_moment_of_a_large_state(bench: Bench) -> Measured:
    return _moments(bench, 1000, "state of 1000 variables")


@row("a step back in 100 000 events, and the state there", at_most(50 * MILLI))
def step_back(bench: Bench) -> Measured:
    rt = bench.runtime()
    session = rt.create_session()
    for number in range(EVENTS // 2):
        session.set(f"k{number % 50}", number)
        session.add_message("user", "How is the weather?")
    last = session.info().sequence
    replay = rt.replays.start(session)
    replay.wait(timeout=600)
    choice = random.Random(1)

    def elsewhere(count: int) -> range:
        replay.run_to(choice.randrange(count + 1, last))
        return range(count)

    def back(_: int) -> None:
        replay.step_back()
        assert len(replay.state.variables) <= 50

    return bench.time(back, prepare=elsewhere, batch=1, note=f"{last:,} events, at random moments")


def _moments(bench: Bench, variables: int, note: str) -> Measured:
    rt, session = _long_session(bench, EVENTS, variables)
    moments = random.Random(1)
    wanted = (moments.randint(1, EVENTS) for _ in itertools.count())
    store, raw_id = rt._store, session_bytes(session.id)
    kept = len(store.journal.snapshot_sequences(raw_id))

    def by_hand(sequence: int) -> None:
        found = store.engine.scan(CF.SNAPSHOTS, raw_id, sequence_key(raw_id, sequence + 1), reverse=True, limit=1)
        state = msgpack.unpackb(msgpack.unpackb(found[0][1][1:-4])[1]) if found else None
        variables, after = (dict(state[8]), state[1]) if state else ({}, 0)
        _variables(store.engine, raw_id, variables, after, sequence)

    measured = bench.compare(
        lambda sequence: session.at(sequence=sequence),
        by_hand,
        "raw: the same snapshot and events, unchecked",
        prepare=lambda count: itertools.islice(wanted, count),
        batch=10,
        note=f"{note}; {kept} snapshots",
    )
    assert History(store, session.id).state(EVENTS).sequence == EVENTS
    return measured


def _variables(engine: Engine, session: bytes, found: dict[str, bytes], after: int, upto: int) -> dict[str, bytes]:
    """The variables after some more events, by hand: these are read and decoded, and what was set put into a dict."""
    begin, end = sequence_key(session, after + 1), sequence_key(session, upto + 1)
    for _, record in engine.scan(CF.JOURNAL, begin, end):
        type_, _, data, *_ = msgpack.unpackb(record[1:-4])
        if type_ == "variable.set":
            found[data["key"]] = data["value"]
    return found


def _long_session(bench: Bench, events: int, variables: int = 50) -> tuple[Runtime, Session]:
    """A session of so many events in table files."""
    rt = bench.runtime()
    session = rt.create_session()
    step: Callable[[int], None] = partial(_set, session, variables)
    for index in range(events - 1):
        step(index)
    rt.compact()
    return rt, session


def _set(session: Session, variables: int, index: int) -> None:
    session.set(f"key{index % variables}", {"step": index})
