"""Whoever takes spools into a session may be killed at any moment: nothing is lost, and nothing is taken twice."""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path

import pytest

from greenroom.runtime import Runtime
from greenroom.runtime.recording.journal.reading import tape_of
from greenroom.runtime.recording.tape.model import Reads
from greenroom.runtime.recording.tape.spool import SpoolSink, SpoolWriter

from ....warm import run_warm
from ..crossings import conversation

_WORKER = Path(__file__).with_name("taking_worker.py")


def take(store: Path, folder: Path, events: int) -> int:
    return run_warm([sys.executable, _WORKER, store, folder, str(events)], timeout=120).returncode


@pytest.mark.parametrize("seed", range(2))
def test_all_is_taken_and_nothing_twice(store_path: Path, tmp_path: Path, seed: int) -> None:
    folder, calls = tmp_path / "spools", list(conversation(200))
    folder.mkdir()
    chosen = random.Random(seed)
    sink = SpoolSink(SpoolWriter(folder / "000000.spool"))
    sink.about({"command": ["agent.py"], "process": 0})
    reads: list[float] = []
    written = 0

    def write(upto: int) -> None:
        nonlocal written
        for each in calls[written:upto]:
            for _ in range(chosen.randrange(4)):
                reads.append(float(len(reads)))
                sink.reads(Reads([("clock", "time.time", "agent.py:1", "main", reads[-1])]))
            sink.crossing(each)
        written = upto

    events = 4
    for upto in (60, 120, 180):
        write(upto)
        events += chosen.randrange(1, upto)
        assert take(store_path, folder, events) == -signal.SIGKILL
    write(200)
    sink.close()
    assert take(store_path, folder, 0) == 0
    with Runtime.open(store_path) as rt:
        session = rt.session(key="run")
        tape = tape_of(session)
        assert tape.crossings == calls
        assert [value for each in tape.reads for *_, value in each.reads] == reads
        assert tape.about["exit_code"] == 0
        assert len([each for each in session.events() if each.type == "recording.started"]) == 1
        assert rt.verify().ok
