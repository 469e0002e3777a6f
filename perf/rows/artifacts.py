"""Artifacts: small ones, large ones, and content that is there already."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable

from blake3 import blake3
from harness import MICRO, Bench, Measured, at_least, at_most, row, summarize
from raw import RawStore, same_bytes
from texts import fresh_text, large_text

from greenroom.runtime import Runtime, Session

KIB, MIB = 1 << 10, 1 << 20
LARGE = 100 * MIB
_names = map("artifact-{}.txt".format, itertools.count(1))


@row("store 1 KiB", at_most(50 * MICRO))
def store_small(bench: Bench) -> Measured:
    return _store(bench, KIB, 200)


@row("store 100 KiB of text", at_most(1.3, "ratio"))
def store_text(bench: Bench) -> Measured:
    return _store(bench, 100 * KIB, 20)


def _store(bench: Bench, size: int, batch: int) -> Measured:
    rt, raw = bench.runtime(), bench.keep(RawStore(bench.directory()))
    session = _roomy_session(rt)

    def ours(content: bytes) -> None:
        session.store_artifact("tool_result", next(_names), content)

    def by_hand(content: bytes) -> None:
        raw.store(next(_names), content)

    content = fresh_text(size)
    note = same_bytes(rt, lambda: ours(content), raw, lambda: by_hand(content))
    return bench.compare(
        ours, by_hand, "raw", prepare=lambda count: [fresh_text(size) for _ in range(count)], batch=batch, note=note
    )


@row("store 100 MiB of text", at_least(0.8, "ratio"))
def store_large_text(bench: Bench) -> Measured:
    return _store_large(bench, large_text)


@row("store 100 MiB that does not compress", at_least(0.8, "ratio"))
def store_large_binary(bench: Bench) -> Measured:
    return _store_large(bench, os.urandom)


def _store_large(bench: Bench, content_of: Callable[[int], bytes]) -> Measured:
    rt, raw = bench.runtime(), bench.keep(RawStore(bench.directory()))
    session = _roomy_session(rt)

    def settle(count: int) -> list[bytes]:
        # What the last round left in memory goes to disk outside the time, on both sides.
        rt._store.engine.flush()
        raw.flush()
        os.sync()
        return [content_of(LARGE) for _ in range(count)]

    def ours(content: bytes) -> None:
        session.store_artifact("tool_result", next(_names), content)

    def by_hand(content: bytes) -> None:
        raw.store_large(next(_names), content)

    sample = content_of(LARGE)
    note = same_bytes(rt, lambda: ours(sample), raw, lambda: by_hand(sample))
    measured = bench.compare(
        ours, by_hand, "raw", prepare=settle, batch=1, rounds=_large_rounds(bench), note=f"from memory; {note}"
    )
    return _throughput(measured)


@row("read 100 MiB as a stream", at_least(0.8, "ratio"))
def read_stream(bench: Bench) -> Measured:
    def ours(session: Session) -> None:
        with session.open_artifact("large.txt") as stream:
            while stream.read(MIB):
                pass

    def by_hand(raw: RawStore) -> None:
        for _ in raw.read_large("large.txt"):
            pass

    return _read_large(bench, ours, by_hand)


@row("read 100 MiB whole", at_least(0.8, "ratio"))
def read_whole(bench: Bench) -> Measured:
    return _read_large(
        bench, lambda session: session.get_artifact("large.txt"), lambda raw: b"".join(raw.read_large("large.txt"))
    )


def _read_large(bench: Bench, ours: Callable[[Session], object], by_hand: Callable[[RawStore], object]) -> Measured:
    rt, raw = bench.runtime(), bench.keep(RawStore(bench.directory()))
    session = _roomy_session(rt)
    content = large_text(LARGE)
    session.store_artifact("tool_result", "large.txt", content)
    raw.store_large("large.txt", content)
    rt._store.engine.flush()
    raw.flush()
    assert session.get_artifact("large.txt").content == content == b"".join(raw.read_large("large.txt"))
    del content
    measured = bench.compare(
        lambda: ours(session), lambda: by_hand(raw), "raw", batch=1, rounds=_large_rounds(bench), note="text"
    )
    return _throughput(measured)


def _large_rounds(bench: Bench) -> int:
    return 3 if bench.scale == "quick" else 9


def _throughput(measured: Measured) -> Measured:
    """Seconds for 100 MiB as MiB a second: ratio and quartiles turn around with them."""

    def rate(seconds: float | None) -> float | None:
        return LARGE / MIB / seconds if seconds else None

    return dataclasses.replace(
        measured,
        value=LARGE / MIB / measured.value,
        unit="MiB/s",
        baseline=rate(measured.baseline),
        ratio=1 / measured.ratio if measured.ratio else None,
        low=rate(measured.high),
        high=rate(measured.low),
    )


@row("store 100 MiB from memory: extra memory", at_most(32 * MIB))
def store_memory(bench: Bench) -> Measured:
    return _extra_memory(bench, "store")


@row("store 100 MiB from a file: extra memory", at_most(32 * MIB))
def store_file_memory(bench: Bench) -> Measured:
    return _extra_memory(bench, "store_file")


@row("read 100 MiB as a stream: extra memory", at_most(32 * MIB))
def read_memory(bench: Bench) -> Measured:
    return _extra_memory(bench, "read")


@row("read 100 MiB whole: extra memory", at_most(32 * MIB))
def read_whole_memory(bench: Bench) -> Measured:
    return _extra_memory(bench, "read_whole", note="beyond the content itself, ")


def _extra_memory(bench: Bench, what: str, note: str = "") -> Measured:
    """How far the memory of a process of its own grows, RocksDB's buffers (kept small there) and all."""
    source = bench.directory() / "source.txt"
    source.write_bytes(large_text(LARGE))
    extra = []
    for _ in range(1 if bench.scale == "quick" else 3):
        store = bench.directory() / "store"
        if what.startswith("read"):
            # Another process reads: what storing has allocated once must not be there for reading to reuse.
            bench.process("memory.py", "store_file", store, source)
        extra.append(float(bench.process("memory.py", what, store, source)["extra"]))
    return summarize(extra, [], "", unit="B", note=f"peak RSS, {note}RocksDB's own 12 MiB included")


@row("store known content again: above hashing it", at_most(45 * MICRO))
def store_known(bench: Bench) -> Measured:
    rt = bench.runtime()
    session = _roomy_session(rt)
    content = fresh_text(100 * KIB)
    session.store_artifact("tool_result", next(_names), content)
    both = bench.compare(
        lambda: session.store_artifact("tool_result", next(_names), content), lambda: blake3(content).digest(), "blake3"
    )
    hashing = both.baseline or 0.0
    return dataclasses.replace(
        both,
        value=both.value - hashing,
        low=(both.low or 0.0) - hashing,
        high=(both.high or 0.0) - hashing,
        ratio=None,
        note=f"100 KiB: {both.value / MICRO:.0f} µs in all",
    )


@row("store known content again: content bytes written", at_most(0))
def store_known_bytes(bench: Bench) -> Measured:
    rt = bench.runtime()
    contents = [fresh_text(size) for size in (KIB, 100 * KIB, 3 * MIB)]
    _store_all(_roomy_session(rt), contents)
    before = _content_bytes(rt)
    other = _roomy_session(rt)
    for _ in range(3):
        _store_all(other, contents)
    return Measured(float(_content_bytes(rt) - before), "B", note="1 KiB, 100 KiB and 3 MiB, 3 times, another session")


def _store_all(session: Session, contents: list[bytes]) -> None:
    for content in contents:
        session.store_artifact("tool_result", next(_names), content)


def _content_bytes(rt: Runtime) -> int:
    """What content takes, by the runtime's statistics and by the tables themselves, whichever has grown more."""
    rt._store.engine.flush()
    statistics = rt.stats()
    return int(max(statistics["artifacts"]["stored_bytes"], statistics["store"]["chunks"]["table_bytes"]))


def _roomy_session(rt: Runtime) -> Session:
    return rt.create_session(config={"max_artifacts": 1_000_000, "max_storage_bytes": 1 << 40})
