"""Replays at set times, with a clock that the test drives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from greenroom.actors.scheduling.timers import Timers
from greenroom.runtime.replay.controls.breakpoints import Breakpoints
from greenroom.runtime.replay.controls.replay import Replay
from greenroom.runtime.replay.controls.rules import rule_of
from greenroom.runtime.replay.controls.runner import Runner
from greenroom.runtime.replay.controls.schedule import MAX_OWN, MAX_SCHEDULES, ReplaySchedule, Schedules
from greenroom.storage.common.times import nanoseconds, utc_time
from greenroom.storage.concurrency.waiting import Flag
from greenroom.storage.errors import ReplayError, ResourceLimitExceeded, ValidationError

from ....conftest import DrivenClock
from .made_up import Course

WAIT = 30.0


def _times(begin: str, number: int, **rule: Any) -> list[str]:
    given = {"once": None, "interval": None, "cron": None, "timezone": "UTC", **rule}
    made = rule_of(**given)
    time = made.first(nanoseconds(datetime.fromisoformat(begin)))
    found = []
    while time is not None and len(found) < number:
        found.append(utc_time(time).isoformat())
        time = made.after(time)
    return [each.removesuffix("+00:00") for each in found]


def test_the_times_of_each_kind() -> None:
    assert _times("2026-05-01T10:00:00Z", 5, once="2026-05-02T00:00:00+02:00") == ["2026-05-01T22:00:00"]
    assert _times("2026-05-01T10:00:00Z", 3, interval=90) == [
        "2026-05-01T10:01:30",
        "2026-05-01T10:03:00",
        "2026-05-01T10:04:30",
    ]
    assert _times("2026-05-01T10:00:00Z", 3, cron="*/20 10 * * *") == [
        "2026-05-01T10:20:00",
        "2026-05-01T10:40:00",
        "2026-05-02T10:00:00",
    ]
    assert _times("2026-05-01T10:00:00.5Z", 2, cron="*/30 * * * * *") == ["2026-05-01T10:00:30", "2026-05-01T10:01:00"]


def test_cron_knows_the_zone_and_its_summer_time() -> None:
    assert _times("2026-03-27T12:00:00Z", 3, cron="30 2 * * *", timezone="Europe/Berlin") == [
        "2026-03-28T01:30:00",
        "2026-03-29T01:00:00",  # 02:30 does not exist in the night in which the clocks go forward
        "2026-03-30T00:30:00",
    ]


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({}, "once"),
        ({"once": 1.0, "interval": 5}, "once"),
        ({"once": "yesterday"}, "once"),
        ({"once": datetime(2026, 1, 1)}, "once"),
        ({"interval": 0}, "interval"),
        ({"interval": 1e-9}, "interval"),
        ({"interval": float("inf")}, "interval"),
        ({"cron": ""}, "cron"),
        ({"cron": "* * *"}, "cron"),
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "0 0 31 2 *"}, "cron"),
        ({"cron": "0 3 * * *", "timezone": "Mars/Olympus"}, "timezone"),
        ({"cron": "0 3 * * *", "timezone": "../etc/passwd"}, "timezone"),
    ],
)
def test_an_impossible_time_is_refused(rule: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _times("2026-05-01T10:00:00Z", 1, **rule)
    assert caught.value.field == field


@pytest.fixture
def schedules(clock: DrivenClock) -> Iterator[Schedules]:
    timers = Timers(clock)
    made = Schedules(clock, timers)
    yield made
    made.close()
    timers.close(WAIT)


@pytest.fixture
def add(schedules: Schedules, clock: DrivenClock) -> Callable[..., ReplaySchedule]:
    def add(
        runs: list[Runner],
        *,
        until: datetime | None = None,
        limit: int | None = None,
        at_once: bool = True,
        owner: str | None = None,
        **rule: Any,
    ) -> ReplaySchedule:
        def start(ended: Callable[[Runner], object]) -> Replay:
            placed = Breakpoints()
            runner = Runner(
                Course(3),
                placed,
                clock,
                check_open=print,
                ended=lambda: ended(runner),
                reporter=None,
                speed=None,
                paused=False,
            )
            runner.begin()
            runs.append(runner)
            if at_once:
                runner.run()
            return Replay("id", runner, placed, WAIT)

        made = rule_of(**{"once": None, "interval": None, "cron": None, "timezone": "UTC", **rule})
        last = nanoseconds(until) if until else None
        return schedules.add("s", made, start, until=last, limit=limit, owner=owner)

    return add


def test_once_runs_once_and_keeps_its_result(
    schedules: Schedules, clock: DrivenClock, add: Callable[..., ReplaySchedule]
) -> None:
    runs: list[Runner] = []
    begin = utc_time(clock.now_ns)
    schedule = add(runs, once=begin + timedelta(seconds=30))
    assert schedule.next_run == begin + timedelta(seconds=30)
    assert schedules.list() == [schedule]
    clock.advance(29)
    schedules.tick()
    assert not runs
    clock.advance(1)
    schedules.tick()
    clock.advance(100)
    schedules.tick()
    assert len(runs) == 1
    (run,) = schedule.runs
    assert (run.due, run.result.total, run.error) == (begin + timedelta(seconds=30), 6, None)
    assert (schedule.active, schedule.next_run, schedules.list()) == (False, None, [])


def test_an_interval_ends_with_its_limit_or_its_time(
    schedules: Schedules, clock: DrivenClock, add: Callable[..., ReplaySchedule]
) -> None:
    limited: list[Runner] = []
    timed: list[Runner] = []
    add(limited, interval=60, limit=3)
    add(timed, interval=60, until=utc_time(clock.now_ns) + timedelta(seconds=130))
    for _ in range(10):
        clock.advance(60)
        schedules.tick()
    assert (len(limited), len(timed)) == (3, 2)
    assert schedules.list() == []


def test_what_was_missed_is_not_made_up_for(
    schedules: Schedules, clock: DrivenClock, add: Callable[..., ReplaySchedule]
) -> None:
    runs: list[Runner] = []
    schedule = add(runs, interval=60)
    begin = utc_time(clock.now_ns)
    clock.advance(1000)
    schedules.tick()
    assert len(runs) == 1
    assert schedule.next_run == begin + timedelta(seconds=1020)


def test_a_schedule_of_a_session_runs_once_a_minute_at_most(
    schedules: Schedules, clock: DrivenClock, add: Callable[..., ReplaySchedule]
) -> None:
    runs: list[Runner] = []
    schedule = add(runs, interval=7, owner="session")
    for _ in range(100):
        clock.advance(7)
        schedules.tick()
    assert len(runs) == 12  # every 63 seconds
    assert schedule.skipped == 0


def test_a_session_takes_no_schedules_from_the_host_or_another(
    schedules: Schedules, add: Callable[..., ReplaySchedule]
) -> None:
    for _ in range(MAX_OWN):
        add([], interval=60, owner="session")
    with pytest.raises(ResourceLimitExceeded, match="this session has"):
        add([], interval=60, owner="session")
    add([], interval=60, owner="other")
    for _ in range(MAX_SCHEDULES):
        add([], interval=60)
    with pytest.raises(ResourceLimitExceeded, match="there are"):
        add([], interval=60)


def test_a_run_waits_for_the_one_before(
    schedules: Schedules, clock: DrivenClock, add: Callable[..., ReplaySchedule]
) -> None:
    runs: list[Runner] = []
    schedule = add(runs, interval=60, limit=2, at_once=False)
    for _ in range(3):
        clock.advance(60)
        schedules.tick()
    assert (len(runs), schedule.skipped, schedule.current is not None) == (1, 2, True)
    runs[0].run()
    assert schedule.current is None
    clock.advance(60)
    schedules.tick()
    assert (len(runs), schedule.active) == (2, False), "a run that was skipped does not count"
    runs[1].run()
    assert [run.result.total for run in schedule.runs] == [6, 6]


def test_a_cancelled_schedule_runs_no_more(
    schedules: Schedules, clock: DrivenClock, add: Callable[..., ReplaySchedule]
) -> None:
    runs: list[Runner] = []
    schedule = add(runs, interval=60)
    clock.advance(60)
    schedules.tick()
    schedule.cancel()
    schedule.cancel()
    clock.advance(60)
    schedules.tick()
    assert (len(runs), schedules.list()) == (1, [])


def test_a_run_that_cannot_start_is_kept_with_its_error(schedules: Schedules, clock: DrivenClock) -> None:
    def start(ended: Callable[[Runner], object]) -> Replay:
        raise ReplayError("not now")

    rule = rule_of(None, 60, None, "UTC")
    schedule = schedules.add("s", rule, start, until=None, limit=None)
    for _ in range(25):
        clock.advance(60)
        schedules.tick()
    assert len(schedule.runs) == 20, "the newest are kept"
    assert all(isinstance(run.error, ReplayError) and run.result is None for run in schedule.runs)
    assert schedule.runs[-1].finished_at == datetime.fromtimestamp(clock.now_ns / 1e9, UTC)


def test_the_timer_rings_when_a_run_is_due(schedules: Schedules, clock: DrivenClock) -> None:
    started = Flag()

    def start(ended: Callable[[Runner], object]) -> Replay:
        started.set()
        raise ReplayError("not now")

    schedules.add("s", rule_of(None, 3000, None, "UTC"), start, until=None, limit=None)
    schedules.add("s", rule_of(None, 0.01, None, "UTC"), start, until=None, limit=None)
    clock.advance(0.02)
    assert started.wait(WAIT), "the one that is due first is waited for"
