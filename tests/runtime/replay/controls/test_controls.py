"""The controls of a replay, over recordings that a test makes up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenroom.actors.scheduling.threads import Elastic
from greenroom.runtime.replay.controls.breakpoints import Breakpoint, Breakpoints
from greenroom.runtime.replay.controls.progress import ReplayProgress, Reporter
from greenroom.runtime.replay.controls.replay import Replay
from greenroom.runtime.replay.controls.runner import ReplayStatus, Runner
from greenroom.storage.concurrency.waiting import Flag
from greenroom.storage.errors import IntegrityError, InvalidOperation, OperationTimeout, ReplayError, ValidationError

from .made_up import Course

WAIT = 30.0


@pytest.fixture
def elastic() -> Iterator[Elastic]:
    threads = Elastic(16)
    yield threads
    threads.close(WAIT)


@pytest.fixture
def begin(elastic: Elastic, clock: Any) -> Iterator[Callable[..., Replay]]:
    made: list[Replay] = []

    def start(
        course: Any,
        *,
        breakpoints: Any = (),
        reporter: Reporter | None = None,
        speed: float | None = None,
        paused: bool = False,
    ) -> Replay:
        placed = Breakpoints(breakpoints)
        runner = Runner(
            course, placed, clock, check_open=print, ended=lambda: None, reporter=reporter, speed=speed, paused=paused
        )
        elastic.submit(runner.run)
        runner.begin()
        made.append(Replay("id", runner, placed, WAIT))
        return made[-1]

    yield start
    for each in made:
        each.stop()


def test_a_replay_runs_to_its_end_and_gives_its_result(begin: Callable[..., Replay]) -> None:
    replay = begin(Course(10))
    assert replay.wait(WAIT).total == 55
    assert replay.status == "finished"
    assert (replay.position, replay.progress.percentage, replay.progress.time_left) == (10, 100.0, 0.0)
    with pytest.raises(InvalidOperation, match="start another"):
        replay.resume()


def test_steps_forward_and_back_land_where_they_say(begin: Callable[..., Replay]) -> None:
    course = Course(10)
    replay = begin(course, paused=True)
    assert replay.status == "paused"
    assert replay.pause_reason is not None
    assert replay.pause_reason.reason == "start"
    with pytest.raises(ReplayError):
        _ = replay.state
    assert replay.step() == 1
    assert replay.step(4) == 5
    assert replay.state.variables == {"k": 5}
    assert replay.step_back() == 4
    assert replay.step_back(2) == 2
    assert replay.state.variables == {"k": 2}
    assert replay.time is not None
    assert replay.time.timestamp() == 2
    assert replay.step() == 3
    assert replay.step(4) == 7, "two steps again, and two new ones"
    assert course.replayed == [1, 2, 3, 4, 5, 6, 7], "what was replayed is not replayed again"
    assert replay.step_back(100) == 0
    replay.resume()
    assert replay.wait(WAIT).total == 55


def test_after_the_end_one_can_look_back(begin: Callable[..., Replay]) -> None:
    replay = begin(Course(10))
    replay.wait(WAIT)
    assert replay.step_back(3) == 7
    assert replay.state.variables == {"k": 7}
    assert replay.step() == 8
    assert replay.run_to(3) == 3
    assert replay.run_to(10) == 10
    assert replay.status == "finished"
    with pytest.raises(InvalidOperation, match="at its end"):
        replay.step()


def test_run_to_goes_both_ways(begin: Callable[..., Replay]) -> None:
    replay = begin(Course(10), paused=True)
    assert replay.run_to(6) == 6
    assert replay.run_to(2) == 2
    assert replay.run_to(9) == 9
    assert replay.pause_reason is not None
    assert replay.pause_reason.reason == "position"
    with pytest.raises(ReplayError, match="0 to 10") as caught:
        replay.run_to(11)
    assert (caught.value.first, caught.value.last) == (0, 10)


def test_a_running_replay_is_paused_resumed_and_stopped(begin: Callable[..., Replay]) -> None:
    reached, go = Flag(), Flag()

    def gate(sequence: int) -> None:
        if sequence == 5:
            reached.set()
            go.wait(WAIT)

    replay = begin(Course(10, gate=gate))
    assert reached.wait(WAIT)
    assert replay.status == "running"
    for call in (replay.step, replay.step_back, lambda: replay.run_to(7)):
        with pytest.raises(InvalidOperation, match="pause it"):
            call()
    with pytest.raises(OperationTimeout):
        replay.pause(timeout=0.01)
    go.set()
    assert replay.wait_paused(WAIT) is not None
    assert replay.pause() == 5
    replay.stop()
    replay.stop()
    assert replay.status == "stopped"
    assert replay.wait(WAIT).total == 15, "what it has found so far"
    assert replay.step_back() == 4
    assert replay.state.variables == {"k": 4}


def test_a_replay_that_is_left_is_stopped(begin: Callable[..., Replay]) -> None:
    with begin(Course(10), paused=True) as replay:
        replay.step()
    assert replay.status == "stopped"


def test_damage_fails_the_replay_there_and_what_was_before_is_served(begin: Callable[..., Replay]) -> None:
    def gate(sequence: int) -> None:
        if sequence == 7:
            raise IntegrityError("event 7 is damaged", sequence=7)

    replay = begin(Course(10, gate=gate), paused=True)
    assert replay.run_to(6) == 6
    with pytest.raises(IntegrityError) as caught:
        replay.step()
    assert caught.value.sequence == 7
    assert (replay.status, replay.position) == ("failed", 6)
    with pytest.raises(IntegrityError):
        replay.wait(WAIT)
    assert replay.step_back(2) == 4
    assert replay.state.variables == {"k": 4}


def test_a_timed_wait_for_a_paused_replay_says_where_it_is(begin: Callable[..., Replay]) -> None:
    replay = begin(Course(10), paused=True)
    with pytest.raises(OperationTimeout, match="paused at 0"):
        replay.wait(timeout=0.01)


# -- breakpoints


def test_each_kind_of_breakpoint_pauses_where_it_says(begin: Callable[..., Replay]) -> None:
    types = {2: "message.added", 3: "tool.called", 4: "hook.executed", 5: "tool.returned", 6: "hook.executed"}
    data = {
        4: {"hook": "audit", "point": "ToolStarted", "error": None},
        5: {"success": False, "error": {"code": "CallFailed"}},
        6: {"hook": "guard", "point": "ToolFinished", "error": "ValueError"},
    }
    for wanted, places in {
        "event=tool.*": [3, 5],
        "event=**": list(range(1, 11)),
        "hook=audit": [4],
        "hook=Tool*": [4, 6],
        "error=True": [5, 6],
        "error=Call*": [5],
        "sequence=8": [8],
        "time=1970-01-01T00:00:06.5Z": [7],
        "when=variables.k >= 9": [9],
    }.items():
        name, _, value = wanted.partition("=")
        breakpoint: dict[str, Any] = {name: {"True": True, "8": 8}.get(value, value)}
        replay = begin(Course(10, types=types, data=data), breakpoints=[breakpoint])
        found = []
        while (pause := replay.wait_paused(WAIT)) is not None:
            assert pause.reason == "breakpoint"
            assert pause.breakpoint is not None
            assert replay.position == pause.sequence == replay.state.sequence
            found.append(pause.sequence)
            replay.resume()
        assert found == places, wanted
        assert [each.hits for each in replay.breakpoints] == [len(places)]


def _pauses(replay: Replay) -> list[int]:
    found = []
    while (pause := replay.wait_paused(WAIT)) is not None:
        found.append(pause.sequence)
        replay.resume()
    return found


def test_a_breakpoint_may_be_conditional_one_shot_skipped_and_disabled(begin: Callable[..., Replay]) -> None:
    def pauses(**fields: Any) -> list[int]:
        return _pauses(begin(Course(6), breakpoints=[Breakpoint(**fields)]))

    assert pauses(event="variable.set", when="variables.k in [2, 5]") == [2, 5]
    assert pauses(event="variable.set", when=lambda state: state.variables["k"] % 3 == 0) == [3, 6]
    assert pauses(event="variable.set", once=True) == [1]
    assert pauses(event="variable.set", skip=4) == [5, 6]
    assert pauses(event="variable.set", skip=2, once=True) == [3]
    assert pauses(event="variable.set", enabled=False) == []
    assert pauses(when=lambda state: state.variables["k"] % 3 != 0) == [1, 4], "where it begins to hold"


def test_breakpoints_come_and_go_while_it_runs(begin: Callable[..., Replay]) -> None:
    replay = begin(Course(10), breakpoints=[{"sequence": 2}])
    replay.wait_paused(WAIT)
    placed = replay.breakpoints.add({"sequence": 4})
    other = replay.breakpoints.add(Breakpoint(sequence=6))
    last = replay.breakpoints.add(Breakpoint(sequence=8))
    replay.resume()
    assert replay.wait_paused(WAIT) is not None
    assert (replay.position, placed.hits) == (4, 1)
    other.remove()
    other.remove()
    with pytest.raises(ReplayError, match="no breakpoint"):
        replay.breakpoints.remove(other)
    last.enabled = False
    replay.resume()
    replay.wait(WAIT)
    assert len(replay.breakpoints) == 3
    replay.breakpoints.clear()
    assert list(replay.breakpoints) == []


def test_a_breakpoint_is_hit_again_after_a_step_back(begin: Callable[..., Replay]) -> None:
    replay = begin(Course(10), breakpoints=[{"when": "variables.k >= 5"}, {"sequence": 7}])
    assert replay.wait_paused(WAIT) is not None
    assert replay.position == 5
    replay.step_back(3)
    replay.resume()
    replay.wait_paused(WAIT)
    assert replay.position == 5
    replay.resume()
    replay.wait_paused(WAIT)
    assert replay.position == 7


def test_a_step_over_a_breakpoint_pauses_there(begin: Callable[..., Replay]) -> None:
    replay = begin(Course(10), paused=True, breakpoints=[{"sequence": 3}])
    assert replay.step(5) == 3
    assert replay.run_to(8) == 8


def test_a_condition_that_raises_pauses_with_its_error(begin: Callable[..., Replay]) -> None:
    def broken(state: Any) -> bool:
        if state.sequence == 4:
            raise ZeroDivisionError
        return False

    replay = begin(Course(10), breakpoints=[{"when": broken}])
    pause = replay.wait_paused(WAIT)
    assert pause is not None
    assert (pause.reason, pause.sequence, type(pause.error)) == ("error", 4, ZeroDivisionError)
    replay.resume()
    assert replay.wait(WAIT).total == 55


def test_a_condition_may_use_the_controls(begin: Callable[..., Replay]) -> None:
    made: list[Replay] = []
    ready = Flag()

    def condition(state: Any) -> bool:
        ready.wait(WAIT)
        if state.sequence == 4:
            made[0].pause()
        if state.sequence == 6:
            made[0].stop()
        return False

    made.append(begin(Course(10), breakpoints=[{"when": condition}]))
    ready.set()
    pause = made[0].wait_paused(WAIT)
    assert pause is not None
    assert (pause.reason, pause.sequence) == ("asked", 4)
    made[0].resume()
    made[0].wait(WAIT)
    assert made[0].status == "stopped"
    assert made[0].position == 6


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"enabled": True},
        {"event": ""},
        {"event": "a..b"},
        {"hook": ""},
        {"sequence": 0},
        {"time": "2026-01-01T00:00:00"},
        {"when": "variables.k"},
        {"when": "__class__ == 1 or 1"},
        {"when": "variables.k == 'one'"},
        {"when": 5},
        {"skip": -1},
        {"evnt": "x"},
    ],
)
def test_a_breakpoint_that_says_nothing_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Breakpoint(**fields)


# -- in real time


def test_in_real_time_recorded_pauses_are_waited_for(begin: Callable[..., Replay], clock: Any) -> None:
    arrived: list[int] = []
    steps = threading.Semaphore(0)

    def seen(state: Any) -> bool:
        arrived.append(state.sequence)
        steps.release()
        return False

    replay = begin(Course(6), speed=2.0, breakpoints=[{"when": seen}])
    assert steps.acquire(timeout=WAIT), "before the first event there is no pause"
    assert arrived == [1]
    clock.advance(0.4)
    replay.speed = 2.0  # lets it look at the clock
    assert not steps.acquire(timeout=0.05)
    assert replay.progress.time_left == 2.5
    clock.advance(0.1)
    replay.speed = 2.0
    assert steps.acquire(timeout=WAIT)
    replay.speed = 0.1
    clock.advance(9.5)
    replay.speed = 0.1
    assert not steps.acquire(timeout=0.05)
    clock.advance(0.5)
    replay.speed = 0.1
    assert steps.acquire(timeout=WAIT)
    assert arrived == [1, 2, 3]
    assert replay.pause() == 3, "it is paused within a recorded pause"
    assert replay.step() == 4, "a step is not waited for"
    replay.resume()
    replay.speed = None
    replay.wait(WAIT)
    assert arrived == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("speed", [0.05, 10.5, 0, -1, float("nan"), "fast", True])
def test_an_impossible_speed_is_refused(begin: Callable[..., Replay], speed: Any) -> None:
    replay = begin(Course(1), paused=True)
    with pytest.raises(ValidationError, match="speed"):
        replay.speed = speed
    assert replay.speed is None


# -- progress


def test_progress_comes_for_each_percent_and_at_the_end(begin: Callable[..., Replay], elastic: Elastic) -> None:
    told: list[ReplayProgress] = []
    replay = begin(Course(1000), reporter=Reporter(elastic, told.append))
    replay.wait(WAIT)
    assert told[-1] == ReplayProgress(100.0, 1000, 1000, 0.0)
    assert len(told) <= 103
    assert [each.position for each in told] == sorted(each.position for each in told)


def test_a_callback_that_raises_or_hangs_harms_nothing(begin: Callable[..., Replay], elastic: Elastic) -> None:
    calls: list[ReplayProgress] = []

    def broken(progress: ReplayProgress) -> None:
        calls.append(progress)
        raise ZeroDivisionError

    assert begin(Course(10), reporter=Reporter(elastic, broken)).wait(WAIT).total == 55
    assert calls[-1].percentage == 100
    entered, leave = Flag(), Flag()

    def hanging(progress: ReplayProgress) -> None:
        entered.set()
        leave.wait(WAIT)

    replay = begin(Course(1000), reporter=Reporter(elastic, hanging))
    assert entered.wait(WAIT)
    assert replay.wait(WAIT).total == 500500
    leave.set()


def test_progress_of_a_paused_replay(begin: Callable[..., Replay], clock: Any) -> None:
    replay = begin(Course(10, gate=lambda sequence: clock.advance(1)), paused=True)
    assert replay.progress == ReplayProgress(0.0, 0, 10, None)
    replay.run_to(4)
    clock.advance(1000)
    assert replay.progress == ReplayProgress(40.0, 4, 10, 6.0)


def test_the_status_is_told_in_words(begin: Callable[..., Replay]) -> None:
    replay = begin(Course(10), breakpoints=[{"event": "variable.*", "skip": 2}])
    replay.wait_paused(WAIT)
    assert "paused at 3 (breakpoint event variable.*) of 10" in repr(replay)
    assert [each.value for each in ReplayStatus if each.ended] == ["finished", "stopped", "failed"]
