"""A host that records a block, and ends as it is told: `spool_worker.py STORE HOW LOOKS SIZE`. It prints the session,
and each answer once it has it."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from greenroom.runtime import Runtime
from greenroom.runtime.recording.boundaries.tools import tool
from greenroom.runtime.recording.tape.reels import active

CALLS = 6


@tool
def answer(question: str, size: int) -> str:
    """Answer, at some length."""
    return f"{question}: " + "x" * size


def clock(reading: int) -> int:
    """Read a clock of the program's own."""
    reel = active()
    assert reel is not None
    code = clock.__code__
    value: int = reel.read("clock", "time.time_ns", code, code.co_firstlineno, lambda: reading)
    return value


def run(rt: Runtime, how: str, *, looks: bool, size: int) -> None:
    with rt.recording("block") as session:
        print(session.id, flush=True)
        for number in range(CALLS):
            clock(number)
            told = answer(f"question {number}", size)
            print(told[:30], flush=True)
            if looks:
                assert sum(each.type == "recording.crossing" for each in session.events()) == number + 1
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "raised":
            raise LookupError("the block")


def main(path: Path, how: str, *, looks: bool, size: int) -> None:
    rt = Runtime.open(path)
    with suppress(LookupError):
        run(rt, how, looks=looks, size=size)
    if how != "closed":
        os._exit(0)  # nothing that waits is done
    rt.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], looks=sys.argv[3] == "looks", size=int(sys.argv[4]))
