"""How hooks are called: in which order, for what, for how long, and what their failures do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.actors.scheduling.operation import CURRENT, acting
from greenroom.runtime import (
    AccessDenied,
    HookCancelled,
    HookContext,
    HookResult,
    InvalidOperation,
    Runtime,
    Session,
    SessionNotFound,
    ValidationError,
)


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What hooks wait for that hang; set when the test is over, so that their threads end."""
    event = threading.Event()
    yield event
    event.set()


def boom(context: HookContext) -> None:
    raise RuntimeError("boom")


def record(into: list[str], name: str) -> Any:
    return lambda context: into.append(name)


# -- order and filters


def test_hooks_are_called_from_the_highest_priority_to_the_lowest(rt: Runtime, session: Session) -> None:
    order: list[str] = []
    for priority in ("low", "normal", "highest", "lowest", "high"):
        rt.hooks.register("BeforeStateWrite", record(order, priority), name=priority, priority=priority)
    rt.hooks.register("BeforeStateWrite", record(order, "second normal"), name="second normal")
    rt.hooks.register("BeforeStateWrite", record(order, "501"), name="501", priority=501)
    session.set("k", 1)
    expected = ["highest", "501", "high", "normal", "second normal", "low", "lowest"]
    assert order == expected
    assert [info.name for info in rt.hooks.list("BeforeStateWrite")] == expected


def test_a_hook_that_decides_ends_the_round(rt: Runtime, session: Session) -> None:
    order: list[str] = []
    rt.hooks.register("BeforeStateWrite", lambda context: "cancel", priority="high")
    rt.hooks.register("BeforeStateWrite", record(order, "after"))
    with pytest.raises(HookCancelled):
        session.set("k", 1)
    assert order == []


def test_later_hooks_see_what_earlier_ones_have_changed(rt: Runtime, session: Session) -> None:
    rt.hooks.register("BeforeStateWrite", lambda context: HookResult.modified({"value": [1]}), priority="high")
    rt.hooks.register(
        "BeforeStateWrite",
        lambda context: HookResult.modified({"value": [*context.data["value"], context.operation_data["value"]]}),
    )
    session.set("k", 9)
    assert session.get("k") == [1, 9]


def test_a_hook_is_called_for_what_its_filters_let_through(rt: Runtime, session: Session) -> None:
    other, seen = rt.create_session(), []
    rt.hooks.register("BeforeStateWrite", record(seen, "session"), session_id=session.id)
    rt.hooks.register("BeforeStateWrite", record(seen, "component"), component="scope:user:*")
    rt.hooks.register("BeforeStateWrite", record(seen, "key"), filter=lambda context: context.data["key"] == "x")
    session.set("k", 1)
    assert seen == ["session"]
    other.set("x", 1)
    assert seen == ["session", "key"]
    rt.state_scope("user:1").set("k", 1)
    assert seen == ["session", "key", "component"]


def test_a_disabled_hook_is_left_out_until_it_is_enabled(rt: Runtime, session: Session) -> None:
    seen: list[str] = []
    handle = rt.hooks.register("BeforeStateWrite", record(seen, "called"), tags=["audit"])
    handle.disable()
    session.set("k", 1)
    assert seen == []
    assert [info.enabled for info in rt.hooks.list(tag="audit")] == [False]
    handle.enable()
    session.set("k", 1)
    assert seen == ["called"]
    assert handle.unregister()
    assert not handle.unregister()
    session.set("k", 1)
    assert seen == ["called"]
    with pytest.raises(InvalidOperation):
        handle.enable()
    with rt.hooks.register("BeforeStateWrite", record(seen, "for a while")):
        session.set("k", 1)
    session.set("k", 1)
    assert seen == ["called", "for a while"]


def test_hooks_are_listed_by_point_tag_name_and_state(rt: Runtime, session: Session) -> None:
    rt.hooks.register("ArtifactStored", boom, name="a", tags=["x", "y"])
    rt.hooks.register("SessionEnd", boom, name="b", tags=["y"]).disable()
    assert [info.name for info in rt.hooks.list()] == ["a", "b"]
    assert [info.name for info in rt.hooks.list(point="SessionFailed")] == ["b"]
    assert [info.name for info in rt.hooks.list(tag="x")] == ["a"]
    assert [info.name for info in rt.hooks.list(enabled=False)] == ["b"]
    assert rt.hooks.list(name="a")[0].to_dict()["points"] == ["ArtifactStored"]


@pytest.mark.parametrize(
    "options",
    [
        {"fn": 5},
        {"priority": "urgent"},
        {"priority": 1.5},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"retries": -1},
        {"tags": "text"},
        {"name": ""},
        {"session_id": "x"},
        {"failure_threshold": 0},
    ],
    ids=str,
)
def test_wrong_options_are_refused(rt: Runtime, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rt.hooks.register("SessionCreated", **{"fn": boom, **options})
    assert rt.hooks.list() == []


# -- the context


def test_a_context_tells_of_the_operation(rt: Runtime) -> None:
    session = rt.create_session(correlation_id="case-7")
    seen: list[HookContext] = []
    rt.hooks.register("AfterStateRead", seen.append)
    session.get("k")
    context = seen[0]
    assert (context.point, context.operation) == ("AfterStateRead", "GetVariable")
    assert (context.session_id, context.component_id) == (session.id, f"session:{session.id}")
    assert context.correlation_id == "case-7"
    assert context.metadata["operation"] == "GetVariable"
    assert context.started_at.tzinfo is not None
    assert context.elapsed >= 0
    with acting(correlation_id="other"):
        session.get("k")
        assert seen[1].correlation_id == "other"


def test_hooks_of_one_operation_share_notes(rt: Runtime, session: Session) -> None:
    def leave(context: HookContext) -> None:
        context.metadata["checked"] = True

    seen: list[Any] = []
    rt.hooks.register("BeforeStateWrite", leave)
    rt.hooks.register("AfterStateWrite", lambda context: seen.append(context.metadata.get("checked")))
    session.set("k", 1)
    session.set("k", 2)
    assert seen == [True, True]


def test_a_hook_can_be_tried_out_with_a_built_context() -> None:
    context = (
        HookContext.builder("BeforeStateWrite")
        .session("s")
        .operation("SetVariable")
        .component("session:s")
        .correlation("c")
        .metadata(a=1)
        .data(key="k", value=1)
        .build()
    )
    assert (context.session_id, context.operation, context.component_id) == ("s", "SetVariable", "session:s")
    assert (context.correlation_id, context.metadata, context.data) == ("c", {"a": 1}, {"key": "k", "value": 1})
    assert context.result is None
    assert context.error is None


# -- hooks that do things


def test_a_hook_may_work_on_the_session_it_is_called_for_and_is_not_called_for_that(
    rt: Runtime, session: Session
) -> None:
    calls: list[str] = []

    def count(context: HookContext) -> None:
        calls.append(context.data["key"])
        session.set("count", int(session.get("count", 0)) + 1)  # type: ignore[arg-type]

    rt.hooks.register("BeforeStateWrite", count)
    for number in (1, 2):
        session.set("k", number)
    assert session.variables() == {"k": 2, "count": 2}
    assert calls == ["k", "k"]


def test_hooks_that_call_for_each_other_come_to_an_end(rt: Runtime, session: Session) -> None:
    other = rt.create_session()
    rt.hooks.register("BeforeStateWrite", lambda context: other.get("k"))
    rt.hooks.register("BeforeStateRead", lambda context: session.set("n", 1))
    session.set("k", 1)
    assert session.variables() == {"k": 1, "n": 1}


def test_a_hook_may_delete_the_session_it_is_called_for(rt: Runtime, session: Session) -> None:
    rt.hooks.register("BeforeStateWrite", lambda context: session.delete())
    with pytest.raises(SessionNotFound):
        session.set("k", 1)
    assert not rt.exists(session.id)
    another = rt.create_session()
    for info in rt.hooks.list():
        rt.hooks.unregister(info.id)
    rt.hooks.register("AfterStateWrite", lambda context: another.delete(), replayable=True)
    another.set("k", 1)
    assert not rt.exists(another.id)


def test_a_hook_acts_for_who_registered_it(rt: Runtime, session: Session) -> None:
    audit = rt.create_session()
    rt.hooks.register("BeforeStateWrite", lambda context: audit.set("seen", context.data["key"]))
    with acting(principal=session.id):
        session.set("k", 1)
        with pytest.raises(AccessDenied):
            audit.get("seen")
    assert audit.get("seen") == "k"


def test_a_hook_of_a_session_sees_and_reaches_only_that_session(rt: Runtime, session: Session) -> None:
    other, seen = rt.create_session(), []

    def spy(context: HookContext) -> None:
        seen.append(context.session_id)
        other.get("secret")

    with acting(principal=session.id):
        handle = rt.hooks.register("BeforeStateWrite", spy)
        assert [info.id for info in rt.hooks.list()] == [handle.id]
    hosts = rt.hooks.register("BeforeStateWrite", lambda context: None, priority="low")
    other.set("k", 1)
    session.set("k", 1)
    assert seen == [session.id]
    assert handle.info().last_error == "AccessDenied"
    with acting(principal=session.id):
        assert not hosts.unregister()
        assert [info.id for info in rt.hooks.list()] == [handle.id]


def test_what_a_hook_does_is_journaled_with_it_as_the_source(rt: Runtime, session: Session) -> None:
    def tag(context: HookContext) -> None:
        session.add_tag("seen")

    rt.hooks.register("BeforeStateWrite", tag, name="tagger")
    session.set("k", 1)
    sources = {event.type: event.source for event in session.events()}
    assert sources["tags.changed"] == "hook:tagger"
    assert sources["variable.set"] is None
    assert CURRENT.get() is None


# -- failures


def test_a_failing_hook_is_journaled_and_the_operation_goes_on(rt: Runtime, session: Session) -> None:
    handle = rt.hooks.register("BeforeStateWrite", boom, name="fragile")
    session.set("k", "the value")
    assert session.get("k") == "the value"
    event = next(event for event in session.events() if event.type == "hook.executed")
    assert (event.data["hook"], event.data["point"]) == ("fragile", "BeforeStateWrite")
    assert event.data["error"] == "RuntimeError"
    info = handle.info()
    assert (info.calls, info.failures, info.last_error) == (1, 1, "RuntimeError")


def test_a_failing_hook_is_tried_again_as_often_as_it_may(rt: Runtime, session: Session) -> None:
    attempts: list[int] = []

    def third_time(context: HookContext) -> HookResult:
        attempts.append(context.attempt)
        if context.attempt < 3:
            raise ConnectionError
        return HookResult.modified({"value": "checked"})

    rt.hooks.register("BeforeStateWrite", third_time, retries=2)
    session.set("k", 1)
    assert session.get("k") == "checked"
    assert attempts == [1, 2, 3]


def test_the_failure_of_a_required_hook_refuses_the_operation(rt: Runtime, session: Session) -> None:
    rt.hooks.register("BeforeStateWrite", boom, name="guard", required=True, retries=1)
    with pytest.raises(HookCancelled, match="'guard' at BeforeStateWrite is required and failed") as refused:
        session.set("k", 1)
    assert "boom" not in str(refused.value)
    assert isinstance(refused.value.__cause__, RuntimeError)
    assert session.variables() == {}
    rt.hooks.unregister(rt.hooks.list()[0].id)
    rt.hooks.register("AfterStateWrite", boom, name="guard", required=True)
    with pytest.raises(HookCancelled, match="was performed, but"):
        session.set("k", 2)
    assert session.get("k") == 2


def test_a_filter_that_fails_is_a_failure_of_its_hook(rt: Runtime, session: Session) -> None:
    handle = rt.hooks.register("BeforeStateWrite", lambda context: "cancel", filter=lambda context: 1 / 0 > 0)
    session.set("k", 1)
    assert handle.info().last_error == "ZeroDivisionError"
    rt.hooks.register("BeforeStateWrite", boom, filter=lambda context: 1 / 0 > 0, required=True)
    with pytest.raises(HookCancelled):
        session.set("k", 1)


def test_an_interrupt_in_a_hook_is_not_taken_for_its_failure(rt: Runtime, session: Session) -> None:
    def interrupt(context: HookContext) -> None:
        raise KeyboardInterrupt

    handle = rt.hooks.register("BeforeStateWrite", interrupt, inline=True)
    with pytest.raises(KeyboardInterrupt):
        session.set("k", 1)
    handle.unregister()
    session.set("k", 2)
    assert session.get("k") == 2


def test_a_filter_that_hangs_frees_the_caller_too(rt: Runtime, session: Session, never: threading.Event) -> None:
    rt.hooks.register("BeforeStateWrite", boom, filter=lambda context: never.wait(), timeout=0.05)
    session.set("k", 1)
    assert session.get("k") == 1


def test_what_a_filter_lets_pass_is_no_call(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        session = rt.create_session()
        options: dict[str, Any] = {"failure_threshold": 1, "cooldown": 10, "replayable": True}
        handle = rt.hooks.register(
            "BeforeStateWrite", boom, filter=lambda context: context.data["key"] == "bad", **options
        )
        session.set("good", 1)
        assert handle.info().calls == 0
        session.set("bad", 1)
        clock.advance(10)
        session.set("good", 1)
        assert (handle.info().calls, handle.info().breaker) == (1, "half-open"), "it has not tried yet"
        session.set("bad", 1)
        assert (handle.info().calls, handle.info().breaker) == (2, "open")
        assert [event.data["hook"] for event in session.events() if event.type == "hook.executed"] == ["boom"] * 2
