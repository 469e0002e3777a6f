"""A batch of inputs through a model: retried, resumable, and each input answered once.

Run: python examples/batch_pipeline.py
Each input is a session with a key of its own, so that a second run finds it again. The answer, its artifact and the end
of the session are one write: after a crash an input is answered as a whole or not at all. What the pipeline knows about
its work (attempts, what was given up) are records of a session of the job. The first run kills itself with SIGKILL; the
second finishes the work.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from greenroom.runtime import Runtime, Session

JOB = "job/reviews"
ATTEMPTS = 3
WORDS = ["crisp", "stale", "warm", "burnt", "sweet"]


def inputs() -> Iterator[tuple[str, str]]:
    """Yield an id and a text for each input. A real pipeline would read a file."""
    for number in range(30):
        yield f"review-{number:03d}", f"The bread was {WORDS[number % len(WORDS)]}."


def model(text: str, attempt: int) -> str:
    """Stand in for a language model: busy at the first attempt with some inputs, and never able to do with others."""
    if "burnt" in text or (attempt == 1 and "stale" in text):
        raise ConnectionError("the model is busy")
    mood = "good" if any(word in text for word in ("crisp", "warm", "sweet")) else "bad"
    return json.dumps({"mood": mood, "because": text.rsplit(maxsplit=1)[-1].rstrip(".")})


def answer(runtime: Runtime, job: Session, name: str, text: str) -> str:
    """Answer one input, and return what became of it."""
    session = runtime.get_or_create(f"{JOB}/{name}", name=name, parent=job, tags=["review"])
    if str(session.info().status) != "active":
        return "there already"
    failures = job.records.get(f"failures/{name}", 0)  # those of earlier runs count too
    assert isinstance(failures, int)
    while failures < ATTEMPTS:
        try:
            said = model(text, failures + 1)
        except ConnectionError:
            failures += 1
            job.records.put(f"failures/{name}", failures)
            continue  # a real pipeline would wait here, longer each time
        with session.batch() as write:
            write.add_message("user", text)
            write.add_message("assistant", said)
            write.store_artifact("agent_output", "mood.json", said, mime_type="application/json")
            write.complete()
        return "answered"
    session.fail(f"given up after {failures} attempts")
    return "given up"


def run(store: str, die_after: int | None) -> None:
    """Do what is left of the job. Kill this process after `die_after` inputs."""
    with Runtime.open(store) as runtime:
        job = runtime.get_or_create(JOB, name="moods of reviews")
        counts: dict[str, int] = {}
        lock = threading.Lock()

        def one(item: tuple[str, str]) -> None:
            outcome = answer(runtime, job, *item)
            with lock:
                counts[outcome] = counts.get(outcome, 0) + 1
                if sum(counts.values()) == die_after:
                    os.kill(os.getpid(), signal.SIGKILL)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(one, inputs()))
        print("  this run:", ", ".join(f"{counts[each]} {each}" for each in sorted(counts)), flush=True)


def report(store: str) -> None:
    """Say what the store has."""
    with Runtime.open(store, read_only=True) as runtime:
        moods: dict[str, int] = {}
        for info in runtime.list_sessions(tags=["review"], status="completed"):
            session = runtime.session(info.id)
            assert [message.role for message in session.messages()] == ["user", "assistant"]  # once, and whole
            mood = json.loads(session.get_artifact("mood.json").content)["mood"]
            moods[mood] = moods.get(mood, 0) + 1
        failed = runtime.list_sessions(tags=["review"], status="failed")
        job = runtime.session(key=JOB)
        failures = sum(int(str(count)) for _, count in job.records.iterate("failures/"))
        print(f"moods: {moods['good']} good, {moods['bad']} bad; given up: {len(failed)}; failures: {failures}")
        assert sum(moods.values()) + len(failed) == len(list(inputs()))


def main() -> None:
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, __file__, store]
        print("first run, which kills itself:")
        done = subprocess.run([*command, "12"], check=False)
        assert done.returncode == -signal.SIGKILL
        print("second run:")
        subprocess.run(command, check=True)
        print("third run, with nothing left to do:")
        subprocess.run(command, check=True)
        report(store)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)
    else:
        main()
