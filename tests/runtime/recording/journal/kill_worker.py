"""A host that records under load until it is killed. It prints what was acknowledged: a line for each call that has
returned, with the session, the number of the call in its block, and the answer."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from greenroom.runtime import Runtime
from greenroom.runtime.recording.boundaries.tools import tool
from greenroom.runtime.recording.tape.model import Asked
from greenroom.runtime.recording.tape.reels import active


@tool
def answer(question: str, size: int) -> str:
    """Answer, at some length."""
    return f"{question}: " + "x" * size


def ask(number: int, history: list[str]) -> str:
    """Call a tool, and a model with a conversation that grows, as a boundary of HTTP does it."""
    told = answer(f"question {number}", number % 7 * 1000)
    time.time_ns()
    history.append(told)
    reel = active()
    assert reel is not None
    body = "\n".join(history).encode()
    pending = reel.begin(
        Asked("http", "POST https://host/v1", {"method": "POST", "url": "https://host/v1", "body": body})
    )
    pending.tick()
    recorded = pending.recorded
    chunk: bytes = f"answer {number}".encode() if recorded is None else recorded["chunks"][0]
    pending.tick()
    pending.finish({"status": 200, "headers": [], "chunks": [chunk], "gaps": [1], "complete": True})
    return chunk.decode()


def requests(rt: Runtime, who: int) -> None:
    """Record block after block."""
    while True:
        with rt.recording(f"host {who}") as session:
            history: list[str] = []
            for number in range(1, 40):
                told = ask(number, history)
                os.write(1, f"{session.id} {number} {told}\n".encode())


def main(path: Path) -> None:
    rt = Runtime.open(path)
    for who in range(3):
        threading.Thread(target=requests, args=(rt, who), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
