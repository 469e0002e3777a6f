"""Hooks that take long or hang, the circuit breaker, and a point without hooks."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.actors.hooks.guard import Guard
from greenroom.runtime import (
    GreenroomError,
    HookCancelled,
    HookContext,
    HookResult,
    OperationTimeout,
    ResourceLimitExceeded,
    Runtime,
    RuntimeClosed,
    Session,
    ValidationError,
    hooks,
    messages,
)


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What hooks wait for that hang; set when the test is over, so that their threads end."""
    event = threading.Event()
    yield event
    event.set()


def boom(context: HookContext) -> None:
    raise RuntimeError("boom")


# -- time


def test_a_hook_that_hangs_frees_its_caller_and_holds_no_session(
    rt: Runtime, session: Session, never: threading.Event
) -> None:
    handle = rt.hooks.register("BeforeStateWrite", lambda context: never.wait(), timeout=0.05)
    session.set("k", 1)
    assert session.get("k") == 1
    info = handle.info()
    assert (info.timeouts, info.failures, info.breaker) == (1, 1, "open")
    session.set("k", 2)
    assert handle.info().calls == 1, "its breaker is open"
    handle.unregister()
    required = rt.hooks.register("BeforeStateWrite", lambda context: never.wait(), timeout=0.05, required=True)
    with pytest.raises(HookCancelled, match="OperationTimeout"):
        session.set("k", 3)
    with pytest.raises(HookCancelled, match="skipped after its failures"):
        session.set("k", 3)
    required.unregister()
    assert session.get("k") == 2


def test_while_a_hook_hangs_others_use_the_session(rt: Runtime, session: Session, never: threading.Event) -> None:
    entered = threading.Event()

    def hang(context: HookContext) -> None:
        entered.set()
        never.wait()

    rt.hooks.register("BeforeStateWrite", hang, timeout=30, filter=lambda context: context.data["key"] == "slow")
    waiting = threading.Thread(target=session.set, args=("slow", 1))
    waiting.start()
    assert entered.wait(10)
    session.set("quick", 2)
    assert session.variables() == {"quick": 2}
    never.set()
    waiting.join(10)
    assert session.get("slow") == 1


def test_a_hook_has_no_more_time_than_the_operation(rt: Runtime, session: Session, never: threading.Event) -> None:
    rt.hooks.register("BeforeStateWrite", lambda context: never.wait(), timeout=300)
    with pytest.raises(OperationTimeout) as late:
        rt.ask(session.id, messages.SetVariable("k", 1), timeout=0.05)
    assert late.value.started is False
    assert session.variables() == {}


def test_what_a_hook_changes_after_its_time_is_lost(rt: Runtime, session: Session, never: threading.Event) -> None:
    changed = threading.Event()

    def late(context: HookContext) -> HookResult:
        data = context.data
        never.wait()
        data["value"] = "late"
        changed.set()
        return HookResult.cancel("late")

    rt.hooks.register("BeforeStateWrite", late, timeout=0.05)
    session.set("k", {"in": "time"})
    never.set()
    assert changed.wait(10)
    assert session.get("k") == {"in": "time"}


def test_hooks_that_hang_are_bounded_and_then_fail_at_once(never: threading.Event) -> None:
    with Runtime.open(config={"max_elastic_threads": 2, "close_timeout": 0.1}) as rt:
        session = rt.create_session()
        options: dict[str, Any] = {"timeout": 0.02, "cooldown": 0.0, "inline": False}
        hanging = rt.hooks.register("BeforeStateWrite", lambda context: never.wait(), **options)
        for number in range(5):
            session.set("k", number)
        info = hanging.info()
        assert (info.timeouts, info.failures) == (2, 5)
        assert info.last_error == "ResourceLimitExceeded"
        assert session.get("k") == 4


def test_a_hook_that_found_no_thread_is_not_left_out_for_that(
    rt: Runtime, session: Session, never: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = rt.hooks.register("BeforeStateWrite", lambda context: None, failure_threshold=1, inline=False)
    monkeypatch.setattr(rt.hooks.services, "guard", Guard(rt.hooks.services.guard.elastic, most=0))
    session.set("k", 1)
    monkeypatch.undo()
    session.set("k", 2)
    info = called.info()
    assert (info.failures, info.last_error, info.breaker, info.calls) == (1, "ResourceLimitExceeded", "closed", 2)


def test_hooks_leave_threads_for_others(never: threading.Event) -> None:
    with Runtime.open(config={"close_timeout": 0.1}) as rt:
        guard = Guard(rt.core.elastic, 2)
        context = HookContext.builder("custom:x").build()
        for _ in range(2):
            with pytest.raises(OperationTimeout):
                guard.call(lambda context: never.wait(), context, 0.01)
        with pytest.raises(ResourceLimitExceeded) as full:
            guard.call(lambda context: None, context, 1)
        assert full.value.fields["resource"] == "hook_threads"
        assert rt.core.elastic.submit(lambda: "free").result(10) == "free"
        never.set()
        while rt.core.elastic.busy:
            rt.core.elastic.submit(lambda: None).result(10)
        assert guard.call(lambda context: "again", context, 10)[0] == "again"


def test_closing_does_not_wait_for_a_hook_that_hangs(never: threading.Event) -> None:
    rt = Runtime.open()
    session = rt.create_session()
    entered = threading.Event()

    def hang(context: HookContext) -> None:
        entered.set()
        never.wait()

    rt.hooks.register("BeforeStateWrite", hang, timeout=60)
    rt.hooks.register("SystemShutdown", lambda context: never.wait(), timeout=60)
    outcomes: list[BaseException] = []

    def write() -> None:
        try:
            session.set("k", 1)
        except GreenroomError as error:
            outcomes.append(error)

    waiting = threading.Thread(target=write)
    waiting.start()
    assert entered.wait(10)
    begun = time.monotonic()
    rt.close(timeout=0.5)
    assert time.monotonic() - begun < 8, "far less than the hooks would have taken"
    never.set()
    waiting.join(10)
    assert [type(each) for each in outcomes] == [RuntimeClosed]


def test_an_async_hook_runs_in_a_loop_of_its_own(rt: Runtime, session: Session) -> None:
    async def checked(context: HookContext) -> HookResult:
        await asyncio.sleep(0)
        return HookResult.modified({"value": "checked"})

    rt.hooks.register("BeforeStateWrite", checked)
    session.set("k", 1)
    assert session.get("k") == "checked"
    with pytest.raises(ValidationError):
        rt.hooks.register("BeforeStateWrite", checked, inline=True)


def test_an_async_hook_that_hangs_is_ended(rt: Runtime, session: Session) -> None:
    ended = threading.Event()

    async def hang(context: HookContext) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    rt.hooks.register("BeforeStateWrite", hang, timeout=0.05)
    session.set("k", 1)
    assert ended.wait(10)


def test_a_hook_that_proved_quick_runs_on_its_callers_thread_until_it_is_slow(rt: Runtime, session: Session) -> None:
    threads: list[int] = []
    slow = threading.Event()

    def hook(context: HookContext) -> None:
        threads.append(threading.get_ident())
        if slow.is_set():
            time.sleep(0.002)

    handle = rt.hooks.register("BeforeStateRead", hook)
    always = rt.hooks.register("BeforeStateRead", lambda context: None, inline=False)
    session.get("k")
    assert threads[-1] != threading.get_ident()
    for _ in range(2000):
        session.get("k")
        if threads[-1] == threading.get_ident():
            break
    assert threads[-1] == threading.get_ident()
    slow.set()
    session.get("k")
    slow.clear()
    session.get("k")
    assert threads[-1] != threading.get_ident()
    assert handle.info().failures == 0
    assert rt.hooks._hooks[always.id].guarded


# -- the circuit breaker


def test_a_breaker_opens_half_opens_and_closes_by_the_clock(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        session, works = rt.create_session(), threading.Event()

        def flaky(context: HookContext) -> None:
            if not works.is_set():
                raise RuntimeError

        handle = rt.hooks.register("BeforeStateWrite", flaky, failure_threshold=3, cooldown=30)
        for _ in range(5):
            session.set("k", 1)
        assert (handle.info().calls, handle.info().breaker) == (3, "open")
        clock.advance(29)
        session.set("k", 1)
        assert handle.info().calls == 3
        clock.advance(1)
        assert handle.info().breaker == "half-open"
        session.set("k", 1)
        assert (handle.info().calls, handle.info().breaker) == (4, "open"), "it failed its trial"
        clock.advance(30)
        works.set()
        session.set("k", 1)
        assert (handle.info().calls, handle.info().breaker) == (5, "closed")
        works.clear()
        session.set("k", 1)
        session.set("k", 1)
        assert handle.info().breaker == "closed", "the count begins anew"


def test_a_slow_hook_is_left_out_too(rt: Runtime, session: Session) -> None:
    handle = rt.hooks.register("BeforeStateWrite", lambda context: None, slow_after=0.0, failure_threshold=2)
    for _ in range(4):
        session.set("k", 1)
    info = handle.info()
    assert (info.calls, info.failures, info.breaker) == (2, 0, "open")
    handle.enable()
    assert handle.info().breaker == "closed"


def test_a_hook_that_answers_well_stays_in(rt: Runtime, session: Session) -> None:
    fail = iter([True, True, False] * 4)

    def mostly(context: HookContext) -> None:
        if next(fail):
            raise RuntimeError

    handle = rt.hooks.register("BeforeStateWrite", mostly, failure_threshold=3)
    for _ in range(12):
        session.set("k", 1)
    assert handle.info().calls == 12


def test_of_those_that_come_to_a_half_open_breaker_one_tries(clock: Any) -> None:
    from greenroom.actors.hooks.guard import Breaker

    breaker = Breaker(1, 10, clock.monotonic)
    breaker.bad()
    assert not breaker.admits()
    clock.advance(10)
    assert [breaker.admits() for _ in range(3)] == [True, False, False]
    breaker.good()
    assert [breaker.admits() for _ in range(3)] == [True, True, True]


# -- nothing registered


def test_no_message_takes_another_way_while_no_hook_is_there(rt: Runtime, session: Session) -> None:
    handle = rt.hooks.register("BeforeStateWrite", boom)
    # A batch looks for the hooks of its commands.
    assert set(rt._supervisor.delivery.hooked) == {messages.SetVariable, messages.DeleteVariable, messages.Batch}
    handle.unregister()
    assert rt._supervisor.delivery.hooked == {}
    assert rt.hooks.at("BeforeStateWrite") is None


def test_a_plain_function_that_answers_with_a_coroutine_works_where_there_is_a_loop(
    rt: Runtime, session: Session
) -> None:
    async def answer() -> str:
        return "cancel"

    handle = rt.hooks.register("BeforeStateWrite", lambda context: answer())
    with pytest.raises(HookCancelled):
        session.set("k", 1)
    handle.unregister()
    rt.hooks.register("BeforeStateWrite", lambda context: answer(), inline=True)
    for _ in range(3):
        with pytest.raises(HookCancelled, match="SetVariable was refused by hook"):
            session.set("k", 1)


@pytest.mark.parametrize("inline", [True, False])
def test_a_hook_that_wants_to_end_the_process_is_one_that_fails(rt: Runtime, session: Session, inline: bool) -> None:
    handle = rt.hooks.register("BeforeStateWrite", lambda context: sys.exit(3), inline=inline)
    session.set("k", 1)
    assert session.get("k") == 1
    assert handle.info().last_error == "SystemExit"


@pytest.mark.parametrize("fn", [lambda: None, lambda a, b: None, lambda *, context: None, 7, "text"])
def test_what_cannot_be_called_with_a_context_is_refused_when_it_is_registered(rt: Runtime, fn: Any) -> None:
    for register in (
        lambda: rt.hooks.register("BeforeStateWrite", fn),
        lambda: rt.hooks.register("BeforeStateWrite", lambda context: None, filter=fn),
        lambda: hooks.voting([fn]),
        lambda: rt.middleware.use("update", fn),
        lambda: rt.events.subscribe("**", callback=fn),
        lambda: rt.policies.add("mine", fn),
    ):
        with pytest.raises(ValidationError):
            register()
    assert not rt.hooks.list()


def test_a_filter_that_is_async_would_always_be_true(rt: Runtime) -> None:
    async def never(context: HookContext) -> bool:
        return False

    with pytest.raises(ValidationError, match="async"):
        rt.hooks.register("BeforeStateWrite", lambda context: None, filter=never)
