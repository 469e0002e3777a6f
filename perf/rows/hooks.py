"""Hooks and policies: what one adds to an operation, and what it costs to have none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness import MICRO, Bench, Measured, at_most, row

from greenroom.runtime import HookContext, HookResult, Runtime, Session, messages


def nothing(context: HookContext) -> None:
    """A hook that goes on."""


def look(context: HookContext) -> None:
    """A hook that reads the data."""
    assert context.data["key"] == "k"


def ready(bench: Bench, *hooks: tuple[str, Any], **options: Any) -> Session:
    """A session on a runtime of its own, whose hooks have proved quick."""
    rt = bench.runtime()
    handles = [rt.hooks.register(point, hook, **options) for point, hook in hooks]
    session = rt.create_session()
    session.set("k", 1)
    for _ in range(200):
        session.get("k")
    assert all(handle.info().failures == 0 for handle in handles)
    return session


def added(bench: Bench, with_hooks: Session, without: Session, hooks: int, note: str) -> Measured:
    """What each hook adds to a read, by the difference of the two in the same round."""
    compared = bench.compare(lambda: with_hooks.get("k"), lambda: without.get("k"), "no hook", batch=2000)
    assert compared.baseline is not None
    assert compared.low is not None
    assert compared.high is not None
    value, low, high = ((each - compared.baseline) / hooks for each in (compared.value, compared.low, compared.high))
    return replace(compared, value=value, low=low, high=high, ratio=None, note=note)


@row("a hook", at_most(2 * MICRO))
def hook(bench: Bench) -> Measured:
    hooked = ready(bench, ("BeforeStateRead", nothing), inline=True)
    return added(bench, hooked, ready(bench), 1, "what it adds to a read, the way past the hooks included")


@row("each of ten hooks", at_most(2 * MICRO))
def ten_hooks(bench: Bench) -> Measured:
    hooked = ready(bench, *[("BeforeStateRead", nothing)] * 10, inline=True)
    return added(bench, hooked, ready(bench), 10, "at one point")


@row("a hook that reads the data", None)
def reading_hook(bench: Bench) -> Measured:
    hooked = ready(bench, ("BeforeStateRead", look), inline=True)
    return added(bench, hooked, ready(bench), 1, "its own copy of it is made")


@row("a hook on a guard thread", None)
def guarded_hook(bench: Bench) -> Measured:
    hooked = ready(bench, ("BeforeStateRead", nothing), inline=False)
    return added(bench, hooked, ready(bench), 1, "two switches of threads")


@row("a point where no hook is", at_most(0.15 * MICRO))
def unhooked(bench: Bench) -> Measured:
    rt = bench.runtime()
    rt.hooks.register("SessionSaved", nothing)
    at = rt.hooks.at
    return bench.time(lambda: at("BeforeToolExecution"), batch=20_000, note="the call of the lambda included")


@row("a message where no hook is", None)
def other_point(bench: Bench) -> Measured:
    hooked = ready(bench, ("SessionSaved", nothing))
    plain = ready(bench)
    return bench.compare(lambda: hooked.get("k"), lambda: plain.get("k"), "no hook anywhere", batch=2000)


@row("set a variable with a journaled hook", None)
def journaled(bench: Bench) -> Measured:
    rt = bench.runtime()
    rt.hooks.register("BeforeStateWrite", lambda context: HookResult.continue_(), replayable=True, inline=True)
    session = rt.create_session()
    return bench.time(lambda: session.set("k", 1), batch=500, note="one commit for both")


_MANY = 1e12
_RATES = {"runtime": _MANY, "session": _MANY, "kinds": {"state_update": _MANY}}


@row("a policy evaluation: three rates", at_most(2 * MICRO))
def rates(bench: Bench) -> Measured:
    rt = bench.runtime(policies={"rate": _RATES})
    session, message = rt.create_session(), messages.SetVariable("k", 1)
    gate = rt._supervisor.delivery.rates
    assert gate is not None
    return bench.time(lambda: gate(session.id, message), batch=5000, note="runtime, session and kind of operation")


@row("set a variable with rates and alerts on", at_most(20 * MICRO))
def set_limited(bench: Bench) -> Measured:
    limited, free = bench.runtime(policies={"rate": _RATES}), bench.runtime(policies=_nothing())
    with_policies, without = limited.create_session(), free.create_session()
    return bench.compare(
        lambda: with_policies.set("k", 1),
        lambda: without.set("k", 1),
        "no policies",
        batch=1000,
        note="same runtime else",
    )


@row("a tick over 10 000 active sessions", at_most(1000 * MICRO))
def tick(bench: Bench) -> Measured:
    rt = bench.runtime(policies={"timeout": {"idle_timeout": 3600.0}})
    _make(rt, 10_000)
    keeper = rt.policies.timekeeper
    keeper.tick()
    return bench.time(keeper.tick, batch=10, note="none is due; once a second")


def _nothing() -> dict[str, object]:
    return {
        "timeout": {"max_duration": None},
        "resources": {"max_operations": None, "max_artifacts": None, "max_storage_bytes": None, "alert_thresholds": []},
    }


def _make(rt: Runtime, count: int) -> None:
    for _ in range(count):
        rt.create_session()
