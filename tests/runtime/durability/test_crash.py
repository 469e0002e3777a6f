"""Kills a writing process again and again: nothing that it was told is done may be missing afterwards."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import ArtifactId, Runtime, SessionNotFound
from greenroom.runtime.config.config import RuntimeConfig

WORKER = Path(__file__).with_name("crash_worker.py")
_specification = importlib.util.spec_from_file_location("crash_worker", WORKER)
assert _specification is not None
assert _specification.loader is not None
crash_worker = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(crash_worker)

# Few residents, so that sessions are passivated and activated all the time, and small buffers, so that RocksDB writes
# table files and changes its logs between the kills.
CONFIG = {"max_resident_sessions": 3, "snapshot_every": 8, "write_buffer_bytes": 4 << 20}
THREADS = 4
BOUND = 60.0


class Nursery:
    """Starts workers and hears their reports. The process that imports greenroom once and forks is `crash_worker`."""

    def __init__(self) -> None:
        self._reports, theirs = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), str(theirs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[theirs],
            text=True,
        )
        os.close(theirs)
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._worker: int | None = None

    def start(self, **job: Any) -> int:
        """The id of a new worker's process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        self._worker = int(self._process.stdout.readline())
        return self._worker

    def reports(self, until: float) -> Iterator[dict[str, Any]]:
        """What workers report until this monotonic time."""
        while True:
            while self._lines:
                yield json.loads(self._lines.popleft())
            remaining = until - time.monotonic()
            if remaining <= 0 or not select.select([self._reports], [], [], remaining)[0]:
                return
            received = os.read(self._reports, 1 << 20)
            assert received, "the nursery has died"
            *lines, self._rest = (self._rest + received).split(b"\n")
            self._lines += lines

    def kill(self, worker: int) -> list[dict[str, Any]]:
        """Kill a worker and hear what it reported until it died."""
        os.kill(worker, signal.SIGKILL)
        heard = []
        for report in self.reports(time.monotonic() + BOUND):
            if report.get("dead") == worker:
                self._worker = None
                return heard
            heard.append(report)
        raise AssertionError("the killed worker did not die")

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._worker is not None:
            os.kill(self._worker, signal.SIGKILL)
        self._process.stdin.close()
        self._process.wait(BOUND)
        self._process.stdout.close()
        os.close(self._reports)


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@dataclass
class Known:
    """What must be true of one session."""

    status: str = "active"
    tags: list[str] = field(default_factory=list)
    variables: dict[str, list[Any]] = field(default_factory=dict)
    messages: dict[int, list[Any]] = field(default_factory=dict)
    artifacts: dict[str, list[int]] = field(default_factory=dict)
    records: dict[str, list[int]] = field(default_factory=dict)
    events: int = 1
    touched: bool = True


class Ledger:
    """Every acknowledged operation, and for each thread the one that was on its way when the process was killed."""

    def __init__(self) -> None:
        self.sessions: dict[str, Known] = {}
        self.deleted: set[str] = set()
        self.acknowledged = 0
        self._on_its_way: dict[int, dict[str, Any]] = {}

    def hear(self, report: dict[str, Any]) -> None:
        _no_failure(report)
        if "op" in report:
            self._on_its_way[report["thread"]] = report
        elif "done" in report:
            self._enter(self._on_its_way.pop(report["thread"]), report["done"])

    def _enter(self, report: dict[str, Any], done: Any) -> None:
        self.acknowledged += 1
        op = report["op"]
        if op == "create":
            self.sessions[done] = Known(tags=["own"] if report["thread"] >= 0 else ["shared"])
            return
        known = self.sessions[report["session"]]
        known.touched = True
        if op not in ("unset", "take away"):  # which journals nothing if there was nothing to delete
            known.events += 1
        if op == "set":
            known.variables[report["key"]] = report["value"]
        elif op == "unset":
            known.variables.pop(report["key"], None)
        elif op == "put":
            known.records |= report["records"]
        elif op == "take away":
            known.records = {key: each for key, each in known.records.items() if key not in report["keys"]}
        elif op == "message":
            known.messages[done] = report["text"]
        elif op == "messages":
            known.messages.update(zip(done, report["texts"], strict=True))
            known.events += len(done) - 1
        elif op == "edit":
            known.messages[report["sequence"]] = report["text"]
        elif op == "retract":
            for sequence in report["sequences"]:
                del known.messages[sequence]
        elif op == "store":
            known.artifacts[done[0]] = report["content"]
        elif op == "unstore":
            del known.artifacts[report["id"]]
        elif op == "status":
            known.status = report["status"]
        elif op == "tags":
            known.events -= known.tags == report["tags"]
            known.tags = report["tags"]
        else:
            assert op == "delete"
            del self.sessions[report["session"]]
            self.deleted.add(report["session"])

    # -- comparing with what a store says

    def check(self, runtime: Runtime, *, everything: bool) -> None:
        """What was acknowledged is there; what was on its way happened wholly or not at all."""
        unfinished, self._on_its_way = list(self._on_its_way.values()), {}
        stored = {info.id for info in runtime.list_sessions(status=["active", "suspended", "completed"])}
        for each in unfinished:
            if each["op"] == "create":
                for new in stored - self.sessions.keys():
                    self.sessions[new] = Known(tags=list(runtime.session(new).info().tags))
            elif each["op"] == "delete" and each["session"] not in stored:
                self._enter(each, None)
        assert stored == self.sessions.keys()
        for session_id in self.deleted:
            with pytest.raises(SessionNotFound):
                runtime.session(session_id)
        for session_id, known in self.sessions.items():
            mine = [each for each in unfinished if each["session"] == session_id]
            if everything or known.touched or mine:
                self._check_session(runtime, session_id, known, mine)
                known.touched = False

    def _check_session(self, runtime: Runtime, session_id: str, known: Known, unfinished: list[dict[str, Any]]) -> None:
        session = runtime.session(session_id)
        info = session.info()
        variables = {key: [value[:16], len(value)] for key, value in session.variables().items()}
        messages = {each.sequence: [each.content[:20], len(each.content)] for each in session.messages()}
        artifacts = {str(each.id): each for each in session.list_artifacts()}
        records = dict(session.records.iterate())
        events = list(session.events())
        assert [event.sequence for event in events] == list(range(1, info.sequence + 1))
        assert info.sequence >= known.events

        for each in unfinished:
            op = each["op"]
            if op == "set" and variables.get(each["key"]) == each["value"]:
                known.variables[each["key"]] = each["value"]
            elif op == "unset" and each["key"] not in variables:
                known.variables.pop(each["key"], None)
            elif op == "put" and records.items() >= _contents(each["records"]).items():
                known.records |= each["records"]
            elif op == "take away" and not any(key.encode() in records for key in each["keys"]):
                known.records = {key: value for key, value in known.records.items() if key not in each["keys"]}
            elif op == "message":
                new = [at for at, text in messages.items() if at not in known.messages and text == each["text"]]
                known.messages.update(dict.fromkeys(new, each["text"]))
            elif op == "messages":
                new = [at for at, text in messages.items() if at not in known.messages and text in each["texts"]]
                assert len(new) in (0, len(each["texts"]))
                known.messages.update((at, messages[at]) for at in new)
            elif op == "edit" and messages.get(each["sequence"]) == each["text"]:
                known.messages[each["sequence"]] = each["text"]
            elif op == "retract" and not messages.keys() & each["sequences"]:
                known.messages = {at: text for at, text in known.messages.items() if at not in each["sequences"]}
            elif op == "store":
                digest = _hash(each["content"])
                new_ids = artifacts.keys() - known.artifacts.keys()
                known.artifacts.update(
                    {new: each["content"] for new in new_ids if ArtifactId.parse(new).content_hash == digest}
                )
            elif op == "unstore" and each["id"] not in artifacts:
                del known.artifacts[each["id"]]
            elif op == "status" and info.status == each["status"]:
                known.status = each["status"]
            elif op == "tags" and list(info.tags) == each["tags"]:
                known.tags = each["tags"]

        assert variables == known.variables
        assert messages == known.messages
        assert records == _contents(known.records)
        assert session.records.count() == len(records)
        assert artifacts.keys() == known.artifacts.keys()
        assert info.artifact_count == len(artifacts)
        assert info.status == known.status
        assert list(info.tags) == known.tags
        for artifact_id, content in known.artifacts.items():
            expected = crash_worker.content_of(*content)
            assert session.get_artifact(artifact_id).content == expected
        set_last = {event.data["key"]: event.data["value"] for event in events if event.type == "variable.set"}
        assert {key: [set_last[key][:16], len(set_last[key])] for key in known.variables} == known.variables


def _contents(records: dict[str, list[int]]) -> dict[bytes, bytes]:
    return {key.encode(): crash_worker.content_of(*content) for key, content in records.items()}


def _hash(content: list[int]) -> str:
    from blake3 import blake3

    return blake3(crash_worker.content_of(*content)).hexdigest()


def _crash(nursery: Nursery, hear: Callable[[dict[str, Any]], None], path: Path, seed: int, durability: str) -> None:
    """Let a worker write, and kill it after some reports, or before long, when its store may not be open yet."""
    chance = random.Random(seed)
    worker = nursery.start(path=str(path), seed=seed, threads=THREADS, config={**CONFIG, "durability": durability})
    if seed % 4 == 0:
        heard, seconds = None, chance.uniform(0.0, 0.1)
    else:
        heard, seconds = chance.randrange(1, 160), BOUND
    for report in itertools.islice(nursery.reports(time.monotonic() + seconds), heard):
        hear(report)
    for report in nursery.kill(worker):
        hear(report)


def _no_failure(report: dict[str, Any]) -> None:
    assert "failed" not in report, report["failed"]


@pytest.mark.timeout(1800)
def test_what_was_acknowledged_survives_every_kill(
    nursery: Nursery, store_path: Path, request: pytest.FixtureRequest
) -> None:
    kills = request.config.getoption("crashes", 50)
    ledger = Ledger()
    for seed in range(kills):
        durability = "fsync" if seed % 7 == 3 else "wal"
        _crash(nursery, ledger.hear, store_path, seed, durability)
        with Runtime.open(store_path, config=RuntimeConfig(durability=durability)) as runtime:
            report = runtime.verify()
            assert report.problems == []
            ledger.check(runtime, everything=seed % 10 == 9 or seed == kills - 1)
    assert ledger.acknowledged > 10 * kills


def test_a_killed_store_without_a_log_opens_and_is_whole(nursery: Nursery, store_path: Path) -> None:
    for seed in range(8):
        _crash(nursery, _no_failure, store_path, seed, "memory")
        with Runtime.open(store_path, config=RuntimeConfig(durability="memory")) as runtime:
            assert runtime.verify().problems == []
            runtime.create_session(name=f"after crash {seed}")
        with Runtime.open(store_path) as runtime:
            assert runtime.count_sessions(search="after crash") == seed + 1
