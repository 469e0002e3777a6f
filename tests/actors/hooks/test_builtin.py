"""The hooks that come with greenroom."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from greenroom.runtime import (
    AccessDenied,
    HookCancelled,
    HookContext,
    HookResult,
    Runtime,
    Session,
    ValidationError,
    hooks,
)


def test_logging_tells_of_operations_and_never_of_their_data(
    rt: Runtime, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    rt.hooks.register("AfterStateWrite", hooks.LoggingHook())
    with caplog.at_level(logging.INFO, "greenroom.operations"):
        session.set("k", "the secret")
    assert f"AfterStateWrite SetVariable session:{session.id}" in caplog.text
    assert "the secret" not in caplog.text


def test_metrics_count_by_point_and_operation(rt: Runtime, session: Session) -> None:
    metrics = hooks.MetricsHook()
    rt.middleware.use("operation", metrics, when="after")
    session.set("k", 1)
    session.set("k", 2)
    session.get("k")
    rows = metrics.snapshot()["middleware:operation:after"]
    assert {name: row["count"] for name, row in rows.items()} == {"SetVariable": 2, "GetVariable": 1}
    assert rows["SetVariable"]["mean"] <= rows["SetVariable"]["longest"]


def test_security_refuses_by_name(rt: Runtime, session: Session) -> None:
    rt.hooks.register("BeforeStateWrite", hooks.SecurityHook(deny=["secret*"]))
    rt.hooks.register("BeforeArtifactStore", hooks.SecurityHook(allow=["*.txt"]))
    session.set("k", 1)
    session.store_artifact("x", "a.txt", "1")
    for refused in (lambda: session.set("secret/1", 1), lambda: session.store_artifact("x", "a.exe", "1")):
        with pytest.raises(HookCancelled):
            refused()
    with pytest.raises(ValidationError):
        hooks.SecurityHook(deny="secret*")


def test_caching_answers_the_same_question_and_only_that(rt: Runtime, session: Session) -> None:
    session.set("k", 1)
    session.set("l", 2)
    rt.hooks.register("BeforeStateRead", hooks.CachingHook(ttl=60))
    assert (session.get("k"), session.get("l")) == (1, 2)
    session.set("k", 3)
    assert (session.get("k"), session.get("l"), session.get("k", default=7)) == (1, 2, 3)


def test_caching_tells_queries_apart(rt: Runtime, session: Session) -> None:
    for name in ("a", "b"):
        session.store_artifact(f"type-{name}", name, name)
    rt.middleware.use("read", hooks.CachingHook(60))
    for _ in range(2):
        for name in ("a", "b"):
            (found,) = session.query_artifacts(artifact_type=f"type-{name}")
            assert found.name == name


def test_what_was_read_through_a_share_is_not_kept(rt: Runtime, session: Session) -> None:
    owner = rt.create_session()
    info = owner.store_artifact("t", "shared", "secret")
    owner.share(info.id, session, "read")
    rt.middleware.use("read", hooks.CachingHook(60))
    assert session.get_artifact(info.id).content == b"secret"
    owner.revoke(info.id, session)
    with pytest.raises(AccessDenied):
        session.get_artifact(info.id)


def test_the_rate_limit_refuses_by_the_clock_and_by_session(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        one, other = rt.create_session(), rt.create_session()
        rt.hooks.register("BeforeStateWrite", hooks.RateLimitHook(rate=2, burst=2))
        one.set("k", 1)
        one.set("k", 2)
        with pytest.raises(HookCancelled, match=r"try again in 0\.5 s"):
            one.set("k", 3)
        other.set("k", 1)
        clock.advance(0.5)
        one.set("k", 4)
        with pytest.raises(HookCancelled):
            one.set("k", 5)
        assert one.get("k") == 4


def test_retry_performs_failed_operations_again(rt: Runtime) -> None:
    failures = [ConnectionError(), ConnectionError()]

    def call(data: dict[str, Any], target: str | None) -> str:
        if failures:
            raise failures.pop()
        return "answer"

    rt.hooks.register("ToolError", hooks.RetryHook(max_attempts=3, on=["ConnectionError"]))
    assert rt.hooks.around({}, call, error="ToolError") == "answer"
    failures.append(ConnectionError())
    failures.append(KeyError())  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        rt.hooks.around({}, call, error="ToolError")


def test_costs_are_added_up_by_session(rt: Runtime, session: Session) -> None:
    costs = hooks.CostHook(prices={"small-*": 2.0})
    rt.hooks.register("AfterAgentExecution", costs)
    replies: list[dict[str, Any]] = [
        {"usage": {"total_tokens": 1_000_000}, "model": "small-1"},
        {"usage": {"input_tokens": 10, "output_tokens": 5}, "cost": 0.25},
        {"text": "no usage"},
    ]
    for reply in replies:
        rt.hooks.around({}, lambda data, target, reply=reply: reply, after="AfterAgentExecution", session_id=session.id)
    assert costs.of(session.id) == costs.total == hooks.Spending(calls=3, tokens=1_000_015, cost=2.25)
    assert costs.of("another") == hooks.Spending()


def test_debugging_keeps_the_last_operations(rt: Runtime, session: Session) -> None:
    debugging = hooks.DebuggingHook(capacity=2)
    rt.hooks.register("AfterStateWrite", debugging)
    for number in range(3):
        session.set("k", number)
    assert [entry["data"]["value"] for entry in debugging.entries()] == [1, 2]
    assert debugging.entries()[0]["operation"] == "SetVariable"
    debugging.clear()
    assert debugging.entries() == []


def test_built_in_hooks_work_in_compositions(rt: Runtime, session: Session) -> None:
    def upper(context: HookContext) -> HookResult:
        return HookResult.modified({"value": str(context.data["value"]).upper()})

    chain = hooks.sequential([hooks.SecurityHook(deny=["x"]), hooks.DebuggingHook(), upper])
    rt.hooks.register("BeforeStateWrite", chain)
    session.set("k", "v")
    assert session.get("k") == "V"
