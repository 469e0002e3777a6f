"""Storing: sizes between small and large, many threads at once, the fsync they share, and forking what was stored."""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from harness import Bench, Measured, at_least, at_most, row, summarize
from raw import RawStore, same_bytes
from texts import fresh_text, large_text

from greenroom.runtime import Runtime, Session

KIB, MIB = 1 << 10, 1 << 20
THREADED = 10 * KIB
_names = map("artifact-{}.txt".format, itertools.count(1))


@row("store 100 KiB that does not compress", None)
def store_random(bench: Bench) -> Measured:
    return _store(bench, os.urandom, 100 * KIB, batch=20, large=False)


@row("store 10 MiB of text", None)
def store_megabytes_of_text(bench: Bench) -> Measured:
    return _store(bench, large_text, 10 * MIB, batch=1, large=True)


@row("store 10 MiB that does not compress", None)
def store_random_megabytes(bench: Bench) -> Measured:
    return _store(bench, os.urandom, 10 * MIB, batch=1, large=True)


def _store(bench: Bench, content_of: Callable[[int], bytes], size: int, *, batch: int, large: bool) -> Measured:
    rt, raw = bench.runtime(), bench.keep(RawStore(bench.directory()))
    session = _roomy_session(rt)
    by_hand = raw.store_large if large else raw.store

    def settle(count: int) -> list[bytes]:
        rt._store.engine.flush()
        raw.flush()
        os.sync()
        return [content_of(size) for _ in range(count)]

    sample = content_of(size)
    note = same_bytes(
        rt,
        lambda: session.store_artifact("t", next(_names), sample),
        raw,
        lambda: by_hand(next(_names), sample),
    )
    return bench.compare(
        lambda content: session.store_artifact("t", next(_names), content),
        lambda content: by_hand(next(_names), content),
        "raw",
        prepare=settle,
        batch=batch,
        note=note,
    )


@row("store 10 KiB of text from 1 thread", None)
def one_thread(bench: Bench) -> Measured:
    return _threads(bench, 1)


@row("store 10 KiB of text from 4 threads", None)
def four_threads(bench: Bench) -> Measured:
    return _threads(bench, 4)


@row("store 10 KiB of text from 16 threads", None)
def sixteen_threads(bench: Bench) -> Measured:
    return _threads(bench, 16)


def _threads(bench: Bench, threads: int) -> Measured:
    """Artifacts a second of all threads together, each with a session of its own; the raw pipeline on one thread."""
    rt, raw = bench.runtime(), bench.keep(RawStore(bench.directory()))
    sessions = [_roomy_session(rt) for _ in range(threads)]
    mine, theirs = [], []
    count = 320
    for _ in range((3 if bench.scale == "quick" else 9) + 1):
        shares = [[fresh_text(THREADED) for _ in range(count // threads)] for _ in sessions]
        mine.append(count / _all_at_once(sessions, shares))
        contents = [fresh_text(THREADED) for _ in range(count)]
        begin = time.perf_counter()
        for content in contents:
            raw.store(next(_names), content)
        theirs.append(count / (time.perf_counter() - begin))
    return summarize(mine[1:], theirs[1:], "raw, one thread", unit="1/s")


def _all_at_once(sessions: list[Session], contents: list[list[bytes]]) -> float:
    """Seconds from the first store to the last."""
    ready = threading.Barrier(len(sessions) + 1)

    def work(session: Session, mine: list[bytes]) -> None:
        named = [(next(_names), content) for content in mine]
        ready.wait()
        for name, content in named:
            session.store_artifact("t", name, content)

    threads = [threading.Thread(target=work, args=each) for each in zip(sessions, contents, strict=True)]
    for thread in threads:
        thread.start()
    ready.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begin


@row("fork a session of 1000 events and 100 artifacts: per event", None)
def fork(bench: Bench) -> Measured:
    rt = bench.runtime()
    session = _roomy_session(rt)
    for _ in range(100):
        session.store_artifact("t", next(_names), fresh_text(KIB))
    for number in range(899):
        session.set(f"k{number % 20}", number)
    events = session.info().sequence
    measured = bench.time(session.fork, batch=2)
    parts = {name: (getattr(measured, name) or 0.0) / events for name in ("value", "low", "high")}
    return dataclasses.replace(measured, **parts, note=f"{measured.value * 1000:.1f} ms in all")


def _roomy_session(rt: Runtime) -> Session:
    return rt.create_session(config={"max_artifacts": 1_000_000, "max_storage_bytes": 1 << 40})


# -- fsync

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
