"""The nine kinds of result, each with its effect on real operations."""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

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
