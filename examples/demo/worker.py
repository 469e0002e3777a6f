"""The process that the demo kills: it writes from several threads and reports every acknowledgement.

Run as ``python -m greenroom.examples.demo.worker STORE FILE…``. Each line on stdout is one JSON object:
an acknowledged write (``kind``: session, message, artifact, variable) or a milestone (ready, ingested,
script). The line ``script`` on stdin makes it run the demo's Lua script. It ends by itself only when
stdin closes.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import random
import sys
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from blake3 import blake3

from greenroom.runtime import GreenroomError, Runtime, Session
from greenroom.runtime.ingest import Conversation, Record, Turn, UnknownRecord, conversation_of, read_records

THREADS = 4
SCRIPT = Path(__file__).with_name("demo.lua")

_TEXT = """
the agent reads a file and finds that this test fails because of an empty list so it writes one line more
runs everything again waits looks at what came out and says so to whoever asked then stores the result
"""
_WORDS = _TEXT.split()
_KINDS = {"user": "user_input", "assistant": "agent_output", "tool": "tool_result"}


def digest(text: str) -> str:
    """Return the BLAKE3 of a text in hex, which stands for the text in an acknowledgement."""
    return blake3(text.encode()).hexdigest()


class _Worker:
    def __init__(self, runtime: Runtime, files: list[Path]) -> None:
        self._runtime = runtime
        self._files = files
        self._lock = threading.Lock()

    def ingest(self) -> None:
        """Ingest the files, with their conversations distributed among the threads."""
        work: queue.SimpleQueue[tuple[Path, str, Conversation] | None] = queue.SimpleQueue()

        def take() -> None:
            while (item := work.get()) is not None:
                path, position, conversation = item
                name = f"{path.stem} {position}"
                tags = ["ingested", conversation.format]
                session = self._runtime.create_session(name=name, created_by="demo", tags=tags)
                self.say(kind="session", session=session.id)
                for number, turn in enumerate(conversation.turns, start=1):
                    self._play(session, number, turn)

        threads = self._start(lambda _: take())
        for path in self._files:
            with path.open("rb") as stream:
                for found in read_records(stream):
                    if not isinstance(found, Record):
                        continue
                    try:
                        work.put((path, found.position, conversation_of(found.value)))
                    except UnknownRecord:
                        continue
        for _ in threads:
            work.put(None)
        for thread in threads:
            thread.join()
        self.say(kind="ingested")

    def _play(self, session: Session, number: int, turn: Turn) -> None:
        """Write one turn as a live agent would, and report it."""
        message = session.add_message(turn.role, turn.content, tool_calls=turn.tool_calls, metadata=turn.metadata)
        self._say_message(session, message.sequence, turn.text)
        kind = _KINDS.get(turn.role)
        if kind is not None and turn.text:
            name = f"turn-{number:04d}-{turn.role}.txt"
            self._say_artifact(session, session.store_artifact(kind, name, turn.text, created_by="demo"), turn.text)

    def write_on(self) -> None:
        """Write to new sessions from all threads until the process ends."""
        self._start(self._write)

    def run_script(self) -> None:
        """Run the Lua script and report what it returned."""
        try:
            result = self._runtime.run_script(SCRIPT)
        except GreenroomError as error:
            self.say(kind="script", error=f"{error.code}: {error}")
        else:
            self.say(kind="script", value=result.value, output=result.output, duration=result.duration)

    def _write(self, number: int) -> None:
        words = random.Random(number)
        session = self._live_session(number)
        for count in itertools.count(1):
            if count % 500 == 0:
                session = self._live_session(number)
            text = " ".join(words.choices(_WORDS, k=words.randint(5, 80)))
            self._say_message(session, session.add_message("assistant", text).sequence, text)
            if count % 2 == 0:
                session.set("progress", count)
                self.say(kind="variable", session=session.id, key="progress", value=count)
            if count % 5 == 0:
                # Agents read the same files again and again, so most contents are already in the store.
                which = count * THREADS + number if count % 20 == 0 else number % 2
                content = _report(which)
                artifact = session.store_artifact("tool_result", "report.txt", content, created_by="demo")
                self._say_artifact(session, artifact, content)

    def _live_session(self, number: int) -> Session:
        session = self._runtime.create_session(name=f"live work {number}", created_by="demo", tags=["live"])
        self.say(kind="session", session=session.id)
        return session

    def _start(self, target: Callable[[int], None]) -> list[threading.Thread]:
        threads = [threading.Thread(target=target, args=(number,), daemon=True) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        return threads

    def _say_message(self, session: Session, sequence: int, text: str) -> None:
        self.say(kind="message", session=session.id, sequence=sequence, digest=digest(text))

    def _say_artifact(self, session: Session, artifact: Any, text: str) -> None:
        self.say(kind="artifact", session=session.id, id=str(artifact.id), digest=digest(text), size=artifact.size)

    def say(self, **what: Any) -> None:
        """Report one acknowledgement or milestone."""
        line = (json.dumps(what) + "\n").encode()
        with self._lock:
            while line:  # a pipe may take a long line in pieces
                line = line[os.write(sys.stdout.fileno(), line) :]


@lru_cache(maxsize=64)
def _report(which: int) -> str:
    words = random.Random(which)
    return "\n".join(f"{line:4}  {' '.join(words.choices(_WORDS, k=12))}" for line in range(400))


def main(store: str, *files: str) -> None:
    """Ingest the files into the store, then write until killed."""
    with Runtime.open(store) as runtime:
        worker = _Worker(runtime, [Path(file) for file in files])
        worker.say(kind="ready")
        worker.ingest()
        worker.write_on()
        for line in sys.stdin:
            if line.strip() == "script":
                worker.run_script()
        os._exit(0)  # the demo is gone; the threads above never end


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except GreenroomError as error:
        sys.exit(str(error))
