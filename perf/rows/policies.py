"""Policies: what they add to an operation, and what keeping the time of many sessions takes."""

from __future__ import annotations

from harness import MICRO, Bench, Measured, at_most, row

from greenroom.runtime import Runtime, messages

_MANY = 1e12
_RATES = {"runtime": _MANY, "session": _MANY, "kinds": {"state_update": _MANY}}


@row("a policy evaluation: three rates", at_most(3 * MICRO))
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
