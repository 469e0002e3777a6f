"""Records, beside a table of SQLite with a log (WAL, `synchronous=NORMAL`), and a dict."""

from __future__ import annotations

import heapq
import itertools
import json
import os
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from harness import MICRO, MILLI, Bench, Measured, at_most, row, summarize, timed_batch
from peers.by_hand import SqliteRecords

from greenroom.runtime import Runtime, RuntimeConfig, Session

_COUNT = 1000
_TURNS = 200
_CHECKPOINTS = 1000
_SQLITE = "SQLite WAL/NORMAL"


def _value(number: int) -> bytes:
    """2 KiB, of which half can be compressed away."""
    half = random.Random(number).randbytes(1024)
    return half + bytes(1024)


def _key(number: int) -> bytes:
    return b"step/%08d" % number


def _sides(bench: Bench) -> tuple[Session, SqliteRecords, dict[bytes, bytes]]:
    """The same 1000 records in a session, in SQLite and in a dict."""
    session, peer = bench.runtime().create_session(), bench.keep(SqliteRecords(bench.directory()))
    held = {_key(number): _value(number) for number in range(_COUNT)}
    session.records.put_many(held)
    peer.put_all(list(held.items()))
    return session, peer, held


def _fresh() -> Callable[[int], Iterable[tuple[bytes, bytes]]]:
    numbers = itertools.count(_COUNT)
    return lambda batch: [(_key(number), _value(number)) for number in itertools.islice(numbers, batch)]


@row("put a record of 2 KiB", at_most(60 * MICRO))
def put(bench: Bench) -> Measured:
    session, peer, held = _sides(bench)
    return bench.compare(
        lambda pair: session.records.put(*pair),
        lambda pair: peer.put(*pair),
        _SQLITE,
        memory=lambda pair: held.update((pair,)),
        prepare=_fresh(),
        prepare_baseline=_fresh(),
    )


@row("get a record of 2 KiB", at_most(10 * MICRO))
def get(bench: Bench) -> Measured:
    session, peer, held = _sides(bench)
    key = _key(500)
    return bench.compare(
        lambda: session.records.get(key), lambda: peer.get(key), _SQLITE, memory=lambda: held.get(key), batch=1000
    )


@row("scan the newest 20 of 1000 records", at_most(100 * MICRO))
def scan(bench: Bench) -> Measured:
    session, peer, held = _sides(bench)

    def newest() -> list[tuple[bytes, bytes]]:
        return heapq.nlargest(20, (pair for pair in held.items() if pair[0].startswith(b"step/")))

    return bench.compare(
        lambda: session.records.scan(prefix=b"step/", reverse=True, limit=20),
        lambda: peer.newest(b"step/", 20),
        _SQLITE,
        memory=newest,
        batch=50,
    )


@row("put 20 records of 2 KiB in one write", None)
def put_many(bench: Bench) -> Measured:
    session, peer, held = _sides(bench)
    fresh, theirs = _fresh(), _fresh()
    return bench.compare(
        session.records.put_many,
        lambda pairs: peer.put_all(list(pairs.items())),
        f"{_SQLITE}, one transaction",
        memory=held.update,
        prepare=lambda batch: [dict(fresh(20)) for _ in range(batch)],
        prepare_baseline=lambda batch: [dict(theirs(20)) for _ in range(batch)],
        batch=20,
    )


def _checkpoints() -> list[bytes]:
    """1000 checkpoints of a conversation that grows to 200 messages of 200 to 400 bytes."""
    source = random.Random(1)
    words = ["".join(source.choices("abcdefghijklmnopqrstuvwxyz", k=source.randint(2, 10))) for _ in range(5000)]
    turns = [
        {
            "role": "assistant" if at % 2 else "user",
            "content": " ".join(source.choices(words, k=source.randint(28, 56))),
        }
        for at in range(_TURNS)
    ]
    held = (turns[: step * _TURNS // _CHECKPOINTS + 1] for step in range(_CHECKPOINTS))
    return [json.dumps({"step": step, "messages": messages}).encode() for step, messages in enumerate(held)]


def _disk_bytes(folder: Path) -> int:
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


@row("1000 growing checkpoints of 200 messages, on disk", at_most(10))
def growth(bench: Bench) -> Measured:
    checkpoints, folder, theirs = _checkpoints(), bench.directory(), bench.directory()
    _written(folder / "store", checkpoints)
    _written_by_hand(theirs, checkpoints)
    mine, other, values = _disk_bytes(folder) / 1e6, _disk_bytes(theirs) / 1e6, sum(map(len, checkpoints)) / 1e6
    return Measured(
        mine, "MB", baseline=other, baseline_name=_SQLITE, ratio=mine / other, memory=values, note="after close"
    )


def _written(path: Path, values: list[bytes]) -> Any:
    """Write checkpoints into a new store, and close it."""
    with Runtime.open(path, config=RuntimeConfig()) as rt:
        session = rt.create_session()
        for step, value in enumerate(values):
            session.records.put(_key(step), value)
    return session


def _written_by_hand(folder: Path, values: list[bytes]) -> None:
    with SqliteRecords(folder) as peer:
        for step, value in enumerate(values):
            peer.put(_key(step), value)


@row("first read of a record after opening", at_most(10 * MILLI))
def first_read(bench: Bench) -> Measured:
    checkpoints, path, theirs = _checkpoints(), bench.directory() / "store", bench.directory()
    session = _written(path, checkpoints)
    _written_by_hand(theirs, checkpoints)
    held, last = {_key(step): value for step, value in enumerate(checkpoints)}, _key(_CHECKPOINTS - 1)
    mine, other, in_memory = list[float](), list[float](), list[float]()
    for _ in range(bench.rounds):
        with Runtime.open(path, config=RuntimeConfig()) as rt:
            opened = rt.session(session.id)
            mine.append(timed_batch(lambda opened=opened: opened.records.get(last), 1, None))
        with SqliteRecords(theirs) as peer:
            other.append(timed_batch(lambda peer=peer: peer.get(last), 1, None))
        in_memory.append(timed_batch(lambda: held.get(last), 1, None))
    return summarize(mine, other, _SQLITE, in_memory, note="the last of 1000 checkpoints, 60 KB")
