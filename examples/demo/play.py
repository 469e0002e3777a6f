"""The demo: ingest, a Lua script, a ``kill -9``, and the proof that nothing is lost. ``greenroom demo`` plays it."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from blake3 import blake3

from greenroom.runtime import GreenroomError, Runtime
from greenroom.runtime.ingest import sample_paths

from .ledger import Check, Ledger
from .stage import Stage

__all__ = ["WorkerFailed", "play"]

_WAIT_LIMIT = 60.0  # seconds that any one step may take


def play(kept: Path | None, files: list[Path], seconds: float) -> bool:
    """Play the demo in the directory `kept`, or in a temporary one; return whether nothing was lost.

    `files` are ingested together with the samples. The worker writes for about `seconds` before it is killed. Raises
    WorkerFailed. Call it on the main thread: while the demo plays, SIGTERM ends its worker and deletes its directory.
    """
    directory = kept or Path(tempfile.mkdtemp(prefix="greenroom-demo-"))
    stage = Stage()
    # A demo that is ended by SIGTERM must still delete its directory and end its worker.
    ended = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        passed = _play(stage, directory, files, seconds)
        stage.farewell(kept, passed)
    finally:
        if kept is None:
            shutil.rmtree(directory, ignore_errors=True)
        signal.signal(signal.SIGTERM, ended)
    return passed


def _play(stage: Stage, directory: Path, files: list[Path], seconds: float) -> bool:
    inputs = [*sample_paths(), *files]
    stage.title(directory)
    with _Worker(directory, inputs) as worker:
        stage.chapter(1, "A worker process ingests the sample conversations that come with greenroom")
        worker.wait("ingested")
        ledger = worker.ledger
        stage.ingested(
            inputs,
            len(ledger.sessions),
            ledger.events,
            ledger.artifact_count,
            ledger.artifact_bytes,
            worker.took,
        )

        stage.chapter(2, "The worker writes from four threads; a ledger records every acknowledgement")
        writing = time.perf_counter()
        before = ledger.events, ledger.artifact_count
        stage.watch(ledger, seconds / 2)
        script = Path(__file__).with_name("demo.lua")
        stage.chapter(3, "Meanwhile a Lua script reads the sessions")
        stage.script(script)
        worker.ask("script")
        said = worker.wait("script")
        if "error" in said:
            stage.complain(f"the script failed: {said['error']}")
            return False
        stage.script_result(said["value"], said["duration"])
        stage.watch(ledger, seconds / 2 + random.uniform(0, 0.3))

        stage.chapter(4, "In the middle of the work: kill -9")
        pid = worker.kill()
        took = time.perf_counter() - writing
        stage.killed(pid, ledger.events)

    stage.chapter(5, "The store is opened again and compared with the ledger")
    return _look(
        stage,
        directory,
        ledger,
        said["value"],
        (ledger.events - before[0]) / took,
        (ledger.artifact_count - before[1]) / took,
    )


def _look(
    stage: Stage, directory: Path, ledger: Ledger, script: dict[str, Any], events: float, artifacts: float
) -> bool:
    """Open the store after the crash and show what it holds; return whether everything is there."""
    started = time.perf_counter()
    with Runtime.open(directory) as runtime:
        reopened = time.perf_counter() - started
        checks: list[Check] = list(ledger.check(runtime))
        checks.append(_script_check(runtime, script))
        report = runtime.verify()
        problems = tuple(f"{p.kind} {p.where}: {p.detail}" for p in report.problems)
        checks.append(Check("problems that verify finds", 0, len(problems), problems))
        stage.checks(checks)
        stats = runtime.stats()
    stage.savings(stats)
    stage.speed(events, artifacts, reopened)
    return all(check.ok for check in checks)


def _script_check(runtime: Any, value: dict[str, Any]) -> Check:
    faults = []
    try:
        content = runtime.session(value["summary_session"]).get_artifact("summary.json").content
        if blake3(content).hexdigest() != value["summary_hash"]:
            faults.append("the script's summary is not what it stored")
    except GreenroomError as error:
        faults.append(f"the script's summary: {error}")
    tagged = runtime.list_sessions(tags=["used-tools"]).total
    if tagged < value["tagged"]:
        faults.append(f"{value['tagged'] - tagged} of the script's tags")
    expected = 1 + value["tagged"]
    return Check("tags and summary of the script", expected, expected - len(faults), tuple(faults))


class WorkerFailed(Exception):
    """The worker ended, or stopped responding, before it was killed."""


class _Worker:
    """The child process: starts it, reads its reports, sends it requests, kills it."""

    def __init__(self, directory: Path, files: list[Path]) -> None:
        self.ledger = Ledger()
        self.took = 0.0
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._milestones: dict[str, dict[str, Any]] = {}
        self._news = threading.Condition()
        self._ready_at = 0.0
        self._ended = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "greenroom.examples.demo.worker", str(directory), *map(str, files)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream:
                stream.close()

    def wait(self, milestone: str) -> dict[str, Any]:
        """Return the worker's report at a milestone. Raises WorkerFailed if the worker ends or goes silent before."""
        with self._news:
            self._news.wait_for(lambda: milestone in self._milestones or self._ended, _WAIT_LIMIT)
            if milestone in self._milestones:
                return self._milestones[milestone]
        self._process.kill()
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else "no reason given"
        raise WorkerFailed(f"the demo's worker did not reach {milestone!r}: {reason}")

    def ask(self, what: str) -> None:
        """Send the worker a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(what.encode() + b"\n")
        self._process.stdin.flush()

    def kill(self) -> int:
        """Kill the worker with SIGKILL, read its last reports, and return its process id."""
        self._process.kill()
        self._process.wait()
        self._ear.join()
        return self._process.pid

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.endswith(b"\n"):
                break  # the worker was killed while it wrote this line: not acknowledged
            said = json.loads(line)
            if "session" in said:
                self.ledger.add(said)
                continue
            if said["kind"] == "ready":
                self._ready_at = time.perf_counter()
            with self._news:
                self.took = time.perf_counter() - self._ready_at
                self._milestones[said["kind"]] = said
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
