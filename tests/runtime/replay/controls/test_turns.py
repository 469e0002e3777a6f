"""How many replays run at once, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenroom.runtime import ResourceLimitExceeded, Runtime, RuntimeClosed
from greenroom.runtime.replay.controls import replays as module
from greenroom.runtime.replay.controls.replays import Replays
from greenroom.storage.concurrency.waiting import Flag
from greenroom.storage.errors import ReplayError

from .made_up import Course

WAIT = 30.0


@pytest.fixture
def make(store_path: Any) -> Iterator[Callable[..., Replays]]:
    opened: list[Runtime] = []

    def make(course: Callable[[], Any] = lambda: Course(10), **config: Any) -> Replays:
        rt = Runtime.open(store_path, config={"handle_signals": False, **config})
        opened.append(rt)
        replays = Replays(rt.core, lambda session, config: course())
        opened_replays.append(replays)
        return replays

    opened_replays: list[Replays] = []
    yield make
    for each in opened_replays:
        each.begin_to_close()
        each.close(WAIT)
    for rt in opened:
        rt.close()


def test_no_more_run_at_once_than_allowed_and_others_follow_in_order(make: Callable[..., Replays]) -> None:
    replays = make(max_concurrent_replays=2)
    started = [replays.start("s", paused=True) for _ in range(5)]
    assert [each.status for each in started] == ["paused", "paused", "scheduled", "scheduled", "scheduled"]
    assert replays.list() == started
    assert replays.get(started[3].id) is started[3]
    started[1].resume()
    started[1].wait(WAIT)
    started[2].wait_paused(WAIT)
    assert [each.status for each in started] == ["paused", "finished", "paused", "scheduled", "scheduled"]
    started[3].stop()
    assert started[3].status == "stopped", "one that waits need not be waited for"
    started[0].stop()
    started[4].wait_paused(WAIT)
    started[4].resume()
    started[4].wait(WAIT)
    with pytest.raises(ReplayError, match="no replay"):
        replays.get("unknown")


def test_one_that_waits_can_be_told_how_to_begin(make: Callable[..., Replays]) -> None:
    replays = make(max_concurrent_replays=1)
    first, second, third = replays.start("s", paused=True), replays.start("s"), replays.start("s", paused=True)
    second.pause()
    third.resume()
    first.stop()
    assert second.step() == 1
    second.stop()
    third.wait(WAIT)


def test_the_queue_is_bounded(make: Callable[..., Replays], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    replays = make(max_concurrent_replays=1)
    for _ in range(4):
        replays.start("s", paused=True)
    with pytest.raises(ResourceLimitExceeded, match="max_concurrent_replays") as caught:
        replays.start("s")
    assert (caught.value.resource, caught.value.limit) == ("waiting_replays", 3)
    replays.list()[-1].stop()
    replays.start("s")


def test_without_a_free_thread_a_replay_is_refused_or_waits(make: Callable[..., Replays]) -> None:
    leave = Flag()
    replays = make(max_concurrent_replays=1, max_elastic_threads=4)
    elastic = replays._core.elastic
    first, second = replays.start("s", paused=True), replays.start("s", paused=True)
    jobs = [elastic.submit(leave.wait, WAIT) for _ in range(3)]
    first.stop()
    assert second.status == "scheduled"
    leave.set()
    for job in jobs:
        job.result(WAIT)
    second.wait_paused(WAIT)
    leave.clear()
    second.stop()
    jobs = [elastic.submit(leave.wait, WAIT) for _ in range(3)]
    with pytest.raises(ResourceLimitExceeded, match="elastic"):
        replays.start("s")
    leave.set()
    for job in jobs:
        job.result(WAIT)
    replays.start("s").wait(WAIT)


def test_closing_ends_all_of_them(make: Callable[..., Replays]) -> None:
    entered, leave = Flag(), Flag()

    def gate(sequence: int) -> None:
        if sequence == 3:
            entered.set()
            leave.wait(WAIT)

    courses = iter([Course(10, gate=gate), Course(10), Course(10)])
    replays = make(lambda: next(courses), max_concurrent_replays=2)
    hanging, paused, waiting = replays.start("s"), replays.start("s", paused=True), replays.start("s")
    assert entered.wait(WAIT)
    replays.begin_to_close()
    replays.close(0.1)
    for each in (hanging, paused, waiting):
        assert each.status == "stopped"
        with pytest.raises(RuntimeClosed):
            each.wait(WAIT)
    with pytest.raises(RuntimeClosed):
        replays.start("s")
    leave.set()
    assert hanging.status == "stopped"


def test_a_schedule_goes_through_the_same_turns(make: Callable[..., Replays]) -> None:
    replays = make(max_concurrent_replays=1)
    first = replays.start("s", paused=True)
    schedule = replays.schedule("s", once=0)
    assert replays.schedules() in ([], [schedule])
    replays._schedules.tick()
    assert schedule.current is not None
    assert schedule.current.status == "scheduled"
    following = schedule.current
    first.stop()
    following.wait(WAIT)
    assert schedule.runs[0].result.total == 55
