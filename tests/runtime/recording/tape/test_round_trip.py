"""What a recorder puts on a tape, a player answers from it."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from greenroom.runtime.recording.tape.held.errors import raised_again
from greenroom.runtime.recording.tape.model import Asked
from greenroom.runtime.recording.tape.player import Player
from greenroom.runtime.recording.tape.recorder import Recorder
from greenroom.runtime.recording.tape.reels import Reel, active, inside, playing, set_process_reel
from greenroom.storage.errors import ReplayError

from .lists import ListSink


def call(name: str, arguments: Any, live: Any = None) -> Any:
    """Call through a boundary, as a boundary does it."""
    reel = active()
    if reel is None:
        return live()
    pending = reel.begin(Asked("tool", name, {"arguments": arguments}))
    if pending.recorded is not None:
        pending.tick()
        if "error" in pending.recorded:
            raise raised_again(pending.recorded["error"])
        return pending.recorded["value"]
    try:
        with inside():
            value = live()
    except Exception as error:
        pending.tick()
        pending.fail(error)
        raise
    pending.tick()
    pending.finish({"value": value})
    return value


call.__code__ = call.__code__.replace(co_filename=os.__file__)  # a library's: calls are placed where it is called


def read(reel: Reel, name: str, live: Any) -> Any:
    frame = sys._getframe(1)
    return reel.read("clock", name, frame.f_code, frame.f_lineno, live)


def not_called() -> Any:
    raise AssertionError("a replay calls nobody")


def recorded(program: Any) -> ListSink:
    sink = ListSink()
    recorder = Recorder(sink)
    with playing(recorder):
        program(lambda value: lambda: value)
    recorder.close()
    return sink


def test_calls_are_answered_as_they_were_recorded() -> None:
    def program(live: Any) -> list[Any]:
        return [call("add", [n % 2], live(n)) for n in range(4)]

    sink = recorded(program)
    player = Player(sink.tape)
    with playing(player):
        assert program(lambda _: not_called) == [0, 1, 2, 3]
    assert player.end().is_exact
    assert (player.report.exact, player.report.moved) == (4, 0)
    first = sink.tape.crossings[0]
    assert first.place.endswith("in <listcomp>") or first.place.endswith("in program")
    assert (first.number, first.began, first.ticks, first.lane) == (1, 1, [2], "main")


def test_reads_come_before_the_crossing_that_follows_them() -> None:
    def program(_: Any) -> list[Any]:
        reel = active()
        assert reel is not None
        one = read(reel, "time.time", lambda: 1.5)
        call("a", [], lambda: 1)
        return [one, read(reel, "time.time", lambda: 2.5)]

    sink = recorded(program)
    assert sink.order == ["reads", "tool", "reads"]
    assert sink.is_closed
    player = Player(sink.tape)
    with playing(player):
        assert program(None) == [1.5, 2.5]
    assert player.end().is_exact
    assert player.report.reads == 2


def test_exceptions_are_raised_again() -> None:
    def program(live: Any) -> str:
        try:
            call("open", ["x"], live)
        except FileNotFoundError as error:
            return f"{error.errno} {error.filename}"
        return ""

    def missing() -> None:
        raise FileNotFoundError(2, "no such file", "x")

    sink = ListSink()
    with playing(Recorder(sink)):
        assert program(missing) == "2 x"
    with playing(Player(sink.tape)):
        assert program(not_called) == "2 x"


def test_a_call_that_was_not_recorded_stops_the_replay() -> None:
    sink = recorded(lambda live: call("add", [1], live(1)))
    player = Player(sink.tape)
    with playing(player):
        with pytest.raises(ReplayError, match=r"nothing was recorded for tool 'divide'.*number 1 add \(another name"):
            call("divide", [1], not_called)
        with pytest.raises(ReplayError, match="'divide'"):
            call("add", [1], not_called)
    assert player.report.refused is not None
    assert [drift.what for drift in player.end().drifts] == ["missing", "unused"]


def test_another_input_from_the_same_place_has_drifted() -> None:
    def program(name: str) -> Any:
        return call("greet", {"name": name, "tone": "kind"}, lambda: "hello")

    sink = recorded(lambda _: program("Ada"))
    player = Player(sink.tape)
    with playing(player):
        assert program("Grace") == "hello"
    [drift] = player.end().drifts
    assert drift.what == "drifted"
    assert drift.difference == 'arguments.name: "Ada" → "Grace"'
    with playing(Player(sink.tape, strict=True)), pytest.raises(ReplayError, match=r"other arguments\.name\)"):
        program("Grace")


def test_the_same_input_from_another_place_has_moved() -> None:
    sink = recorded(lambda live: call("add", [1], live(1)))
    player = Player(sink.tape, strict=True)
    with playing(player):
        assert call("add", [1], not_called) == 1
    assert player.end().is_exact
    assert [drift.what for drift in player.report.drifts] == ["moved"]


def test_what_stands_inside_a_boundary_is_not_recorded() -> None:
    sink = recorded(lambda live: call("outer", [], lambda: call("inner", [], lambda: 1)))
    assert [crossing.name for crossing in sink.tape.crossings] == ["outer"]


def test_the_reel_of_the_process_serves_all_code() -> None:
    sink = ListSink()
    set_process_reel(Recorder(sink))
    try:
        assert call("add", [1], lambda: 1) == 1
    finally:
        set_process_reel(None)
    assert len(sink.tape.crossings) == 1


def test_a_sink_that_fails_ends_the_recording_and_not_the_program() -> None:
    class FullSink(ListSink):
        def crossing(self, crossing: Any) -> None:
            raise OSError(28, "no space left")

    recorder = Recorder(FullSink())
    with playing(recorder):
        assert call("add", [1], lambda: 1) == 1
        assert call("add", [1], lambda: 2) == 2
    assert isinstance(recorder.failure, OSError)
