"""How long sessions are kept: by themselves, and by retention on a schedule."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import AccessDenied, InvalidOperation, Runtime, SessionStatus, ValidationError
from greenroom.storage.codec.keys import INDEX_LIFETIME, session_bytes
from greenroom.storage.codec.records import seal
from greenroom.storage.engine.engine import CF, Engine

from ...conftest import DrivenClock

DAY = 86_400.0


def there(rt: Runtime) -> set[str | None]:
    return {info.name for info in rt.list_sessions(status=list(SessionStatus), limit=1000)}


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_sessions_go_when_nothing_has_happened_in_them(clock: DrivenClock) -> None:
    with Runtime.open(clock=clock) as rt:
        rt.create_session("stays")
        rt.create_session("goes", config={"delete_after_idle_days": 2})
        used = rt.create_session("used", config={"delete_after_idle_days": 2})
        later = rt.create_session("later")
        later.update_config(delete_after_idle_days=2)
        rt.create_session("ended", config={"retention_days": 1}).complete()
        rt.create_session("no more", config={"delete_after_idle_days": 2}).update_config(delete_after_idle_days=None)
        clock.advance(1.5 * DAY)
        used.set("k", 1)
        used.suspend()  # in whatever status
        clock.advance(0.6 * DAY)
        report = rt.retention(lifetimes=True)
        assert {each.name for each in report.removed} == {"goes", "later", "ended"}
        assert {each.reason for each in report.removed if each.name == "goes"} == {
            "nothing has happened in it for 2 days"
        }
        run = rt.run_retention()
        assert (run.sessions, run.error) == (3, None)
        assert there(rt) == {"stays", "used", "no more"}
        assert rt.run_retention().sessions == 0
        clock.advance(2 * DAY)
        assert rt.cleanup() == 1
        assert there(rt) == {"stays", "no more"}
        assert rt.verify().problems == []


def test_what_a_session_does_meanwhile_keeps_it(clock: DrivenClock) -> None:
    """A session in which something happens between the look and the deletion is not idle."""
    with Runtime.open(clock=clock) as rt:
        session = rt.create_session("used", config={"delete_after_idle_days": 1})
        clock.advance(2 * DAY)
        rt.hooks.register("BeforeSessionDeleted", lambda context: session.set("k", 1) or "continue")
        assert rt.run_retention().sessions == 0
        assert there(rt) == {"used"}


def test_what_the_runtime_does_with_a_session_meanwhile_does_not_keep_it(clock: DrivenClock) -> None:
    """A session that is saved between the look and the deletion, as when it leaves memory, is still idle."""
    with Runtime.open(clock=clock) as rt:
        session = rt.create_session("goes", config={"delete_after_idle_days": 1})
        clock.advance(2 * DAY)
        saved: list[object] = []

        def save_once(context: object) -> str:
            if not saved:
                saved.append(session.save())
            return "continue"

        rt.hooks.register("BeforeSessionDeleted", save_once)
        assert rt.run_retention().sessions == 1
        assert saved
        assert there(rt) == set()


def test_retention_runs_on_a_schedule(store_path: Path, clock: DrivenClock) -> None:
    config = {"retention": {"every": 0.01, "ended_days": 1, "max_journal_events": 5}}
    with Runtime.open(store_path, config=config, clock=clock) as rt:
        with rt.events.subscribe("retention.finished", capacity=10_000) as listening:
            ended, long = rt.create_session("ended"), rt.create_session("long")
            for n in range(20):
                long.set("k", n)
            ended.complete()
            clock.advance(2 * DAY)
            until(lambda: "ended" not in there(rt))
            until(lambda: next(long.events()).sequence >= 1 and len(list(long.events())) < 20)
            event = listening.receive(30)
        assert event is not None
        assert event.data["error"] is None
        until(lambda: any(run.sessions for run in rt.retention_runs(100)))
    with Runtime.open(store_path, config={"retention": None}, clock=clock) as rt:
        runs = rt.retention_runs(100)
        assert sum(run.sessions for run in runs) == 1
        assert sum(run.events for run in runs) >= 10
        assert runs == sorted(runs, key=lambda run: run.started_at, reverse=True)
        assert rt.verify().problems == []


def test_the_schedule_counts_from_the_last_run(store_path: Path, clock: DrivenClock) -> None:
    config = {"retention": {"every": 1000.0}}
    for _ in range(3):  # a program that is started anew again and again
        with Runtime.open(store_path, config=config, clock=clock) as rt:
            rt._parts.retention._tick()
            until(lambda: len(rt.retention_runs()) == 1)
            rt._parts.retention._tick()
    clock.advance(1001)
    with Runtime.open(store_path, config=config, clock=clock) as rt:
        rt._parts.retention._tick()
        until(lambda: len(rt.retention_runs()) == 2)


def test_an_error_ends_one_run_and_not_the_schedule(clock: DrivenClock, caplog: Any) -> None:
    with Runtime.open(clock=clock, config={"retention": {"every": 10.0, "ended_days": 1}}) as rt:
        rt.create_session("ended").complete()
        clock.advance(2 * DAY)
        with caplog.at_level(logging.ERROR):
            real = rt._store.catalog.rows
            rt._store.catalog.rows = lambda statuses: 1 / 0  # type: ignore[assignment,return-value]
            try:
                assert rt.run_retention().error == "ZeroDivisionError"
            finally:
                rt._store.catalog.rows = real  # type: ignore[method-assign]
        assert rt.run_retention().sessions == 1
        assert [run.error for run in rt.retention_runs()] == [None, "ZeroDivisionError"]


def test_never_two_at_once_and_none_after_closing(store_path: Path, clock: DrivenClock) -> None:
    rt = Runtime.open(store_path, clock=clock, config={"retention": {"every": 10.0, "ended_days": 1}})
    for _ in range(3):
        rt.create_session("ended").complete()
    clock.advance(2 * DAY)
    tried: list[str] = []

    def within(context: Any) -> str:
        try:
            rt.run_retention()
        except InvalidOperation as error:
            tried.append(str(error))
        rt._parts.retention.end()  # what closing does first
        return "continue"

    rt.hooks.register("BeforeSessionDeleted", within)
    run = rt.run_retention()
    assert (run.sessions, run.error, len(tried)) == (1, "RuntimeClosed", 1)
    rt.close()
    with Runtime.open(store_path, clock=clock) as rt:
        assert len(there(rt)) == 1
        assert rt.count_sessions(status="completed") == 2
        assert rt.retention_runs()[0].error == "RuntimeClosed"


def test_nothing_to_do_reads_nothing_of_the_sessions(rt: Runtime) -> None:
    for _ in range(50):
        rt.create_session(config={"max_artifacts": 5}).set("k", 1)
    one = rt.create_session(config={"delete_after_idle_days": 1})
    assert list(rt._store.catalog.with_lifetimes()) == [session_bytes(one.id)]
    asked: list[bytes] = []
    real = rt._store.journal.last
    rt._store.journal.last = lambda session: asked.append(session) or real(session)  # type: ignore[method-assign,func-returns-value]
    rt._store.artifacts.records = None  # type: ignore[assignment,method-assign]
    run = rt._parts.retention._run(rt.config.retention or _own())
    assert run.error is None
    assert {each for each in asked if each[6] >> 4 == 4} == {session_bytes(one.id)}


def _own() -> Any:
    from greenroom.runtime import RetentionPolicy

    return RetentionPolicy(lifetimes=True)


def test_verify_and_repair_know_the_entries(rt: Runtime) -> None:
    session = rt.create_session(config={"retention_days": 3})
    engine: Engine = rt._store.engine
    key = INDEX_LIFETIME + session_bytes(session.id)
    assert engine.get(CF.INDEX, key) == b""
    engine.write([(CF.INDEX, key, None)])
    assert [each.kind for each in rt.verify(repair=True).problems] == ["index"]
    assert engine.get(CF.INDEX, key) == b""
    session.delete()
    assert engine.get(CF.INDEX, key) is None


def test_older_stores_get_the_entries(
    store_path: Path, on_disk: Callable[[], AbstractContextManager[Engine]], clock: DrivenClock
) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session(config={"retention_days": 3})
    with on_disk() as engine:
        engine.write([(CF.INDEX, INDEX_LIFETIME + session_bytes(session.id), None)])
        engine.write([(CF.META, b"format", seal(b"format", [2]))])
    with Runtime.open(store_path) as rt:
        assert list(rt._store.catalog.with_lifetimes()) == [session_bytes(session.id)]
        assert rt.verify().problems == []


@pytest.mark.parametrize("wrong", [{"every": 0}, {"ended": 1}, {"ended_days": -1}, 7])
def test_what_is_no_schedule_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        Runtime.open(config={"retention": wrong})


def test_it_is_the_hosts(rt: Runtime) -> None:
    session = rt.create_session()
    with acting(principal=session.id):
        for call in (rt.run_retention, rt.retention_runs, lambda: session.update_config(delete_after_idle_days=1)):
            with pytest.raises(AccessDenied):
                call()
