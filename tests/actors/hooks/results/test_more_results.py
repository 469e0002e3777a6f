"""Kinds of result on real operations: the rarer ones, and what does not count as a result."""

from __future__ import annotations

import functools
import threading
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.hooks.result import KINDS, result_of
from greenroom.actors.hooks.subject import result_row
from greenroom.runtime import (
    HookCancelled,
    HookContext,
    HookResult,
    Runtime,
    Session,
    Step,
    ValidationError,
    Workflow,
    hooks,
    messages,
)
from greenroom.runtime.hooks import HookHandle


def always(result: Any) -> Any:
    return lambda context: result


def failed(handle: HookHandle) -> bool:
    return handle.info().failures > 0


def test_cache_keeps_the_reply_for_its_time_by_session(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        session, other = rt.create_session(), rt.create_session()
        for each in (session, other):
            each.set("k", each.id)
        handle = rt.hooks.register("BeforeStateRead", always(HookResult.cache("the-key", 60)))
        assert session.get("k") == session.id
        session.set("k", "new")
        assert session.get("k") == session.id
        assert other.get("k") == other.id, "one session never sees what was kept for another"
        clock.advance(60)
        assert session.get("k") == "new"
        session.set("k", "newer")
        handle.unregister()
        assert session.get("k") == "newer"


def test_what_a_reader_does_to_a_kept_reply_stays_its_own(rt: Runtime, session: Session) -> None:
    session.set("k", {"a": [1]})
    rt.hooks.register("BeforeStateRead", always({"type": "cache", "key": "k", "ttl": 60}))
    for _ in range(2):
        value: Any = session.get("k")
        value["a"].append(2)
    assert session.get("k") == {"a": [1]}


def test_kept_replies_are_bounded_in_bytes_whatever_they_are(rt: Runtime) -> None:
    large = {"large": "x" * 60_000}
    session = rt.create_session(metadata=large)
    for number in range(20):
        session.store_artifact("t", f"n{number}", "c", metadata=large)
    keys = iter(range(1000))
    rt.middleware.use("read", lambda context: HookResult.cache(str(next(keys)), 60))
    tracemalloc.start()
    try:
        for _ in range(500):
            session.get_artifact_info("n1")
        session.query_artifacts(artifact_type="t")  # more than a single reply may have
        assert tracemalloc.get_traced_memory()[0] < 18 << 20
    finally:
        tracemalloc.stop()


def test_a_later_hook_can_refuse_what_is_in_the_cache(rt: Runtime, session: Session) -> None:
    rt.hooks.register("BeforeStateRead", always(HookResult.cache("k", 60)), priority="high")
    session.get("k")
    rt.hooks.register("BeforeStateRead", always("cancel"), priority="low")
    with pytest.raises(HookCancelled):
        session.get("k")


def test_skipped_abstains(rt: Runtime, session: Session) -> None:
    handle = rt.hooks.register("BeforeStateWrite", always(HookResult.skipped("not mine")), replayable=True)
    session.set("k", 1)
    assert session.get("k") == 1
    assert not failed(handle)
    record = next(event for event in session.events() if event.type == "hook.executed")
    assert record.data["result"] == {"type": "skipped", "reason": "not mine"}


@pytest.mark.parametrize(
    "garbage",
    [
        5,
        "nonsense",
        True,
        {"type": "explode"},
        {"kind": "cancel"},
        {"type": "cancel", "reson": "typo"},
        {"type": "modified"},
        {"type": "modified", "data": [1]},
        {"type": "retry", "delay": -1},
        {"type": "retry", "max_attempts": 10**9},
        {"type": "cache", "key": "", "ttl": 5},
        {"type": "cache", "key": "k", "ttl": float("nan")},
        {"type": "fork", "operations": "rm"},
        {"type": "fork", "operations": [print] * 17},
        {"type": "redirect", "target": None},
        [],
        object(),
        HookResult,
    ],
    ids=lambda value: f"{type(value).__name__} {repr(value).partition(' at 0x')[0]}",
)
def test_garbage_before_an_operation_refuses_it_and_after_it_is_a_failure_of_the_hook(
    rt: Runtime, session: Session, garbage: Any
) -> None:
    # Nobody knows whether it was meant as a veto.
    handle = rt.hooks.register("BeforeStateWrite", always(garbage), name="guard")
    for _ in range(7):  # no breaker lets the operation pass after some time
        with pytest.raises(HookCancelled, match="the answer of hook 'guard' at BeforeStateWrite is no result"):
            session.set("k", 1)
    assert (handle.info().last_error, handle.info().breaker) == ("ValidationError", "closed")
    with pytest.raises(HookCancelled):
        rt.tell(session.id, messages.SetVariable("k", 1))
    assert session.variables() == {}
    handle.unregister()
    handle = rt.hooks.register("AfterStateWrite", always(garbage))
    session.set("k", 1)
    assert session.get("k") == 1
    assert handle.info().last_error == "ValidationError"


class _Vicious(str):
    """Fails however it is looked at."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __repr__


class _Mapping(dict[str, Any]):
    def get(self, *_: Any) -> Any:
        raise RuntimeError


class _Unrepresentable(Exception):
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


class _Refusal(HookResult):
    """A result all the same."""


async def _late_garbage() -> int:
    return 5


def _generator() -> Any:
    yield "cancel"


def _raises_what_is_no_result(context: HookContext) -> HookResult:
    return HookResult.cancel(403)  # type: ignore[arg-type]


def _makes_one_by_hand(context: HookContext) -> HookResult:
    return HookResult("no")


@pytest.mark.parametrize(
    "fn",
    [
        lambda context: _Vicious("cancel"),
        lambda context: _Mapping(type="cancel"),
        lambda context: _Refusal("cancel"),
        lambda context: _late_garbage(),
        lambda context: _generator(),
        lambda context: HookResult.cancel,
        lambda context: _Unrepresentable(),
        lambda context: b"cancel",
        lambda context: 10**5000,
        _raises_what_is_no_result,
        _makes_one_by_hand,
    ],
)
@pytest.mark.parametrize("inline", [None, True])
def test_no_answer_lets_a_veto_fail_open(rt: Runtime, session: Session, fn: Any, inline: bool | None) -> None:
    rt.hooks.register("BeforeStateWrite", fn, inline=inline)
    with pytest.raises(HookCancelled):
        session.set("k", 1)
    assert session.variables() == {}


def test_an_error_that_cannot_be_shown_is_a_failure_like_any_other(rt: Runtime, session: Session) -> None:
    def fails(context: HookContext) -> None:
        raise _Unrepresentable

    handle = rt.hooks.register("BeforeStateWrite", fails)
    session.set("k", 1)
    assert handle.info().last_error == "_Unrepresentable"
    rt.hooks.register("BeforeStateWrite", fails, required=True)
    with pytest.raises(HookCancelled, match="is required and failed"):
        session.set("k", 2)


def test_the_answer_is_named_and_content_is_not(rt: Runtime, session: Session) -> None:
    for answer, named in ((42, "42"), ("deny", "'deny'"), ({"type": "deny"}, "the type 'deny'"), (object(), "object")):
        with rt.hooks.register("BeforeStateWrite", always(answer)), pytest.raises(HookCancelled, match=named):
            session.set("k", 1)
    with rt.hooks.register("BeforeStateWrite", always("hunter2 is it")), pytest.raises(HookCancelled) as refused:
        session.set("k", 1)
    assert "hunter2" not in str(refused.value)


def test_votes_that_nobody_can_read_count_against(rt: Runtime, session: Session) -> None:
    yes, junk = always(None), always(42)
    for hook, passes in (
        (hooks.voting([yes, junk], 2), False),
        (hooks.voting([yes, junk, junk]), False),
        (hooks.voting([yes, yes, junk]), True),
        (hooks.voting([junk], 1.0), False),
        (hooks.sequential([yes, junk]), False),
        (hooks.parallel([yes, junk]), False),
        (hooks.parallel([always("cancel"), junk]), False),
        (hooks.CachingHook(5, key=lambda context: 5), False),  # type: ignore[arg-type, return-value]
    ):
        with rt.hooks.register("BeforeStateWrite", hook):
            if passes:
                session.set("k", 1)
            else:
                with pytest.raises(HookCancelled):
                    session.set("k", 1)


def test_async_members_are_awaited_wherever_they_stand(rt: Runtime, session: Session) -> None:
    async def refuse(context: HookContext) -> str:
        return "cancel"

    for hook in (hooks.sequential([refuse]), hooks.parallel([functools.partial(refuse)]), hooks.voting([refuse])):
        with rt.hooks.register("BeforeStateWrite", hook), pytest.raises(HookCancelled):
            session.set("k", 1)


def test_garbage_at_the_points_of_calls_refuses_them_too(rt: Runtime, session: Session) -> None:
    rt.tools.register("t", lambda: 1)
    rt.agents.register("a", lambda input: "x")
    flow = Workflow.sequential(Step("one", tool="t"))
    for point, do in (
        ("BeforeToolExecution", lambda: session.call_tool("t")),
        ("ToolValidation", lambda: session.call_tool("t")),
        ("BeforeToolDiscovery", rt.tools.discover),
        ("BeforeAgentExecution", lambda: session.call_agent("a", "x")),
        ("BeforeAgentInit", lambda: rt.agents.create("b", "a")),
        ("BeforeWorkflowStart", lambda: session.run_workflow(flow)),
        ("BeforeEventEmit", lambda: rt.events.publish("custom.x")),
        ("BeforeMessageAdd", lambda: session.add_message("user", "x")),
        ("BeforeSessionCreated", rt.create_session),
        ("custom:mine", lambda: rt.hooks.fire("custom:mine", {})),
    ):
        with rt.hooks.register(point, always(42)), pytest.raises(HookCancelled, match="no result"):
            do()
    assert {each.type for each in session.events()} <= {"session.created", "hook.executed"}


def test_a_result_that_has_no_meaning_at_a_point_is_a_failure_of_the_hook(rt: Runtime, session: Session) -> None:
    handles = [
        rt.hooks.register("AfterStateWrite", always(HookResult.redirect(session.id))),
        rt.hooks.register("AfterStateWrite", always(HookResult.cache("k", 1))),
    ]
    session.set("k", 1)
    assert [handle.info().last_error for handle in handles] == ["ValidationError"] * 2
    rt.hooks.register("custom:x", always(HookResult.cache("k", 1)))
    with pytest.raises(HookCancelled, match="'cache', which has no meaning"):
        rt.hooks.fire("custom:x", {})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_FIELD = st.sampled_from(["data", "reason", "target", "value", "delay", "max_attempts", "operations", "key", "ttl"])


@given(st.fixed_dictionaries({"type": st.sampled_from(KINDS) | _JSON}), st.dictionaries(_FIELD, _JSON, max_size=3))
def test_whatever_a_hook_answers_is_a_result_or_a_validation_error(kind: dict[str, Any], fields: Any) -> None:
    try:
        result = result_of({**kind, **fields})
    except ValidationError:
        return
    assert result.kind == kind["type"]
    assert result_of(result_row(result) if result.kind != "fork" else result).kind == result.kind


def test_results_are_checked_when_they_are_made() -> None:
    for make in (
        lambda: HookResult.retry(delay=1e9),
        lambda: HookResult.cache("k", 0),
        lambda: HookResult.fork([]),
        lambda: HookResult.redirect(""),
        lambda: HookResult.modified("x"),  # type: ignore[arg-type]
        lambda: HookResult.cancel(5),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValidationError):
            make()


def test_a_told_message_has_the_same_hooks_and_keeps_its_order(rt: Runtime, session: Session) -> None:
    after = threading.Semaphore(0)
    results: list[Any] = []

    def note(context: HookContext) -> None:
        results.append((context.data["key"], context.data["result"]))
        after.release()

    rt.hooks.register("BeforeStateWrite", lambda context: HookResult.modified({"value": context.data["value"] + 10}))
    rt.hooks.register("AfterStateWrite", note)
    for number in range(5):
        rt.tell(session.id, messages.SetVariable("k", number))
    assert session.get("k") == 14
    for _ in range(5):
        assert after.acquire(timeout=10)
    assert results == [("k", None)] * 5
    values = [event.data["value"] for event in session.events() if event.type == "variable.set"]
    assert values == [10, 11, 12, 13, 14]
    rt.hooks.register("BeforeStateWrite", always("cancel"))
    with pytest.raises(HookCancelled):
        rt.tell(session.id, messages.SetVariable("k", 9))
    assert session.get("k") == 14


def test_told_artifacts_of_a_batch_have_their_hooks(rt: Runtime, session: Session) -> None:
    stored = threading.Semaphore(0)
    rt.hooks.register("BeforeArtifactStore", lambda context: HookResult.modified({"tags": ["checked"]}))
    rt.hooks.register("ArtifactStored", lambda context: stored.release())
    rt.tell(session.id, messages.StoreMany([{"type": "x", "name": name, "content": name * 9000} for name in "ab"]))
    for _ in range(2):
        assert stored.acquire(timeout=10)
    assert session.query_artifacts(tags=["checked"]).total == 2


def test_an_outcome_is_stored_as_an_object(rt: Runtime, session: Session) -> None:
    outcome = rt.hooks.fire("custom:mine", {"a": 1})
    session.set("outcome", outcome)
    assert session.get("outcome") == {"data": {"a": 1}, "kind": "continue", "value": None, "target": None}
