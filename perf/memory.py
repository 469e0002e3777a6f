"""A process of its own that stores or reads a large artifact, or has many sessions in memory, and tells how much memory
that took. Linux only.

Usage: memory.py store|store_file|read|read_whole|resident STORE FILE. To read, `store_file` must have been run before.
Prints JSON: the `extra` bytes of resident memory at the peak. RocksDB's own buffers are in it, kept small here so
that little can hide behind them. Of `resident`, the bytes of one session: as Python counts them, and as `rss`.
"""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from pathlib import Path

from greenroom.runtime import Runtime, RuntimeConfig

WRITE_BUFFERS, BLOCK_CACHE = 8 << 20, 4 << 20


def status(field: str) -> int:
    """A field of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"no {field} in /proc/self/status")


SESSIONS = 10_000


def resident(store: str) -> None:
    """Print what one session in memory takes that has a name and a variable."""
    config = RuntimeConfig(write_buffer_bytes=WRITE_BUFFERS, max_resident_sessions=3 * SESSIONS)
    with Runtime.open(store, config=config) as rt:

        def make(count: int) -> None:
            for number in range(count):
                rt.create_session(name=f"session {number}").set("k", number)
            rt._store.engine.flush()
            gc.collect()

        make(SESSIONS // 10)
        before = status("VmRSS")
        make(SESSIONS)
        rss = status("VmRSS") - before
        tracemalloc.start()  # has memory of its own, so not before
        make(SESSIONS)
        print(json.dumps({"extra": tracemalloc.get_traced_memory()[0] // SESSIONS, "rss": rss // SESSIONS}))


def main(what: str, store: str, source: str) -> None:
    if what == "resident":
        resident(store)
        return
    config = RuntimeConfig(write_buffer_bytes=WRITE_BUFFERS, block_cache_bytes=BLOCK_CACHE)
    with Runtime.open(store, config=config) as rt:
        # Whatever is loaded or allocated once is there before the measuring begins.
        warm_up = rt.create_session()
        warm_up.store_artifact("tool_result", "small.txt", b"small" * 100_000)
        with warm_up.open_artifact("small.txt") as stream:
            stream.read()
        if what.startswith("store"):
            session = rt.create_session(name="large")
        else:
            session = rt.session(rt.list_sessions(search="large").items[0].id)
        content = Path(source).read_bytes() if what == "store" else b""
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before = status("VmRSS")
        if what == "store":
            session.store_artifact("tool_result", "large.txt", content)
        elif what == "store_file":
            session.store_file(source, "tool_result", "large.txt")
        elif what == "read":
            with session.open_artifact("large.txt") as stream:
                while stream.read(1 << 20):
                    pass
        elif what == "read_whole":
            before += len(session.get_artifact("large.txt").content)
        else:
            raise SystemExit(__doc__)
        print(json.dumps({"extra": status("VmHWM") - before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
