"""The nine kinds of result, each with its effect on real operations."""

from __future__ import annotations

import functools
import io
import threading
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.hooks.result import KINDS, result_of
from greenroom.actors.hooks.subject import result_row
from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import (
    AccessDenied,
    ArtifactNotFound,
    HookCancelled,
    HookContext,
    HookResult,
    InvalidOperation,
    OperationTimeout,
    ResourceLimitExceeded,
    Runtime,
    Session,
    SessionNotFound,
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


@pytest.mark.parametrize("answer", [None, "continue", HookResult.continue_(), {"type": "continue"}])
def test_continue_changes_nothing(rt: Runtime, session: Session, answer: Any) -> None:
    handle = rt.hooks.register("BeforeStateWrite", always(answer))
    session.set("k", 1)
    assert session.get("k") == 1
    assert handle.info().calls == 1
    assert not failed(handle)


def test_modified_before_an_operation_changes_what_is_performed(rt: Runtime, session: Session) -> None:
    rt.hooks.register("BeforeStateWrite", always({"type": "modified", "data": {"value": "changed"}}))
    session.set("k", 1)
    assert session.get("k") == "changed"
    rt.hooks.register("BeforeArtifactStore", always(HookResult.modified({"content": b"[redacted]", "tags": ["r"]})))
    info = session.store_artifact("x", "a", "the secret", metadata={"m": 1})
    assert session.get_artifact("a").content == b"[redacted]"
    assert (list(info.tags), info.custom) == (["r"], {"m": 1})


def test_changing_the_data_in_place_counts_as_well_in_its_depth_too(rt: Runtime, session: Session) -> None:
    def redact(context: HookContext) -> None:
        context.data["value"]["user"]["name"] = "***"

    rt.hooks.register("BeforeStateWrite", redact)
    mine = {"user": {"name": "Ada"}}
    session.set("k", mine)
    assert session.get("k") == {"user": {"name": "***"}}
    assert mine == {"user": {"name": "Ada"}}


def test_modified_after_an_operation_changes_the_reply_and_nothing_else(rt: Runtime, session: Session) -> None:
    session.set("k", {"a": 1})
    handle = rt.hooks.register("AfterStateRead", lambda context: HookResult.modified({"result": "for you"}))
    assert session.get("k") == "for you"
    handle.unregister()
    assert session.get("k") == {"a": 1}


@pytest.mark.parametrize("changes", [{"key": ""}, {"value": object()}, {"colour": "red"}])
def test_a_change_that_the_operation_refuses_refuses_the_operation(
    rt: Runtime, session: Session, changes: dict[str, Any]
) -> None:
    # Or what the hook would have removed went on as it was.
    handle = rt.hooks.register("BeforeStateWrite", always(HookResult.modified(changes)))
    with pytest.raises(HookCancelled, match="its change of the data is refused"):
        session.set("k", 1)
    assert session.variables() == {}
    assert failed(handle)


@pytest.mark.parametrize("changes", [{"name": ""}, {"tags": "no list"}, {"config": {"no": "option"}}, {"result": 1}])
def test_what_no_session_can_be_made_of_makes_none(rt: Runtime, changes: dict[str, Any]) -> None:
    handle = rt.hooks.register("BeforeSessionCreated", lambda context: HookResult.modified(changes))
    before = rt.list_sessions().total
    with handle, pytest.raises(HookCancelled):
        rt.create_session(name="as asked")
    assert rt.list_sessions().total == before


def test_hooks_see_and_change_what_is_shared(rt: Runtime, session: Session) -> None:
    seen = []

    def only_read(context: HookContext) -> HookResult | None:
        seen.append({name: context.data.get(name) for name in ("permission", "expires_at")})
        return HookResult.modified({"permission": "read"}) if context.operation == "ShareArtifact" else None

    session.store_artifact("t", "a", "content")
    other = rt.create_session()
    rt.middleware.use("operation", only_read)
    grant = session.share("a", other, "write", expires_at="2100-01-01T00:00:00.000001Z")
    assert (grant.permission, grant.expires_at) == ("read", datetime(2100, 1, 1, 0, 0, 0, 1, tzinfo=UTC))
    assert not session.check_access("a", "write", session=other)
    assert seen == [
        {"permission": "write", "expires_at": "2100-01-01T00:00:00.000001Z"},
        {"permission": "write", "expires_at": None},
    ]


def test_what_a_failing_hook_has_changed_is_forgotten(rt: Runtime, session: Session) -> None:
    def half(context: HookContext) -> None:
        context.data["value"]["a"] = 2
        raise RuntimeError

    rt.hooks.register("BeforeStateWrite", half)
    session.set("k", {"a": 1})
    assert session.get("k") == {"a": 1}


def test_cancel_refuses_a_change_and_withholds_a_reply(rt: Runtime, session: Session) -> None:
    session.set("k", 1)
    before = rt.hooks.register("BeforeStateWrite", always(HookResult.cancel("closed")))
    with pytest.raises(HookCancelled, match=r"SetVariable was refused by hook .* at BeforeStateWrite: closed"):
        session.set("k", 2)
    before.unregister()
    assert session.get("k") == 1
    rt.hooks.register("AfterStateRead", always("cancel"))
    with pytest.raises(HookCancelled, match="the reply of GetVariable is withheld"):
        session.get("k")


def test_it_is_too_late_to_cancel_a_change_after_it(rt: Runtime, session: Session) -> None:
    handle = rt.hooks.register("AfterStateWrite", always("cancel"))
    session.set("k", 1)
    assert session.get("k") == 1
    assert failed(handle)


def test_redirect_performs_the_operation_on_another_session(rt: Runtime, session: Session) -> None:
    other = rt.create_session()
    handle = rt.hooks.register("BeforeStateWrite", always(HookResult.redirect(other.id)))
    session.set("k", 1)
    assert (session.variables(), other.variables()) == ({}, {"k": 1})
    handle.unregister()
    handle = rt.hooks.register("BeforeStateWrite", always(HookResult.redirect("nowhere")))
    with pytest.raises(SessionNotFound):
        session.set("k", 2)
    handle.unregister()
    rt.hooks.register("BeforeArtifactStore", always(HookResult.redirect(other.id)))
    assert session.store_artifact("x", "a", "1").id.session_id == other.id


def test_redirect_reaches_only_what_the_caller_may_reach(rt: Runtime, session: Session) -> None:
    other = rt.create_session()
    child = rt.create_session(parent=session)
    target = {"id": other.id}
    rt.hooks.register("BeforeStateWrite", lambda context: HookResult.redirect(target["id"]))
    with acting(principal=session.id):
        with pytest.raises(AccessDenied):
            session.set("k", 1)
        target["id"] = child.id
        session.set("k", 1)
    assert (other.variables(), child.variables()) == ({}, {"k": 1})


def test_a_later_hook_can_refuse_what_an_earlier_one_has_redirected(rt: Runtime, session: Session) -> None:
    other = rt.create_session()
    rt.hooks.register("BeforeStateWrite", always(HookResult.redirect(other.id)), priority="high")
    rt.hooks.register("BeforeStateWrite", always("cancel"), priority="low")
    with pytest.raises(HookCancelled):
        session.set("k", 1)
    assert other.variables() == {}


def test_replace_answers_in_the_place_of_the_operation(rt: Runtime, session: Session) -> None:
    after: list[str] = []
    rt.hooks.register("AfterStateRead", lambda context: after.append(context.point))
    handle = rt.hooks.register("BeforeStateRead", always(HookResult.replace({"from": "hook"})))
    assert session.get("k") == {"from": "hook"}
    assert after == [], "what was not performed has no hooks after it"
    handle.unregister()
    rt.hooks.register("BeforeStateWrite", always(HookResult.replace(None)))
    session.set("k", 1)
    assert session.variables() == {}


def test_replace_after_an_operation_and_at_its_failure_answers_instead(rt: Runtime, session: Session) -> None:
    rt.hooks.register("SessionSuspended", always(HookResult.replace("done")))
    assert session.suspend() == "done"  # type: ignore[comparison-overlap]
    assert session.info().status == "suspended"
    limited = rt.create_session(config={"max_artifacts": 0})
    rt.hooks.register("ResourceLimitExceeded", always(HookResult.replace("no room")))
    assert limited.store_artifact("x", "a", "1") == "no room"  # type: ignore[comparison-overlap]


def test_replace_and_redirect_at_the_creation_of_a_session_give_that_session(rt: Runtime, session: Session) -> None:
    count = rt.count_sessions()
    for result in (HookResult.replace(session), HookResult.replace(session.id), HookResult.redirect(session.id)):
        handle = rt.hooks.register("BeforeSessionCreated", always(result))
        assert rt.create_session(name="another") == session
        handle.unregister()
    rt.hooks.register("BeforeSessionCreated", always(HookResult.replace(5)))
    with pytest.raises(InvalidOperation):
        rt.create_session()
    assert rt.count_sessions() == count


def test_retry_before_an_operation_asks_the_hook_again(rt: Runtime, session: Session) -> None:
    attempts: list[int] = []

    def ready_at_last(context: HookContext) -> HookResult | None:
        attempts.append(context.attempt)
        return HookResult.retry(max_attempts=5) if context.attempt < 3 else None

    handle = rt.hooks.register("BeforeStateWrite", ready_at_last)
    session.set("k", 1)
    assert attempts == [1, 2, 3]
    handle.unregister()
    rt.hooks.register("BeforeStateWrite", always({"type": "retry", "delay": 0, "max_attempts": 2}))
    with pytest.raises(HookCancelled, match="not ready after 2 retries"):
        session.set("k", 2)
    assert session.get("k") == 1


def test_a_retry_never_outlasts_the_time_of_the_operation(rt: Runtime, session: Session) -> None:
    rt.hooks.register("BeforeStateWrite", always(HookResult.retry(delay=60, max_attempts=9)))
    with pytest.raises(OperationTimeout) as late:
        rt.ask(session.id, messages.SetVariable("k", 1), timeout=5)
    assert late.value.started is False
    assert session.variables() == {}


def test_retry_after_an_operation_performs_it_again(rt: Runtime, session: Session) -> None:
    rt.hooks.register(
        "ArtifactStored",
        lambda context: HookResult.retry(max_attempts=2) if context.data["result"].version < 3 else None,
    )
    assert session.store_artifact("x", "a", "1").version == 3


@pytest.mark.parametrize("seekable", [True, False])
def test_retry_never_stores_what_is_left_of_a_stream(rt: Runtime, session: Session, seekable: bool) -> None:
    class Source(io.BytesIO):
        def seekable(self) -> bool:
            return seekable

    rt.hooks.register("ArtifactStored", lambda context: HookResult.retry(0, 1))
    source = Source(b"header" + bytes(300_000))
    source.seek(6)
    assert session.store_artifact("t", "streamed", source).size == 300_000
    assert {info.size for info in session.artifact_versions("streamed")} == {300_000}


def test_a_batch_of_streams_that_was_refused_is_not_stored_from_where_they_are_then(rt: Runtime) -> None:
    session = rt.create_session(config={"max_artifacts": 1})
    session.store_artifact("t", "a", "there")

    def make_room(context: HookContext) -> HookResult:
        session.delete_artifact("a")
        return HookResult.retry(0, 1)

    rt.hooks.register("ResourceLimitExceeded", make_room)
    with pytest.raises(ResourceLimitExceeded):
        session.store_many([{"type": "t", "name": "b", "content": io.BytesIO(b"streamed")}])
    assert list(session.list_artifacts()) == []


def test_retry_at_a_failure_gives_up_with_the_error_after_so_many_attempts(rt: Runtime) -> None:
    tried: list[int] = []

    def perform(data: dict[str, Any], target: str | None) -> str:
        tried.append(data["n"])
        raise ArtifactNotFound("not yet")

    rt.hooks.register("custom:failed", always(HookResult.retry(max_attempts=2)))
    with pytest.raises(ArtifactNotFound):
        rt.hooks.around({"n": 1}, perform, error="custom:failed")
    assert tried == [1, 1, 1]


def test_a_failure_can_be_redirected_to_another_target(rt: Runtime) -> None:
    rt.hooks.register("custom:failed", always(HookResult.redirect("backup")))

    def perform(data: dict[str, Any], target: str | None) -> str | None:
        if target is None:
            raise RuntimeError
        return target

    assert rt.hooks.around({}, perform, error="custom:failed") == "backup"


def test_fork_runs_operations_besides(rt: Runtime, session: Session) -> None:
    other, called = rt.create_session(), threading.Event()
    done = threading.Semaphore(0)
    rt.hooks.register("AfterStateWrite", lambda context: done.release(), session_id=other.id)
    rt.hooks.register("SessionSaved", lambda context: done.release(), session_id=session.id)
    operations = [messages.SaveSession(sync=False), (other.id, messages.SetVariable("seen", 1)), called.set]
    rt.hooks.register("BeforeStateWrite", always(HookResult.fork(operations)), session_id=session.id)
    session.set("k", 1)
    assert done.acquire(timeout=10)
    assert done.acquire(timeout=10)
    assert called.wait(10)
    assert (session.get("k"), other.get("seen")) == (1, 1)


def test_a_forked_operation_that_fails_is_journaled_and_harms_nobody(rt: Runtime, session: Session) -> None:
    def broken() -> None:
        raise RuntimeError("no")

    rt.hooks.register("BeforeStateWrite", always(HookResult.fork([broken])), name="forker")
    with rt.events.subscribe("hook.executed") as told:
        session.set("k", 1)
        event = told.receive(timeout=10)
    assert event is not None
    assert event.session_id == session.id
    assert event.data["hook"] == "forker"
    assert event.data["error"] == "RuntimeError"
    assert session.get("k") == 1


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
