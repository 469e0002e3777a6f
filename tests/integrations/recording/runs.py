"""Runs of a program: recorded, and replayed from the tape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from greenroom.runtime.recording.tape.model import Tape
from greenroom.runtime.recording.tape.player import Player
from greenroom.runtime.recording.tape.recorder import Recorder
from greenroom.runtime.recording.tape.reels import Reel, set_process_reel
from greenroom.runtime.recording.tape.report import ReplayReport

from ...runtime.recording.tape.lists import ListSink

__all__ = ["record", "replay"]

T = TypeVar("T")


@contextmanager
def _reel(reel: Reel) -> Iterator[None]:
    """Use a reel for all threads of the process."""
    set_process_reel(reel)
    try:
        yield
    finally:
        set_process_reel(None)


def record(program: Callable[..., T], *given: Any) -> tuple[T, Tape]:
    """Run a program and return its result and the tape."""
    sink = ListSink()
    recorder = Recorder(sink)
    with _reel(recorder):
        result = program(*given)
    recorder.close()
    assert recorder.failure is None
    return result, sink.tape


def replay(tape: Tape, program: Callable[..., T], *given: Any, strict: bool = False) -> tuple[T, ReplayReport]:
    """Run a program from the tape and return its result and the report."""
    player = Player(tape, strict=strict)
    with _reel(player):
        result = program(*given)
    return result, player.end()
