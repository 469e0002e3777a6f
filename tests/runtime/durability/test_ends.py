"""How a process may end, and what damage and a changed clock do to a store and its runtime."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.session.decisions import decide
from greenroom.runtime import (
    GreenroomError,
    IntegrityError,
    InvalidOperation,
    OperationTimeout,
    Runtime,
    RuntimeClosed,
    SessionNotFound,
    messages,
)
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.engine.engine import CF, Durability, Engine, EngineOptions

from ...warm import WarmPopen
from .test_process import BOUND, python

# -- damage


@pytest.mark.parametrize("family", [CF.JOURNAL, CF.SESSIONS])
def test_a_damaged_record_costs_only_its_session(store_path: Path, family: int) -> None:
    with Runtime.open(store_path) as runtime:
        damaged, healthy = runtime.create_session(name="damaged"), runtime.create_session(name="healthy")
        for session in (damaged, healthy):
            for number in range(5):
                session.set(f"k{number}", number)
    engine = Engine(store_path, Durability.WAL, EngineOptions())
    session_key = session_bytes(damaged.id)
    key = session_key if family == CF.SESSIONS else sequence_key(session_key, 3)
    record = engine.get(family, key)
    assert record is not None
    engine.write([(family, key, record[:10] + bytes([record[10] ^ 1]) + record[11:])])
    # A snapshot would spare the session from reading the damaged event.
    for snapshot, _ in engine.scan(CF.SNAPSHOTS, session_key, session_key + b"\xff" * 9):
        engine.write([(CF.SNAPSHOTS, snapshot, None)])
    engine.close()

    with Runtime.open(store_path) as runtime:
        report = runtime.verify()
        assert not report.ok
        assert {damaged.id in problem.where for problem in report.problems} == {True}
        touch = partial(runtime.ask, damaged.id, messages.GetVariable("k1"))
        if family == CF.SESSIONS:
            touch = partial(runtime.session, damaged.id)
        with pytest.raises(IntegrityError):
            touch()
        same = runtime.session(healthy.id)
        assert same.variables() == {f"k{number}": number for number in range(5)}
        same.set("k", 1)
        assert healthy.id in [info.id for info in runtime.list_sessions()]
        fresh = runtime.create_session()
        fresh.set("k", 1)
        assert runtime.session(fresh.id).get("k") == 1


def test_a_killed_stream_leaves_nothing_behind(store_path: Path) -> None:
    code = """
import os, signal, sys
from greenroom.runtime import Runtime

class Endless:
    given = 0
    def read(self, size=-1):
        self.given += size
        if self.given > 20_000_000:
            os.kill(os.getpid(), signal.SIGKILL)
        return os.urandom(size)

runtime = Runtime.open(sys.argv[1])
runtime.create_session().store_artifact("user_input", "endless", Endless())
"""
    assert python(code, store_path).returncode == -signal.SIGKILL
    with Runtime.open(store_path) as runtime:
        assert runtime.list_sessions()[0].artifact_count == 0
        assert runtime.verify().problems == []
    engine = Engine(store_path, Durability.WAL, EngineOptions())
    try:
        for family in (CF.CHUNKS, CF.MANIFESTS, CF.CONTENTS, CF.REFERENCES):
            assert engine.scan(family, b"", b"\xff" * 100) == []
    finally:
        engine.close()


# -- the end


@pytest.mark.parametrize("mode", ["main", "idle"])
@pytest.mark.parametrize(
    ("number", "codes", "manner"), [(signal.SIGTERM, {143, -15}, "bare"), (signal.SIGINT, {130, -2}, "with")]
)
def test_a_signal_under_load_closes_and_loses_nothing(
    store_path: Path, number: signal.Signals, codes: set[int], manner: str, mode: str
) -> None:
    program = str(Path(__file__).with_name("busy_host.py"))
    host = WarmPopen(
        [sys.executable, program, str(store_path), '{"close_timeout": 5}', mode, manner],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    try:
        assert host.stdout is not None
        heard = [host.stdout.readline() for _ in range(200)]
        started = time.monotonic()
        host.send_signal(number)
        rest, errors = host.communicate(timeout=BOUND)
        # The deadline, and some room for a busy machine.
        assert time.monotonic() - started < 5 + 10
    finally:
        host.kill()
        host.wait()
    assert host.returncode in codes, errors.decode()
    acknowledged: dict[tuple[str, str], int] = {}
    for line in [*heard, *rest.splitlines()]:
        session_id, key, count = json.loads(line)
        acknowledged[session_id, key] = count
    with Runtime.open(store_path) as runtime:
        for (session_id, key), count in acknowledged.items():
            # The write after the last one reported may have gone through as well.
            assert runtime.session(session_id).get(key) - count in (0, 1)
        assert runtime.verify().problems == []


def test_a_program_that_catches_an_interrupt_keeps_its_runtime(store_path: Path) -> None:
    code = """
import os, signal, sys
from greenroom.runtime import Runtime
before = signal.getsignal(signal.SIGINT)
runtime = Runtime.open(sys.argv[1])
assert signal.getsignal(signal.SIGINT) is before
session = runtime.create_session()
for turn in range(3):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    except KeyboardInterrupt:
        session.set(f"turn {turn}", turn)
print(runtime.closed, session.variables())
runtime.close()
assert signal.getsignal(signal.SIGINT) is before
"""
    done = python(code, store_path)
    assert (done.stdout, done.returncode) == ("False {'turn 0': 0, 'turn 1': 1, 'turn 2': 2}\n", 0), done.stderr


@pytest.mark.parametrize("handling", ["a function", "ignored"])
def test_a_program_that_handles_sigterm_keeps_its_runtime(store_path: Path, handling: str) -> None:
    code = """
import os, signal, sys
from greenroom.runtime import Runtime
told = []
mine = signal.SIG_IGN if sys.argv[2] == "ignored" else lambda number, frame: told.append(number)
signal.signal(signal.SIGTERM, mine)
runtime = Runtime.open(sys.argv[1])
session = runtime.create_session()
os.kill(os.getpid(), signal.SIGTERM)
session.set("k", 1)
print(len(told), runtime.closed)
runtime.close()
assert signal.getsignal(signal.SIGTERM) == mine
"""
    done = python(code, store_path, handling)
    assert (done.stdout, done.returncode) == (f"{int(handling != 'ignored')} False\n", 0), done.stderr


def test_closing_with_a_busy_session_ends_within_its_deadline(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, leave = threading.Event(), threading.Event()
    really = decide.DECIDERS[messages.AddTag]

    def busy(*arguments: Any) -> Any:
        entered.set()
        assert leave.wait(BOUND)
        return really(*arguments)

    monkeypatch.setitem(decide.DECIDERS, messages.AddTag, busy)
    runtime = Runtime.open(store_path)
    session, other = runtime.create_session(), runtime.create_session()
    other.set("k", 1)
    outcome: list[BaseException | None] = []

    def ask() -> None:
        try:
            session.add_tag("t")
            outcome.append(None)
        except GreenroomError as error:
            outcome.append(error)

    asker = threading.Thread(target=ask)
    asker.start()
    assert entered.wait(BOUND)
    with pytest.raises(OperationTimeout):
        runtime.ask(session.id, messages.GetVariable("k"), timeout=0.05)
    started = time.monotonic()
    runtime.close(timeout=0.5)
    assert time.monotonic() - started < 0.5 + 10  # some room for a busy machine
    leave.set()
    asker.join(BOUND)
    assert len(outcome) == 1
    assert isinstance(outcome[0], RuntimeClosed)
    with Runtime.open(store_path) as runtime:
        assert runtime.session(session.id).info().tags == ()
        assert runtime.session(other.id).get("k") == 1
        assert runtime.verify().problems == []


@pytest.mark.parametrize("_attempt", range(10))
def test_threads_at_work_when_the_runtime_closes_all_hear_of_it(_attempt: int) -> None:
    """Nobody is left waiting for an answer that cannot come."""
    runtime = Runtime.open(config={"workers": 2, "ask_timeout": 2 * BOUND})
    sessions = [runtime.create_session() for _ in range(10)]
    heard: list[type[BaseException]] = []
    ready = threading.Barrier(13)

    def work(number: int) -> None:
        ready.wait(BOUND)
        count = 0
        try:
            while True:
                count += 1
                sessions[(number + count) % 10].set("k", count)
                if count % 7 == 0:
                    runtime.create_session()
        except BaseException as error:
            heard.append(type(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    ready.wait(BOUND)
    runtime.close()
    for thread in threads:
        thread.join(BOUND)
        assert not thread.is_alive()
    assert heard == [RuntimeClosed] * 12


# -- time


def test_a_clock_set_back_neither_turns_the_journal_around_nor_stops_the_session(store_path: Path, clock: Any) -> None:
    with Runtime.open(store_path, clock=clock) as runtime:
        session = runtime.create_session()
        session.set("k", 1)
        clock.now_ns -= 3600 * 10**9
        session.set("k", 2)
        session.add_tag("t")
        session.suspend()
        session.resume()
        times = [event.timestamp for event in session.events()]
        assert times == sorted(times)
        assert session.info().updated_at >= session.info().created_at
        later = runtime.create_session()
        later.set("k", 3)
    with Runtime.open(store_path, clock=clock) as runtime:
        assert runtime.session(session.id).get("k") == 2
        runtime.session(session.id).complete()
        info = runtime.session(session.id).info()
        assert info.ended_at >= info.started_at
        assert {each.id for each in runtime.list_sessions(sort_by="updated_at")} == {later.id}
        assert runtime.verify().problems == []


def test_an_unknown_session_of_another_process_stays_unknown(store_path: Path) -> None:
    with Runtime.open(store_path) as runtime, Runtime.open(store_path, read_only=True) as follower:
        session = runtime.create_session()
        with pytest.raises(SessionNotFound):
            follower.session(session.id)
        follower.refresh()
        assert follower.session(session.id).info().status == "active"
        with pytest.raises(InvalidOperation):
            follower.create_session()
