"""Records, against a table of SQLite with a log (WAL, `synchronous=NORMAL`) and against a dict."""

from __future__ import annotations

import itertools
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from harness import MICRO, MILLI, Bench, Measured, at_most, row
from peers import SqliteRecords

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


def _sides(bench: Bench) -> tuple[Session, SqliteRecords]:
    session, peer = bench.runtime().create_session(), bench.keep(SqliteRecords(bench.directory()))
    session.records.put_many({_key(number): _value(number) for number in range(_COUNT)})
    for number in range(_COUNT):
        peer.put(_key(number), _value(number))
    return session, peer


def _fresh() -> Callable[[int], Iterable[tuple[bytes, bytes]]]:
    numbers = itertools.count(_COUNT)
    return lambda batch: [(_key(number), _value(number)) for number in itertools.islice(numbers, batch)]


@row("put a record of 2 KiB", at_most(60 * MICRO))
def put(bench: Bench) -> Measured:
    session, peer = _sides(bench)
    return bench.compare(
        lambda pair: session.records.put(*pair),
        lambda pair: peer.put(*pair),
        _SQLITE,
        prepare=_fresh(),
        prepare_baseline=_fresh(),
    )


@row("get a record of 2 KiB", at_most(10 * MICRO))
def get(bench: Bench) -> Measured:
    session, peer = _sides(bench)
    return bench.compare(lambda: session.records.get(_key(500)), lambda: peer.get(_key(500)), _SQLITE)


@row("get a record of 2 KiB, against a dict", None)
def get_dict(bench: Bench) -> Measured:
    session, _ = _sides(bench)
    kept = {_key(number): _value(number) for number in range(_COUNT)}
    return bench.compare(lambda: session.records.get(_key(500)), lambda: kept.get(_key(500)), "dict")


@row("scan the newest 20 of 1000 records", at_most(100 * MICRO))
def scan(bench: Bench) -> Measured:
    session, peer = _sides(bench)
    return bench.compare(
        lambda: session.records.scan(prefix=b"step/", reverse=True, limit=20),
        lambda: peer.newest(b"step/", 20),
        _SQLITE,
    )


@row("put 20 records of 2 KiB in one write", None)
def put_many(bench: Bench) -> Measured:
    session, peer = _sides(bench)
    fresh, theirs = _fresh(), _fresh()

    def by_hand(pairs: dict[bytes, bytes]) -> None:
        for key, value in pairs.items():
            peer.put(key, value)

    return bench.compare(
        session.records.put_many,
        by_hand,
        f"{_SQLITE}, one by one",
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
    with SqliteRecords(theirs) as peer:
        for step, value in enumerate(checkpoints):
            peer.put(_key(step), value)
    mine, other = _disk_bytes(folder) / 1e6, _disk_bytes(theirs) / 1e6
    note = f"after close; {sum(map(len, checkpoints)) / 1e6:.0f} MB of values"
    return Measured(mine, "MB", baseline=other, baseline_name=_SQLITE, ratio=mine / other, note=note)


def _written(path: Path, values: list[bytes]) -> Any:
    """Write checkpoints into a new store, and close it."""
    with Runtime.open(path, config=RuntimeConfig()) as rt:
        session = rt.create_session()
        for step, value in enumerate(values):
            session.records.put(_key(step), value)
    return session


@row("first read of a record after opening", at_most(10 * MILLI))
def first_read(bench: Bench) -> Measured:
    path = bench.directory() / "store"
    session = _written(path, _checkpoints())
    times: list[float] = []
    for _ in range(5):
        with Runtime.open(path, config=RuntimeConfig()) as rt:
            opened = rt.session(session.id)
            begin = time.perf_counter()
            opened.records.get(_key(_CHECKPOINTS - 1))
            times.append(time.perf_counter() - begin)
    return Measured(statistics.median(times), rounds=len(times), note="the last of 1000 checkpoints, 60 KB")
