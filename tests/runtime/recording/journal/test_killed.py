"""A host that is killed while it records has lost nothing that was acknowledged, and what is there can be replayed."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from greenroom.runtime import Runtime
from greenroom.runtime.recording.journal.reading import tape_of
from greenroom.runtime.recording.journal.writing import JournalSink
from greenroom.runtime.recording.tape.recorder import Recorder
from greenroom.runtime.recording.tape.reels import playing

from ....warm import WarmPopen
from .kill_worker import ask

_WORKER = Path(__file__).with_name("kill_worker.py")


def killed(path: Path, lines: int) -> dict[str, list[str]]:
    """Run a host, kill it after so many lines, and return the answers that were acknowledged, by session."""
    told: dict[str, list[str]] = defaultdict(list)
    with WarmPopen([sys.executable, _WORKER, path], stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        for number, line in enumerate(host.stdout):
            if number == lines:
                host.kill()
            if line.endswith("\n"):  # the last may be torn
                session, _, answer = line.rstrip("\n").split(" ", 2)
                told[session].append(answer)
        host.kill()
    return told


@pytest.mark.parametrize("seed", range(4))
def test_all_that_was_acknowledged_is_there_and_is_replayed(store_path: Path, seed: int) -> None:
    told = killed(store_path, random.Random(seed).randrange(1, 400))
    assert told
    with Runtime.open(store_path) as rt:
        assert rt.verify().ok
        for session_id, answers in told.items():
            session = rt.session(session_id)
            tape = tape_of(session)
            calls = [each for each in tape.crossings if each.kind == "http"]
            assert [b"".join(each.outcome["chunks"]).decode() for each in calls[: len(answers)]] == answers
            assert len(calls) <= len(answers) + 1, "only the call that was under way may be there besides"
            with rt.replaying(session) as replaying:
                history: list[str] = []
                assert [ask(number, history) for number in range(1, len(answers) + 1)] == answers
            report = replaying.report
            assert (report.drifted, report.order, report.missing) == (0, 0, 0)
            assert report.exact == 2 * len(answers)


def test_a_recording_whose_host_was_killed_goes_on(store_path: Path) -> None:
    told = killed(store_path, 30)
    session_id = next(iter(told))
    with Runtime.open(store_path) as rt:
        session = rt.session(session_id)
        tape = tape_of(session)
        run = next(each.sequence for each in session.events() if each.type == "recording.started")
        last = tape.crossings[-1]
        sink = JournalSink(session, run=run)
        with playing(Recorder(sink, after_number=last.number, after_tick=max([last.began, *last.ticks]))):
            assert ask(100, []) == "answer 100"
        sink.end()
        again = tape_of(session)
        assert again.crossings[:-2] == tape.crossings
        assert [each.number for each in again.crossings] == list(range(1, len(again.crossings) + 1))
        assert rt.verify().ok
