"""Long life: sessions come, work and go for as long as asked, and nothing may grow. Linux only. Run: make soak

Between slices of work, when nothing runs, memory (after a collection and malloc_trim), Python's objects, threads, open
files and the disk are sampled. What the last quarter has more of than the second, beyond a stated margin, grows: the
exit code is 1 then. The first quarter fills caches and buffers. Latencies are of every call, by operation.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import itertools
import json
import math
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from measure import shown
from memory import status

from greenroom.runtime import Runtime, RuntimeConfig
from greenroom.storage.engine.engine import Engine

THREADS: Final = 3
SLICES: Final = 40
LIVING: Final = 400
"""Sessions that there are at a time; older ones are completed, and deleted by retention."""
CACHED: Final = 5000
WRITE_BUFFERS: Final = 8 << 20
CONFIG: Final = RuntimeConfig(
    write_buffer_bytes=WRITE_BUFFERS,
    block_cache_bytes=4 << 20,
    artifact_cache_bytes=4 << 20,
    max_resident_sessions=100,
    audit_max_records=1000,
)
TEXT: Final = b"the quick brown fox jumps over the lazy dog. " * 228
SCRIPT: Final = 'State.set("session:" .. Session.current().id, "by script", 1); return 1'


@dataclass(frozen=True)
class Margin:
    """How much more the last quarter may have than the second."""

    share: float
    amount: float


MARGINS: Final = {
    "memory": Margin(0.05, 2 << 20),
    "objects": Margin(0.005, 200),
    "blocks of Python": Margin(0.005, 1000),
    "threads": Margin(0, 2),
    "files": Margin(0, 16),
    "disk": Margin(0.2, WRITE_BUFFERS),
}
BOUNDS: Final = {"log of changes (WAL)": 2 * WRITE_BUFFERS, "RocksDB's own log": 3 << 20}


class Latencies:
    """Counts calls by operation and time, in steps of 2 %."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[int]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def of(self, operation: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        step = round(math.log(time.perf_counter() - begun) / math.log(1.02))
        with self._lock:
            self._counts.setdefault(operation, Counter())[step] += 1

    def table(self) -> dict[str, dict[str, float]]:
        return {name: self._row(counts) for name, counts in self._counts.items()}

    @staticmethod
    def _row(counts: Counter[int]) -> dict[str, float]:
        total = counts.total()
        row: dict[str, float] = {"calls": total}
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.99", 0.9999), ("longest", 1.0)):
            reached = 0
            for step in sorted(counts):
                reached += counts[step]
                if reached >= share * total:
                    row[name] = 1.02**step
                    break
        return row


class Engines:
    """RocksDB's own statistics, which a runtime does not keep: they are switched on for whatever opens meanwhile."""

    def __enter__(self) -> Engines:
        self._original = original = Engine._database_options

        def counted(engine: Engine, options: Any) -> Any:
            database, families = original(engine, options)
            database.enable_statistics()
            self._database = database
            return database, families

        Engine._database_options = counted  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        Engine._database_options = self._original  # type: ignore[method-assign]

    def count(self, name: str) -> int:
        for line in (self._database.get_statistics() or "").splitlines():
            if line.startswith(f"rocksdb.{name} COUNT : "):
                return int(line.rpartition(" ")[2])
        raise LookupError(f"RocksDB has no statistic {name!r}")


class Soak:
    """A runtime and the lives that are led in it."""

    def __init__(self, rt: Runtime) -> None:
        self.rt, self.latencies = rt, Latencies()
        self._numbers = itertools.count(1)
        self._living: deque[str] = deque()
        rt.tools.register("double", lambda n: {"n": 2 * n})

    def warm_up(self) -> None:
        """Fill the caches that are bounded by a number, or they would seem to grow in a short run."""
        for number in range(CACHED):
            self.rt.events.query(correlation_id=f"{number:036}/1", limit=1)
            self.rt.query_artifacts(tags=[f"{number:036}"], limit=1)

    def life(self) -> None:
        """Lead a session through all it may do, look at an old one, and end the oldest."""
        number, took = next(self._numbers), self.latencies.of
        with took("create"):
            session = self.rt.create_session(name=f"soak {number}", tags=["soak", f"t{number % 7}"], created_by="soak")
        with self.rt.events.subscribe("variable.*", session=session.id) as heard:
            for key in range(5):
                with took("set"):
                    session.set(f"key{key}", {"step": number})
            heard.receive(timeout=5)
        for key in range(5):
            with took("get"):
                session.get(f"key{key}")
        for role in ("user", "assistant") * 2:
            with took("add a message"):
                session.add_message(role, f"{number}: some text of a message")
        with took("read 20 messages"):
            [each.content for each in session.messages(limit=20)]
        with took("store 10 KiB"):
            session.store_artifact("tool_result", "result.txt", b"%d %s" % (number, TEXT))
        with took("read 10 KiB"):
            session.get_artifact("result.txt")
        with took("call a tool"):
            session.call_tool("double", {"n": number})
        with took("put a record"):
            session.records.put(f"r{number}".encode(), {"n": number})
        if number % 5 == 0:
            with took("run a script"):
                session.run_script(SCRIPT)
        if number % 5 == 1:
            with took("stream a message"), session.stream_message("assistant") as message:
                for piece in ("some ", "pieces ", "of text"):
                    message.write(piece)
        if number % 5 == 2:
            with took("follow 10 events"), session.follow() as events:
                for _ in itertools.islice(events, 10):
                    pass
        if number % 20 == 3:
            with took("fork"):
                session.fork().delete()
            session.save()
        self._living.append(session.id)
        self._look_at_old(number)
        while len(self._living) > LIVING:
            oldest = self.rt.session(self._living.popleft())
            with took("complete"):
                oldest.complete()

    def _look_at_old(self, number: int) -> None:
        ids = list(self._living)
        old = self.rt.session(ids[number * 7919 % len(ids)])
        with self.latencies.of("get, the session has left memory" if len(ids) > 200 else "get"):
            old.get("key0")

    def tidy(self) -> None:
        """Run retention, and look over the store."""
        with self.latencies.of("retention: what has ended"):
            self.rt.retention(ended_days=0, dry_run=False)
        with self.latencies.of("list the newest 20 by tag"):
            self.rt.list_sessions(tags=["t3"], limit=20)
        with self.latencies.of("collect what nothing refers to"):
            self.rt.gc()

    def work(self, seconds: float, pool: ThreadPoolExecutor) -> None:
        """Lead lives on all threads for a while, and tidy meanwhile."""
        end = time.monotonic() + seconds

        def lives() -> None:
            while time.monotonic() < end:
                self.life()

        for each in [pool.submit(self.tidy), *(pool.submit(lives) for _ in range(THREADS))]:
            each.result()


def sampled(store: Path) -> dict[str, float]:
    """What there is now, while nothing works."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    sizes = {each.name: each.stat().st_size for each in store.rglob("*") if each.is_file()}
    return {
        "memory": status("VmRSS"),
        "objects": len(gc.get_objects()),
        "blocks of Python": sys.getallocatedblocks(),
        "threads": threading.active_count(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "disk": sum(sizes.values()),
        "log of changes (WAL)": sum(size for name, size in sizes.items() if name.endswith(".log")),
        "RocksDB's own log": sum(size for name, size in sizes.items() if name.startswith("LOG")),
    }


def judged(samples: list[dict[str, float]]) -> dict[str, dict[str, float | bool]]:
    """Compare the medians of the second and the last quarter of each; what has bounds, its largest."""
    quarter = len(samples) // 4
    verdicts: dict[str, dict[str, float | bool]] = {}
    for what, margin in MARGINS.items():
        second = statistics.median(each[what] for each in samples[quarter : 2 * quarter])
        last = statistics.median(each[what] for each in samples[-quarter:])
        allowed = second * (1 + margin.share) + margin.amount
        verdicts[what] = {"second": second, "last": last, "allowed": allowed, "flat": last <= allowed}
    for what, bound in BOUNDS.items():
        most = max(each[what] for each in samples)
        verdicts[what] = {"last": most, "allowed": bound, "flat": most <= bound}
    return verdicts


def soaked(seconds: float, store: Path, tell: Callable[[str], object]) -> dict[str, Any]:
    """Return the report of a run: verdicts, latencies, samples, and RocksDB's stalls."""
    samples: list[dict[str, float]] = []
    slices = max(8, min(SLICES, int(seconds / 2)))
    with Engines() as engines, Runtime.open(store, config=CONFIG) as rt, ThreadPoolExecutor(THREADS + 1) as pool:
        soak = Soak(rt)
        soak.warm_up()
        begun = time.monotonic()
        for number in range(slices):
            soak.work(seconds / slices, pool)
            samples.append(sampled(store))
            tell(f"{number + 1} of {slices}: {samples[-1]}")
        took = time.monotonic() - begun
        stalls = engines.count("stall.micros") / 1e6
    latencies = soak.latencies.table()
    verdicts = judged(samples)
    return {
        "seconds": took,
        "lives": latencies["create"]["calls"],
        "stalled_seconds": stalls,
        "verdicts": verdicts,
        "flat": all(each["flat"] for each in verdicts.values()) and stalls < 0.001 * took,
        "latencies": latencies,
        "samples": samples,
    }


def printed(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    lines = ["| what | second quarter | last quarter, or most | allowed | |", "| --- | ---: | ---: | ---: | --- |"]
    for what, each in report["verdicts"].items():
        is_size = what not in ("objects", "blocks of Python", "threads", "files")
        cells = [
            "" if name not in each else shown(each[name], is_size=True) if is_size else f"{each[name]:,.0f}"
            for name in ("second", "last", "allowed")
        ]
        lines.append(f"| {what} | {' | '.join(cells)} | {'flat' if each['flat'] else '**grows**'} |")
    lines += ["", "| operation | calls | p50 | p99 | p99.99 | longest |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, row in report["latencies"].items():
        times = " | ".join(shown(row[key], is_size=False) for key in ("p50", "p99", "p99.99", "longest"))
        lines.append(f"| {name} | {row['calls']:,} | {times} |")
    lines += ["", f"{report['lives']:,} sessions in {report['seconds']:.0f} s; RocksDB stalled writers for "]
    lines[-1] += f"{report['stalled_seconds']:.3f} s."
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="how long (default: two minutes)")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "out" / "soak.json")
    parser.add_argument("--directory", type=Path, help="on this disk (default: temporary files)")
    parser.add_argument("--verbose", action="store_true", help="show every sample")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="greenroom-soak-", dir=options.directory) as folder:
        report = soaked(options.seconds, Path(folder) / "store", print if options.verbose else lambda _: None)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(printed(report))
    return 0 if report["flat"] else 1


if __name__ == "__main__":
    sys.exit(main())
