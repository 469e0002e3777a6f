"""Sessions: making them, their variables, asking, saving, coming and going."""

from __future__ import annotations

import itertools
import random

import msgpack
from harness import MICRO, Bench, Measured, at_most, row
from peers.by_hand import SqliteRecords, ThreadedVariables
from raw import RawStore, same_bytes

from greenroom.runtime import Runtime, Session, messages

VARIABLES = {f"key{index}": {"step": index, "note": "as it was"} for index in range(10)}


@row("create a durable session", at_most(20 * MICRO))
def create(bench: Bench) -> Measured:
    rt, raw = bench.runtime(), bench.keep(RawStore(bench.directory()))
    note = same_bytes(rt, lambda: rt.create_session(name="benchmark"), raw, raw.create_session)
    return bench.compare(lambda: rt.create_session(name="benchmark"), raw.create_session, "raw", note=note)


@row("create one where another must leave memory", None)
def create_full(bench: Bench) -> Measured:
    rt = bench.runtime(max_resident_sessions=500)
    for _ in range(1000):
        rt.create_session(name="benchmark")
    return bench.time(lambda: rt.create_session(name="benchmark"))


@row("get a variable", at_most(2 * MICRO))
def get(bench: Bench) -> Measured:
    session = bench.runtime().create_session()
    session.set("k", 1)
    held = {"k": msgpack.packb(1)}
    return bench.compare(lambda: session.get("k"), lambda: msgpack.unpackb(held["k"]), "dict + msgpack", batch=2000)


@row("set a variable durably", at_most(12 * MICRO))
def set_(bench: Bench) -> Measured:
    rt, raw = bench.runtime(), bench.keep(RawStore(bench.directory()))
    session = rt.create_session()
    note = same_bytes(rt, lambda: session.set("k", 1), raw, lambda: raw.set_variable("k", 1))
    return bench.compare(lambda: session.set("k", 1), lambda: raw.set_variable("k", 1), "raw", batch=1000, note=note)


CHANGED = [f"key{index}" for index in range(4)]


def _four_at_once(session: Session) -> None:
    with session.batch() as b:
        for key in CHANGED:
            b.set(key, 1)


@row("a batch of 4 changes", None)
def batch(bench: Bench) -> Measured:
    session, peer = bench.runtime().create_session(), bench.keep(SqliteRecords(bench.directory()))
    held = dict[bytes, bytes]()

    def values() -> list[tuple[bytes, bytes]]:
        return [(key.encode(), msgpack.packb(1)) for key in CHANGED]

    return bench.compare(
        lambda: _four_at_once(session),
        lambda: peer.put_all(values()),
        "SQLite WAL/NORMAL, one transaction",
        memory=lambda: held.update(values()),
    )


@row("a batch of 4 changes, against 4 single ones", at_most(1, "ratio"))
def batch_or_single(bench: Bench) -> Measured:
    together, single = bench.runtime().create_session(), bench.runtime().create_session()

    def one_by_one() -> None:
        for key in CHANGED:
            single.set(key, 1)

    return bench.compare(lambda: _four_at_once(together), one_by_one, "4 × set")


@row("send a change again under its idempotency key", None)
def again(bench: Bench) -> Measured:
    session, peer = bench.runtime().create_session(), bench.keep(SqliteRecords(bench.directory()))
    session.set("k", 1, idempotency_key="again")
    peer.put(b"again", b"answer")
    held = {"again": b"answer"}
    return bench.compare(
        lambda: session.set("k", 1, idempotency_key="again"),
        lambda: peer.get(b"again"),
        "SQLite WAL/NORMAL, a look-up of the key",
        memory=lambda: held.get("again"),
    )


@row("send a change under a new idempotency key", None)
def first_time(bench: Bench) -> Measured:
    session, peer = bench.runtime().create_session(), bench.keep(SqliteRecords(bench.directory()))
    numbers, held = itertools.count(), dict[str, bytes]()

    def by_hand(number: int) -> None:
        peer.put_all([(b"k", b"1"), (b"first %d" % number, b"answer")])

    return bench.compare(
        lambda number: session.set("k", 1, idempotency_key=f"first {number}"),
        by_hand,
        "SQLite WAL/NORMAL, one transaction",
        memory=lambda number: held.update({"k": b"1", f"first {number}": b"answer"}),
        prepare=lambda count: itertools.islice(numbers, count),
    )


@row("ask round trip to an idle session", at_most(1 / 20, "ratio"))
def ask(bench: Bench) -> Measured:
    rt, peer = bench.runtime(), bench.keep(ThreadedVariables())
    session = rt.create_session()
    session.set("k", 1)
    message = messages.GetVariable("k")
    return bench.compare(
        lambda: rt.ask(session.id, message), lambda: peer.ask(message), "pykka.ThreadingActor", batch=500
    )


@row("save: a snapshot without fsync", at_most(30 * MICRO))
def save(bench: Bench) -> Measured:
    rt, raw = bench.runtime(), bench.keep(RawStore(bench.directory()))
    session = _with_variables(rt)
    packed = {key: msgpack.packb(value) for key, value in VARIABLES.items()}
    message = messages.SaveSession(sync=False)

    def ours() -> None:
        rt.ask(session.id, message)

    note = f"{len(packed)} variables; " + same_bytes(rt, ours, raw, lambda: raw.save(packed))
    return bench.compare(ours, lambda: raw.save(packed), "raw", note=note)


@row("load an active session", at_most(3 * MICRO))
def load_active(bench: Bench) -> Measured:
    session = _with_variables(bench.runtime())
    return bench.time(session.load, batch=2000)


@row("activate a passivated session: snapshot", at_most(100 * MICRO))
def activate_snapshot(bench: Bench) -> Measured:
    return _activate(bench, events=40, note="state of 10 variables, from tables on disk")


@row("activate a passivated session: 32 events", at_most(100 * MICRO))
def activate_events(bench: Bench) -> Measured:
    return _activate(bench, events=32, note="the longest tail that gets no snapshot")


def _activate(bench: Bench, events: int, note: str) -> Measured:
    rt = bench.runtime()
    pool = [_with_variables(rt, events) for _ in range(400)]
    for session in pool:
        _passivate(rt, session)
    rt.compact()
    dice = random.Random(1)

    def passivated(count: int) -> list[Session]:
        chosen = dice.sample(pool, count)
        for session in chosen:
            _passivate(rt, session)
        return chosen

    before = rt.stats()["activations"]
    measured = bench.time(lambda session: session.get("key0"), prepare=passivated, batch=100, note=note)
    assert rt.stats()["activations"] - before >= 100 * bench.rounds, "the sessions had not left memory"
    return measured


def _with_variables(rt: Runtime, events: int = 11) -> Session:
    """A session with the VARIABLES and as many events."""
    session = rt.create_session(name="benchmark")
    for key, value in itertools.islice(itertools.cycle(VARIABLES.items()), events - 1):
        session.set(key, value)
    return session


def _passivate(rt: Runtime, session: Session) -> None:
    actor = rt._supervisor.table.actors.get(session.id)
    if actor is not None:
        rt._supervisor.table.passivate(actor)
