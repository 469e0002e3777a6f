"""What recording costs, beside reeltime in the same process (`pip install httpx reeltime`). Prints a JSON object of
lists: seconds of CPU time of the program's thread in each round, since others on the machine are not to count. The
sides take turns, round by round.

The transport answers at once, so that nothing but the program, its client and the recording is timed."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import reeltime

from greenroom.runtime import Runtime
from greenroom.runtime.recording.boundaries.install import install
from greenroom.runtime.recording.tape.player import Player
from greenroom.runtime.recording.tape.recorder import Recorder
from greenroom.runtime.recording.tape.reels import set_process_reel
from greenroom.runtime.recording.tape.report import ReportFile
from greenroom.runtime.recording.tape.spool import SpoolSink, SpoolWriter, read_spool

ROUNDS, CALLS, READS, REPLAYED = 15, 200, 5000, 1000
ANSWER = json.dumps({"choices": [{"message": {"role": "assistant", "content": "word " * 200}}]}).encode()
HEAD = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(ANSWER)).encode()),
    (b"x-request-id", b"req_1"),
    (b"x-ratelimit-remaining-requests", b"99"),
]
QUESTION = "How is the weather? " * 80
_CLOCK = (time.thread_time,)  # in a tuple, where nobody replaces it by one that is recorded


class _Answer(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield ANSWER


class _Instant(httpx.BaseTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=HEAD, stream=_Answer(), extensions={"http_version": b"HTTP/1.1"})


def ask(client: httpx.Client, count: int) -> None:
    for number in range(count):
        body = {"model": "m", "messages": [{"role": "user", "content": f"{number}: {QUESTION}"}]}
        client.post("https://api.example.com/v1/chat/completions", json=body).json()


def read_clock(count: int) -> None:
    for _ in range(count):
        time.time()


@contextlib.contextmanager
def spooled(path: Path) -> Iterator[None]:
    """Record as `greenroom record` does it."""
    recorder = Recorder(SpoolSink(SpoolWriter(path)))
    set_process_reel(recorder)
    try:
        yield
    finally:
        set_process_reel(None)
        recorder.close()


@contextlib.contextmanager
def journaled(rt: Runtime) -> Iterator[None]:
    """Record as a host does it. What is understood behind the block is over before another side is timed."""
    with rt.recording("bench") as session:
        yield
    session.info()


@contextlib.contextmanager
def replayed(path: Path) -> Iterator[None]:
    file = ReportFile(f"{path}.{time.time_ns()}.report")
    player = Player(read_spool(path), answered=lambda: file.write(player.report, waiting=player.waiting))
    set_process_reel(player)
    try:
        yield
    finally:
        set_process_reel(None)
    report = player.end()
    assert report.is_exact, report


def timed(side: Callable[[], AbstractContextManager[Any]], work: Callable[[], None]) -> float:
    with side():
        (clock,) = _CLOCK
        begin = clock()
        work()
        return clock() - begin


def in_turns(sides: dict[str, Callable[[], AbstractContextManager[Any]]], work: Callable[[], None]) -> dict[str, Any]:
    """Return the seconds of each round. One round before the first is thrown away."""
    names = list(sides)
    found: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(ROUNDS + 1):
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            found[name].append(timed(sides[name], work))
    return {name: seconds[1:] for name, seconds in found.items()}


def main(folder: Path) -> dict[str, Any]:
    install()
    numbers = iter(range(1_000_000))
    tapes = folder / "reeltime"

    def spool() -> AbstractContextManager[None]:
        return spooled(folder / f"{next(numbers)}.spool")

    def peer() -> AbstractContextManager[Any]:
        return reeltime.session(tape_dir=tapes)

    with (
        httpx.Client(transport=_Instant(), headers={"authorization": "Bearer none"}) as client,
        Runtime.open(folder / "store") as rt,
    ):
        sides: dict[str, Callable[[], AbstractContextManager[Any]]] = {
            "none": contextlib.nullcontext,
            "spool": spool,
            "journal": lambda: journaled(rt),
            "peer": peer,
        }
        calls = in_turns(sides, lambda: ask(client, CALLS))
        reads = in_turns(sides, lambda: read_clock(READS))
        with spooled(folder / "long.spool"):
            ask(client, REPLAYED)
        with reeltime.session(tape_dir=tapes) as tape:
            ask(client, REPLAYED)
        again: dict[str, Callable[[], AbstractContextManager[Any]]] = {
            "none": contextlib.nullcontext,
            "replay": lambda: replayed(folder / "long.spool"),
            "peer": lambda: reeltime.session("replay", tape_dir=tapes, replay=tape.run_id),
        }
        replays = in_turns(again, lambda: ask(client, REPLAYED))
    counts = {"calls": CALLS, "reads": READS, "replays": 1}
    return {
        name: {side: [each / counts[name] for each in seconds] for side, seconds in found.items()}
        for name, found in (("calls", calls), ("reads", reads), ("replays", replays))
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as temporary:
        with contextlib.redirect_stdout(sys.stderr):
            figures = main(Path(temporary))
        print(json.dumps(figures))
