"""What chunk sizes cost and save: the measurement behind the constants in greenroom.storage.content.

For each average size: storing a content and reading it back (median of rounds), and how many new bytes an edited copy
of it adds, of which 5 words in every MiB differ (2 in every 10 MiB for large ones), on average over several copies.
Run: python perf/chunks.py
"""

from __future__ import annotations

import random
import statistics
import time

from pyfastcdc import FastCDC
from rich.console import Console
from rich.table import Table
from texts import large_text

from greenroom.runtime import Runtime
from greenroom.storage.content import cutters

KIB, MIB = 1 << 10, 1 << 20
COPIES = 10
CASES = (
    ("SMALL", 1 * MIB, 5.0, (8, 16, 32, 64), 15),
    ("LARGE", 50 * MIB, 0.2, (32, 64, 128, 256), 5),
)


def cutter(average: int) -> FastCDC:
    """A cutter whose chunks are within a factor of 4 of the average, in KiB."""
    return FastCDC(avg_size=average * KIB, min_size=average * KIB // 4, max_size=average * KIB * 4)


def edited(content: bytes, edits_per_mib: float, seed: int) -> bytes:
    copy = bytearray(content)
    dice = random.Random(seed)
    for _ in range(int(len(content) / MIB * edits_per_mib)):
        at = dice.randrange(len(copy))
        copy[at : at + 4] = b"rewritten"
    return bytes(copy)


def new_bytes(cut: FastCDC, content: bytes, copy: bytes) -> int:
    known = {bytes(chunk.data) for chunk in cut.cut_buf(content)}
    return sum(chunk.length for chunk in cut.cut_buf(copy) if bytes(chunk.data) not in known)


def main() -> None:
    table = Table(title="chunk sizes")
    for column in ("content", "average chunk", "store", "read", "an edited copy adds"):
        table.add_column(column, justify="right")
    for constant, size, edits, averages, rounds in CASES:
        times: dict[int, list[tuple[float, float]]] = {average: [] for average in averages}
        original = getattr(cutters, constant)
        with Runtime.open() as rt:
            for turn in range(rounds):
                for average in averages:
                    setattr(cutters, constant, cutter(average))
                    content = large_text(size)
                    session = rt.create_session()
                    rt._store.engine.flush()
                    begin = time.perf_counter()
                    session.store_artifact("tool_result", f"{turn}.txt", content)
                    stored = time.perf_counter()
                    with session.open_artifact(f"{turn}.txt") as stream:
                        while stream.read(MIB):
                            pass
                    times[average].append((stored - begin, time.perf_counter() - stored))
                    session.delete()
        setattr(cutters, constant, original)
        content = large_text(size)
        copies = [edited(content, edits, seed) for seed in range(COPIES)]
        for average, taken in times.items():
            store, read = (statistics.median(each) for each in zip(*taken, strict=True))
            added = statistics.mean(new_bytes(cutter(average), content, copy) for copy in copies) / size
            table.add_row(
                f"{size // MIB} MiB",
                f"{average} KiB",
                f"{size / MIB / store:.0f} MiB/s",
                f"{size / MIB / read:.0f} MiB/s",
                f"{added:.1%}",
            )
        table.add_section()
    Console().print(table)


if __name__ == "__main__":
    main()
