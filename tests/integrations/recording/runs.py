"""Runs of a program: recorded, and replayed from the tape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from greenroom.runtime.recording.tape.model import Tape
from greenroom.runtime.recording.tape.player import Player
from greenroom.runtime.recording.tape.recorder import Recorder
from greenroom.runtime.recording.tape.reels import Reel, set_process_reel
from greenroom.runtime.recording.tape.report import ReplayReport
from greenroom.storage.errors import ReplayError

from ...runtime.recording.reels import playback, recording
from ...runtime.recording.tape.lists import ListSink

__all__ = ["check_early_end", "record", "replay"]

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


def check_early_end(read: Callable[[int], list[bytes]], cut: Callable[[], None]) -> None:
    """Check that a response which the program has closed after three chunks can be read as far again, and no further.
    `read` reads so many, and `cut` ends the server."""
    with recording() as recorded:
        first = read(3)
    assert recorded.made[0].outcome["complete"] is False
    cut()
    with playback(recorded):
        assert read(3) == first
    with playback(recorded), pytest.raises(ReplayError, match="reads further"):
        read(10_000_000)
