"""Hooks at the commands of a batch: in order, nested, and with their effects on the whole."""

# ruff: noqa: PT012 -- a batch is sent at the end of its block, so the block is what raises

from __future__ import annotations

import threading
from typing import Any

import pytest

from greenroom.runtime import Conflict, HookCancelled, HookResult, ResourceLimitExceeded, Runtime, Session, messages

m = messages


def test_hooks_run_around_the_one_write(runtime: Runtime, session: Session) -> None:
    seen: list[Any] = []

    def before(context: Any) -> None:
        seen.append(("before", context.session_id == session.id, context.data["key"]))

    def after(context: Any) -> None:
        seen.append(("after", context.session_id == session.id, context.data["key"]))

    runtime.hooks.register("BeforeStateWrite", before)
    runtime.hooks.register("AfterStateWrite", after)
    runtime.hooks.register("MessageAdded", lambda context: seen.append(("said", session.get("a"), session.get("b"))))
    with session.batch() as b:
        b.set("a", 1)
        b.add_message("user", "x")
        b.add_tag("t")
        b.scope("user:7").set("s", 1)
        b.set("b", 2)
    assert seen == [
        ("before", True, "a"),
        ("before", False, "s"),
        ("before", True, "b"),
        ("after", True, "b"),
        ("after", False, "s"),
        ("said", 1, 2),
        ("after", True, "a"),
    ]


def test_a_hook_may_change_answer_or_refuse_a_command(runtime: Runtime, session: Session) -> None:
    def decide(context: Any) -> HookResult | None:
        match context.data["key"]:
            case "changed":
                return HookResult.modified({"value": "other"})
            case "answered":
                return HookResult.replace("instead")
            case "refused":
                return HookResult.cancel("no")
        return None

    runtime.hooks.register("BeforeStateWrite", decide)
    runtime.hooks.register("AfterStateWrite", lambda context: HookResult.replace(f"after {context.data['key']}"))
    with session.batch() as b:
        b.set("changed", 1)
        b.set("answered", 1)
        b.delete_variable("plain")
    assert b.replies == ["after changed", "instead", "after plain"]
    assert session.variables() == {"changed": "other"}
    with session.batch() as b:
        b.set("answered", 1)
    assert b.replies == ["instead"]
    before = session.info().sequence
    with pytest.raises(HookCancelled), session.batch() as b:
        b.set("k", 1)
        b.set("refused", 1)
    assert session.info().sequence == before


def test_executions_of_hooks_are_journaled_in_the_write(runtime: Runtime, session: Session) -> None:
    runtime.hooks.register("BeforeStateWrite", lambda context: None, name="watch", replayable=True)
    commits = runtime._store.commits
    with session.batch() as b:
        b.set("a", 1)
        b.set("b", 2)
    assert runtime._store.commits == commits + 1
    types = [event.type for event in session.events(after=1)]
    assert types == ["hook.executed", "variable.set", "hook.executed", "variable.set"]
    with pytest.raises(Conflict), session.batch() as b:
        b.set("a", 3)
        b.set("b", 3, expected="other")
    assert session.variables() == {"a": 1, "b": 2}
    assert runtime.verify().problems == []


def test_hooks_at_the_failure_of_a_command_are_called(runtime: Runtime) -> None:
    session = runtime.create_session(config={"max_artifacts": 1})
    seen: list[Any] = []
    runtime.hooks.register("StateConflict", lambda context: seen.append(context.data["key"]))
    runtime.hooks.register("ResourceLimitExceeded", lambda context: seen.append(context.data["name"]))
    with pytest.raises(Conflict), session.batch() as b:
        b.set("fine", 1)
        b.set("conflict", 1, expected="other")
    with pytest.raises(ResourceLimitExceeded), session.batch() as b:
        b.store_artifact("log", "first", b"x")
        b.store_artifact("log", "second", b"x")
    assert seen == ["conflict", "second"]


def test_a_hook_cannot_redirect_or_repeat_one_command(runtime: Runtime, session: Session) -> None:
    other = runtime.create_session()
    handle = runtime.hooks.register("BeforeStateWrite", lambda context: HookResult.redirect(other.id))
    with pytest.raises(HookCancelled), session.batch() as b:
        b.set("k", 1)
    handle.unregister()
    runtime.hooks.register("AfterStateWrite", lambda context: HookResult.retry(0, 3))
    with session.batch() as b:
        b.set("k", 1)
    assert [event.type for event in session.events(after=1) if event.type == "variable.set"] == ["variable.set"]
    assert other.get("k") is None


def test_each_artifact_of_a_batch_is_an_operation(runtime: Runtime, session: Session) -> None:
    seen: list[Any] = []
    runtime.hooks.register("BeforeArtifactStore", lambda context: seen.append(("before", context.data["name"])))
    runtime.hooks.register("ArtifactStored", lambda context: seen.append(("after", context.data["name"])))
    with session.batch() as b:
        b.store_artifact("log", "a", b"1")
        b.store_many([{"type": "log", "name": name, "content": b"2"} for name in ("b", "c")])
    assert seen[:3] == [("before", "a"), ("before", "b"), ("before", "c")]
    assert sorted(seen[3:]) == [("after", "a"), ("after", "b"), ("after", "c")]
    assert [info.name for info in b.replies[1]] == ["b", "c"]


def test_the_hooks_after_a_batch_that_was_told_run(runtime: Runtime, session: Session) -> None:
    done = threading.Event()
    runtime.hooks.register("AfterStateWrite", lambda context: done.set())
    runtime.tell(session.id, m.Batch([m.SetVariable("k", 1), m.AddTag("t")]))
    assert done.wait(60)
    assert session.get("k") == 1


def test_a_hooked_batch_with_a_key_answers_the_same(runtime: Runtime, session: Session) -> None:
    runtime.hooks.register("BeforeStateWrite", lambda context: None)
    replies = []
    for _ in range(2):
        with session.batch(idempotency_key="i") as b:
            b.set("k", 1)
            b.add_message("user", "x")
        replies.append(b.replies)
    assert replies[0] == replies[1]
    assert len(session.messages()) == 1
