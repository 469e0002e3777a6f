"""What of a block is not in the journal yet is neither lost, nor forgotten, nor in the way of anybody."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from greenroom.runtime import Runtime
from greenroom.runtime.recording.journal.reading import tape_of

from .spool_worker import answer, clock
from .test_behind_the_back import ask_model, busy
from .test_spooled import spools

__all__ = ["busy"]


def _held_up(path: Path, meanwhile: Callable[[], object]) -> None:
    """Let nobody read a spool meanwhile."""
    aside = path.with_suffix(".aside")
    path.rename(aside)
    path.mkdir()
    try:
        meanwhile()
    finally:
        path.rmdir()
        aside.rename(path)


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("looks", [False, True], ids=["blind", "looks"])
def test_what_is_journaled_late_is_understood_all_the_same(rt: Runtime, *, looks: bool) -> None:
    block = rt.recording("chat")
    session = block.__enter__()
    if looks:
        clock(1)
        answer("Before", 10)
        assert tape_of(session).crossings
    clock(2)
    ask_model("Hello")
    (spool,) = spools(rt.path)
    _held_up(spool, session.info)
    assert len(tape_of(session).crossings) == 1 + looks
    clock(3)
    ask_model("Hello", "Hi.", "Bye")

    def end() -> None:
        block.__exit__(None, None, None)
        rt.core.settle()

    _held_up(spool, end)
    assert [each.text for each in session.messages()] == ["Hello", "Hi.", "Bye", "Hi."]
    assert len(tape_of(session).crossings) == 2 + looks
    assert [read[4] for each in tape_of(session).reads for read in each.reads] == [1, 2, 3][not looks :]
    assert not spools(rt.path)


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("when", ["waits", "was read", "has ended"])
def test_what_is_erased_stands_in_no_spool(rt: Runtime, when: str) -> None:
    def erase() -> None:
        report = rt.erase("ann", needles=["hunter2"])
        assert report.clean, report.needles
        for spool in spools(rt.path):
            assert b"hunter2" not in spool.read_bytes()

    session = rt.create_session(created_by="ann")
    with rt.recording(session=session):
        answer("hunter2", 10)
        (spool,) = spools(rt.path)
        assert b"hunter2" in spool.read_bytes()
        if when == "was read":
            session.info()
        if when != "has ended":
            erase()
            answer("second", 10)
    erase()
    rt.core.settle()
    assert not spools(rt.path)


def test_a_process_that_was_forked_off_ends_a_block_that_its_parent_writes_to(rt: Runtime) -> None:
    block = rt.recording("block")
    session = block.__enter__()
    answer("first", 10)
    sink = block._sink
    assert sink is not None
    with sink._spooled.appending:
        if (child := os.fork()) == 0:
            signal.alarm(20)
            try:
                block.__exit__(None, None, None)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
    answer("second", 10)
    block.__exit__(None, None, None)
    assert [each.input["arguments"]["question"] for each in tape_of(session).crossings] == ["first", "second"]


def test_nothing_that_is_journaled_stays_in_the_spool(rt: Runtime) -> None:
    with rt.recording("block") as session:
        for number in range(3):
            clock(number)
            answer(f"question {number}", 10)
            session.info()
            (spool,) = spools(rt.path)
            assert b"question" not in spool.read_bytes()
    assert [read[4] for each in tape_of(session).reads for read in each.reads] == [0, 1, 2]
