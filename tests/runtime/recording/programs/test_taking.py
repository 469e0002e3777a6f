"""Spools become journals: while they grow, and what a killed process has left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime
from greenroom.runtime.recording.journal.reading import tape_of
from greenroom.runtime.recording.journal.taking import Taker
from greenroom.runtime.recording.tape.model import Crossing, Reads
from greenroom.runtime.recording.tape.spool import SpoolSink, SpoolWriter


@pytest.fixture
def rt(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime.open(tmp_path / "store") as runtime:
        yield runtime


def _spool(folder: Path, process: int = 0) -> SpoolSink:
    folder.mkdir(exist_ok=True)
    sink = SpoolSink(SpoolWriter(folder / f"{process}.spool"))
    sink.about({"command": ["python", "agent.py"], "process": process})
    return sink


def _call(number: int, process: int = 0) -> Crossing:
    call = Crossing(
        number,
        "tool",
        "weather",
        "agent.py:3 in f",
        "main",
        {"arguments": {"n": number}},
        {"value": number},
        number,
        [number],
    )
    call.process = process
    return call


def _reads(*values: float, process: int = 0) -> Reads:
    return Reads([("clock", "time.time", "agent.py:1 in f", "main", value) for value in values], process)


def _numbers(session: Any) -> list[int]:
    return [each.number for each in tape_of(session).crossings]


def test_a_session_follows_the_spools_while_they_grow(rt: Runtime, tmp_path: Path) -> None:
    session = rt.create_session()
    taker = Taker(session, tmp_path / "spools")
    assert taker.take() == 0
    sink = _spool(tmp_path / "spools")
    sink.crossing(_call(1))
    assert taker.take() == 1
    assert _numbers(session) == [1]
    sink.reads(_reads(1.5))
    sink.crossing(_call(2))
    sink.close()
    taker.end({"exit_code": 3})
    tape = tape_of(session)
    assert [each.number for each in tape.crossings] == [1, 2]
    assert [each.reads for each in tape.reads] == [_reads(1.5).reads]
    assert tape.about["command"] == ["python", "agent.py"]
    assert tape.about["exit_code"] == 3


def test_what_was_taken_already_is_not_taken_again(rt: Runtime, tmp_path: Path) -> None:
    session = rt.create_session()
    sink = _spool(tmp_path / "spools")
    sink.reads(_reads(1.0, 2.0))
    sink.crossing(_call(1))
    killed = Taker(session, tmp_path / "spools")
    killed.take()
    sink.reads(_reads(3.0))
    sink.crossing(_call(2))
    other = _spool(tmp_path / "spools", process=1)
    other.crossing(_call(1, process=1))
    Taker(session, tmp_path / "spools").leave()
    tape = tape_of(session)
    assert sorted((each.process, each.number) for each in tape.crossings) == [(0, 1), (0, 2), (1, 1)]
    assert [read[4] for each in tape.reads for read in each.reads] == [1.0, 2.0, 3.0]
    assert "exit_code" not in tape.about


def test_a_run_that_recorded_nothing_is_one_too(rt: Runtime, tmp_path: Path) -> None:
    session = rt.create_session()
    Taker(session, tmp_path / "nowhere", about={"command": ["true"]}).end({"exit_code": 0})
    assert tape_of(session).about["command"] == ["true"]


def test_a_spool_that_was_cut_off_is_taken_up_to_there(rt: Runtime, tmp_path: Path) -> None:
    session = rt.create_session()
    sink = _spool(tmp_path / "spools")
    for number in (1, 2):
        sink.crossing(_call(number))
    path = tmp_path / "spools" / "0.spool"
    path.write_bytes(path.read_bytes()[:-1])
    Taker(session, tmp_path / "spools").leave()
    assert _numbers(session) == [1]
