"""Time passes: sessions are warned, suspended and failed, in memory or not, and resuming starts their time anew."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import InvalidStateTransition, Runtime, Session
from greenroom.storage.engine.engine import CF

Opened = Callable[..., Runtime]
Tick = Callable[[Runtime], None]
HOUR = 3600.0
A_DAY = {"timeout": {"max_duration": 24 * HOUR}}


def told(session: Session, type_: str) -> list[dict[str, Any]]:
    return [event.data for event in session.events() if event.type == type_]


def status(session: Session) -> str:
    return str(session.info().status)


def test_no_default_ends_a_session(opened: Opened, clock: Any, tick: Tick, store_path: Path) -> None:
    with opened(store_path) as rt:
        usual, limited = rt.create_session(), rt.create_session(config={"max_artifacts": 5})
        ended = rt.create_session()
        ended.complete()
    for _ in range(3):
        clock.advance(1000 * 24 * HOUR)
        rt = opened(store_path)
        tick(rt)
        assert [status(rt.session(each.id)) for each in (usual, limited, ended)] == ["active", "active", "completed"]
        assert told(rt.session(usual.id), "policy.warning") == []
        rt.session(usual.id).set("k", 1)
        assert rt.cleanup() == 0
        rt.close()


def test_a_session_is_failed_when_its_time_and_the_grace_are_over(opened: Opened, clock: Any, tick: Tick) -> None:
    rt = opened(policies=A_DAY)
    session = rt.create_session()
    clock.advance(24 * HOUR - 0.001)
    tick(rt)
    assert status(session) == "active"
    clock.advance(0.001)
    tick(rt)
    assert status(session) == "active", "the grace period has begun"
    clock.advance(59.9)
    tick(rt)
    session.set("k", 1)
    clock.advance(0.1)
    tick(rt)
    info = session.info()
    assert (str(info.status), info.failure_reason) == ("failed", "timeout")
    [violation] = told(session, "policy.violated")
    assert violation["policy"] == "timeout"
    assert violation["limit"] == "max_duration"
    with pytest.raises(InvalidStateTransition):
        session.resume()


def test_it_is_warned_five_minutes_and_one_minute_before_and_when_the_grace_begins(
    opened: Opened, clock: Any, tick: Tick
) -> None:
    rt = opened(policies=A_DAY)
    session = rt.create_session()
    for seconds, warnings in [
        (24 * HOUR - 301, 0),
        (1, 1),
        (100, 1),
        (139, 1),
        (1, 2),
        (30, 2),
        (30, 3),
        (30, 3),
    ]:
        clock.advance(seconds)
        tick(rt)
        tick(rt)
        assert len(told(session, "policy.warning")) == warnings
    assert [round(each["left"]) for each in told(session, "policy.warning")] == [300, 60, 0]


def test_warnings_that_were_slept_through_are_one(opened: Opened, clock: Any, tick: Tick) -> None:
    rt = opened(policies=A_DAY)
    session = rt.create_session()
    clock.advance(24 * HOUR - 20)
    tick(rt)
    [warning] = told(session, "policy.warning")
    assert warning["left"] == pytest.approx(20)


def test_a_short_session_is_not_warned_at_its_beginning(opened: Opened, clock: Any, tick: Tick) -> None:
    rt = opened()
    session = rt.create_session(config={"max_duration": 120})
    tick(rt)
    assert told(session, "policy.warning") == []
    clock.advance(60)
    tick(rt)
    assert len(told(session, "policy.warning")) == 1


def test_resuming_starts_the_time_anew(opened: Opened, clock: Any, tick: Tick) -> None:
    rt = opened(policies=A_DAY)
    session = rt.create_session()
    clock.advance(24 * HOUR - 30)
    tick(rt)
    session.suspend()
    clock.advance(10 * 24 * HOUR)
    tick(rt)
    assert status(session) == "suspended", "only active sessions can last too long"
    session.resume()
    clock.advance(24 * HOUR - 301)
    tick(rt)
    assert len(told(session, "policy.warning")) == 1
    clock.advance(1)
    tick(rt)
    assert len(told(session, "policy.warning")) == 2
    clock.advance(300)
    tick(rt)
    clock.advance(60)
    tick(rt)
    assert status(session) == "failed"


def test_without_grace_it_fails_at_once(opened: Opened, clock: Any, tick: Tick) -> None:
    rt = opened(policies={"timeout": {"max_duration": 100, "grace_period": 0}})
    session = rt.create_session()
    clock.advance(99.9)
    tick(rt)
    assert status(session) == "active"
    clock.advance(0.1)
    tick(rt)
    assert status(session) == "failed"


def test_an_idle_session_is_suspended_and_can_be_resumed(opened: Opened, clock: Any, tick: Tick) -> None:
    rt = opened(policies={"timeout": {"idle_timeout": 600}})
    session = rt.create_session()
    clock.advance(599)
    session.set("k", 1)
    clock.advance(599.5)
    tick(rt)
    assert status(session) == "active"
    clock.advance(0.5)
    tick(rt)
    assert status(session) == "suspended"
    assert told(session, "policy.violated")[0]["limit"] == "idle_timeout"
    session.resume()
    session.set("k", 2)
    clock.advance(599)
    tick(rt)
    assert status(session) == "active"


def test_what_the_runtime_does_by_itself_keeps_no_session_busy(opened: Opened, clock: Any, tick: Tick) -> None:
    rt = opened(policies={"timeout": {"idle_timeout": 600}})
    session = rt.create_session()
    clock.advance(400)
    rt._supervisor.save_due()
    assert [event.type for event in session.events()][-1] == "session.saved"
    clock.advance(200)
    tick(rt)
    assert status(session) == "suspended"


@pytest.mark.parametrize("resident", [True, False])
def test_limits_of_its_own_hold_for_a_session(opened: Opened, clock: Any, tick: Tick, resident: bool) -> None:
    rt = opened(policies={"timeout": {"idle_timeout": 1000}})
    short = rt.create_session(config={"idle_timeout": 60})
    long = rt.create_session(config={"idle_timeout": 5000})
    never = rt.create_session(config={"idle_timeout": None})
    usual = rt.create_session()
    brief = rt.create_session(config={"policies": {"timeout": {"max_duration": 30, "grace_period": 0}}})
    if not resident:
        rt._supervisor.forget()
        assert rt.stats()["resident"] == 0
    for seconds, expected in [
        (29.9, "active active active active active"),
        (0.1, "active active active active failed"),
        (30, "suspended active active active failed"),
        (939.9, "suspended active active active failed"),
        (1, "suspended active active suspended failed"),
        (3999.2, "suspended suspended active suspended failed"),
        (10_000, "suspended suspended active suspended failed"),
    ]:
        clock.advance(seconds)
        tick(rt)
        assert " ".join(map(status, (short, long, never, usual, brief))) == expected


def test_the_stricter_of_two_settings_of_one_session_holds(opened: Opened, clock: Any, tick: Tick) -> None:
    rt = opened()
    policies = {"timeout": {"max_duration": 50, "grace_period": 0}}
    session = rt.create_session(config={"max_duration": 100, "policies": policies})
    assert rt.policies.effective(session).timeout.max_duration == 50
    clock.advance(50)
    tick(rt)
    assert status(session) == "failed"


def test_time_goes_on_while_the_runtime_is_closed(opened: Opened, clock: Any, tick: Tick, store_path: Path) -> None:
    with opened(store_path, policies=A_DAY) as rt:
        usual, own = rt.create_session(), rt.create_session(config={"max_duration": 3 * 24 * HOUR})
        resumed = rt.create_session()
        clock.advance(20 * HOUR)
        resumed.suspend()
        resumed.resume()
        young = [rt.create_session() for _ in range(5)]
    clock.advance(5 * HOUR)
    rt = opened(store_path, policies=A_DAY)
    assert rt.policies.timekeeper.tick() == 3
    assert rt.stats()["resident"] == 3, "who has time left by its age is not brought into memory"
    assert all(status(rt.session(each.id)) == "active" for each in young)
    assert status(rt.session(usual.id)) == "active", "who could not be warned has the grace period"
    clock.advance(60)
    tick(rt)
    assert [status(rt.session(each.id)) for each in (usual, own, resumed)] == ["failed", "active", "active"]
    clock.advance(20 * HOUR)
    tick(rt)
    clock.advance(60)
    tick(rt)
    assert [status(rt.session(each.id)) for each in (usual, own, resumed)] == ["failed", "active", "failed"]
    clock.advance(3 * 24 * HOUR)
    tick(rt)
    clock.advance(60)
    tick(rt)
    assert status(rt.session(own.id)) == "failed"


def test_a_grace_period_that_has_begun_goes_on_after_a_restart(
    opened: Opened, clock: Any, tick: Tick, store_path: Path
) -> None:
    with opened(store_path, policies=A_DAY) as rt:
        session = rt.create_session()
        clock.advance(24 * HOUR)
        tick(rt)
    clock.advance(60)
    rt = opened(store_path, policies=A_DAY)
    tick(rt)
    again = rt.session(session.id)
    assert status(again) == "failed"
    assert len(told(again, "policy.warning")) == 1
    assert rt.verify().ok


def test_a_clock_that_was_wrong_for_a_while_does_no_lasting_harm(opened: Opened, clock: Any, tick: Tick) -> None:
    rt = opened(policies={"timeout": {"idle_timeout": 600}})
    session = rt.create_session(config={"idle_timeout": 1200})
    clock.now_ns -= 7 * 24 * 3600 * 10**9
    tick(rt)
    assert status(session) == "active"
    clock.now_ns += 7 * 24 * 3600 * 10**9
    clock.advance(1200)
    tick(rt)
    assert status(session) == "suspended"


def test_one_tick_does_a_bounded_part_and_the_next_ones_the_rest(opened: Opened, clock: Any, tick: Tick) -> None:
    rt = opened(policies={"timeout": {"idle_timeout": 60}}, max_resident_sessions=50)
    sessions = [rt.create_session() for _ in range(300)]
    clock.advance(61)
    first = rt.policies.timekeeper.tick()
    assert 0 < first < 300
    tick(rt)
    assert rt.count_sessions(status="suspended") == len(sessions)


def test_sessions_that_are_exceptions_do_not_keep_others_waiting(opened: Opened, clock: Any, tick: Tick) -> None:
    rt = opened(policies={"timeout": {"idle_timeout": 60}})
    exceptions = [rt.create_session(config={"idle_timeout": None}) for _ in range(300)]
    clock.advance(5)
    session = rt.create_session()
    clock.advance(60)
    tick(rt)
    assert status(session) == "suspended"
    assert rt.count_sessions(status="active") == len(exceptions)
    assert rt.policies.timekeeper.tick() == 0, "what was found out once is remembered"


def test_the_hooks_of_what_happened_are_called(opened: Opened, clock: Any, tick: Tick) -> None:
    rt = opened(policies={"timeout": {"idle_timeout": 60}})
    called: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
    for point in ("SessionSuspended", "SessionFailed"):
        rt.hooks.register(point, lambda context: called.put((context.point, context.session_id, context.data)))
    idle = rt.create_session()
    brief = rt.create_session(config={"policies": {"timeout": {"max_duration": 20, "grace_period": 0}}})
    clock.advance(20)
    tick(rt)
    point, session_id, data = called.get(timeout=20)
    assert (point, session_id, data["reason"]) == ("SessionFailed", brief.id, "timeout")
    clock.advance(40)
    tick(rt)
    point, session_id, data = called.get(timeout=20)
    assert (point, session_id, data["reason"]) == ("SessionSuspended", idle.id, "idle")


def test_the_timer_of_the_runtime_does_it_by_itself() -> None:
    with Runtime.open(config={"policies": {"timeout": {"max_duration": 0.01, "grace_period": 0}}}) as rt:
        failed = rt.events.subscribe("session.failed")
        session = rt.create_session()
        event = failed.receive(timeout=20)
        assert event is not None
        assert event.session_id == session.id


def test_a_session_whose_agent_is_at_work_is_not_idle(opened: Opened, clock: Any, tick: Tick) -> None:
    rt = opened(policies={"timeout": {"idle_timeout": 60}})
    session = rt.create_session()
    begun, end = threading.Event(), threading.Event()

    def thoughtful(input: str) -> str:
        begun.set()
        assert end.wait(20)
        return "done"

    rt.agents.register("thoughtful", thoughtful)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        try:
            reply = pool.submit(session.call_agent, "thoughtful", "hello")
            assert begun.wait(20)
            clock.advance(100)
            rt.policies.timekeeper.tick()
            assert status(session) == "active"
        finally:
            end.set()
        assert reply.result(20).text == "done"
    clock.advance(60)
    tick(rt)
    assert status(session) == "suspended"


# -- what they are found by


def test_the_index_of_deadlines_follows_the_sessions_and_can_be_repaired(
    opened: Opened, clock: Any, on_disk: Any, store_path: Path
) -> None:
    with opened(store_path) as rt:
        config = {"max_duration": 1000, "policies": {"timeout": {"warnings": [10]}}}
        active, ended, suspended, gone = (rt.create_session(config=config) for _ in range(4))
        usual = rt.create_session(config={"max_artifacts": 5})
        ended.complete()
        suspended.suspend()
        gone.delete()
        assert rt.verify().ok
    created = clock.now_ns
    with on_disk() as engine:
        [key] = _deadlines(engine)
        assert key[1:9] == (created + 990 * 10**9).to_bytes(8, "big")
        assert key[9:].hex() == active.id.replace("-", "")
        engine.write([(CF.INDEX, key, None)])
    with opened(store_path) as rt:
        assert not rt.verify().ok
        rt.gc()
        assert rt.verify().ok
        rt.session(suspended.id).resume()
        assert rt.session(usual.id).info()
    with on_disk() as engine:
        assert len(_deadlines(engine)) == 2


def _deadlines(engine: Any) -> list[bytes]:
    return [key for key, _ in engine.scan(CF.INDEX, b"d", b"e")]
