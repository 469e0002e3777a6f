"""What a hook is told of the operation: who, what, for whom, when, and within which other one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import (
    HookContext,
    HookResult,
    InvalidOperation,
    Runtime,
    Session,
    Step,
    ValidationError,
    Workflow,
    hooks,
    messages,
)
from greenroom.runtime.hooks import POINTS
from greenroom.storage.codec.json_lines import json_able

ID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def rt() -> Any:
    with Runtime.open() as runtime:
        yield runtime


@pytest.fixture
def session(rt: Runtime) -> Session:
    return rt.create_session(
        "s", tags=["t"], metadata={"team": "x"}, config={"max_artifacts": 50}, correlation_id="belongs"
    )


def test_a_hook_is_told_of_the_session_and_the_operation(rt: Runtime, session: Session) -> None:
    seen: list[HookContext] = []
    rt.hooks.register("BeforeStateWrite", lambda context: seen.append(context) or (context.to_dict() and None))
    session.set("k", 1)
    (context,) = seen
    assert (context.point, context.operation) == ("BeforeStateWrite", "SetVariable")
    assert context.component == ("session", session.id)
    assert (context.session_metadata, context.tags, context.status) == ({"team": "x"}, ("t",), "active")
    assert context.config == {"max_artifacts": 50}
    assert context.operation_count >= 0
    assert context.correlation_id == "belongs"
    assert context.language is None
    assert context.parent is None
    assert context.started_at <= datetime.now(UTC)
    assert context.elapsed >= 0


def test_the_facts_of_the_session_are_read_only_when_a_hook_asks(rt: Runtime, session: Session) -> None:
    asked: list[str] = []
    info_of, config_of = rt.hooks.services.info_of, rt.hooks.services.config_of
    rt.hooks.services.info_of = lambda *args: asked.append("info") or info_of(*args)  # type: ignore[method-assign]
    rt.hooks.services.config_of = lambda *args: asked.append("config") or config_of(*args)  # type: ignore[method-assign]
    handle = rt.hooks.register("BeforeStateWrite", lambda context: context.data["key"] and None)
    session.set("k", 1)
    assert asked == []
    handle.unregister()

    def ask(context: HookContext) -> None:
        assert (context.tags, context.status, context.config) == (("t",), "active", {"max_artifacts": 50})

    rt.hooks.register("BeforeStateWrite", ask)
    session.set("k", 1)
    assert asked == ["info", "config"]


@pytest.mark.parametrize("inline", [None, True, False])
def test_what_a_hook_does_has_its_context_as_the_parent(rt: Runtime, session: Session, inline: bool | None) -> None:
    seen: list[tuple[str, str | None]] = []

    def outer(context: HookContext) -> None:
        session.store_artifact("note", "n", b"x")

    def inner(context: HookContext) -> None:
        seen.append((context.point, context.parent.point if context.parent is not None else None))

    rt.hooks.register("BeforeStateWrite", outer, inline=inline, priority="high")
    rt.hooks.register("BeforeArtifactStore", inner, inline=inline)
    rt.hooks.register("AfterStateWrite", inner, inline=inline)
    for _ in range(15):  # a hook moves to its caller's thread once it has been quick
        session.set("k", 1)
        assert seen == [("BeforeArtifactStore", "BeforeStateWrite"), ("AfterStateWrite", None)]
        seen.clear()
    session.store_artifact("note", "alone", b"x")
    assert seen == [("BeforeArtifactStore", None)]


def test_contexts_are_within_each_other_at_any_depth(rt: Runtime, session: Session) -> None:
    lines: list[list[str]] = []

    def store(context: HookContext) -> None:
        session.add_message("user", "x")

    def say(context: HookContext) -> None:
        line, at = [], context
        while at is not None:
            line.append(at.operation)
            at = at.parent  # type: ignore[assignment]
        lines.append(line)

    rt.hooks.register("BeforeStateWrite", lambda context: session.add_tag("x") and None)
    rt.hooks.register(
        "middleware:update", store, filter=lambda context: context.operation == "AddTag"
    ) if False else None
    rt.middleware.use("update", lambda context: store(context) if context.operation == "AddTag" else None)
    rt.hooks.register("BeforeMessageAdd", say)
    session.set("k", 1)
    assert lines == [["AddMessage", "AddTag", "SetVariable"]]


def test_a_session_sees_no_parent_of_another(rt: Runtime, session: Session) -> None:
    other = rt.create_session()
    seen: list[Any] = []
    with acting(principal=other.id, realm=rt.core.security):
        rt.hooks.register("BeforeArtifactStore", lambda context: seen.append(context.parent))
    rt.hooks.register("BeforeStateWrite", lambda context: other.store_artifact("note", "n", b"x") and None)
    session.set("secret", 1)
    assert seen == [None]


def test_another_runtime_is_no_parent(rt: Runtime, session: Session) -> None:
    with Runtime.open() as second:
        there = second.create_session()
        seen: list[Any] = []
        second.hooks.register("BeforeStateWrite", lambda context: seen.append(context.parent))
        rt.hooks.register("BeforeStateWrite", lambda context: there.set("k", 1))
        session.set("k", 1)
    assert seen == [None]


def test_the_correlation_is_never_empty(rt: Runtime, session: Session) -> None:
    seen: list[str] = []
    for point in ("BeforeStateWrite", "BeforeSessionCreated", "custom:x", "BeforeToolExecution", "BeforeEventEmit"):
        rt.hooks.register(point, lambda context: seen.append(context.correlation_id))
    session.set("k", 1)
    rt.create_session()
    rt.hooks.fire("custom:x", {})
    rt.state_scope("global").set("k", 1)
    rt.tools.register("t", lambda: 1)
    rt.tools.call("t", {})
    rt.events.publish("custom.x")
    assert len(seen) == 6
    assert all(seen)
    assert HookContext.builder("custom:x").build().correlation_id


def _points(kind: type[Any]) -> set[str | None]:
    points = getattr(kind, "points", None)
    return {points.before, points.after, "StateConflict" if points.conflict else None} if points is not None else set()


def test_the_operation_is_the_class_of_the_message(rt: Runtime, session: Session) -> None:
    """At every point that a message meets, and a name of that form at the others."""
    seen: dict[str, set[str]] = {}
    for point in sorted(POINTS):
        rt.hooks.register(point, lambda context: seen.setdefault(context.point, set()).add(context.operation))
    session.set("k", 1)
    session.get("k")
    with pytest.raises(InvalidOperation):
        session.set("k", 2, expected=5)
    info = session.store_artifact("note", "n", b"x")
    session.get_artifact(info.id)
    session.delete_artifact(info.id)
    session.add_message("user", "x")
    rt.tools.register("t", lambda: 1)
    rt.agents.register("m", lambda input, context: "x")
    session.call_tool("t")
    session.call_agent("m", "x")
    session.run_workflow(Workflow.sequential(Step("one", tool="t")))
    rt.events.publish("custom.x", {}, session)
    session.save()
    session.suspend()
    session.resume()
    session.complete()
    rt.create_session().fail("x")
    rt.create_session().delete()
    kinds = [kind for name in messages.__all__ if isinstance(kind := getattr(messages, name), type)]
    met = {point: {kind.__name__ for kind in kinds if point in _points(kind)} for point in seen}
    for point, operations in seen.items():
        assert all(each.isidentifier() for each in operations), point
        assert all(each[0].isupper() for each in operations), point
        if met[point]:
            assert operations <= met[point] | {"CreateSession", "OpenArtifact", "LoadSession"}, point
    assert len(seen) >= 25


def test_a_context_can_be_written_down_and_read_again(rt: Runtime, session: Session) -> None:
    rows: list[dict[str, Any]] = []
    seen: list[HookContext] = []

    def outer(context: HookContext) -> None:
        context.metadata["note"] = "kept"
        session.store_artifact("note", "n", b"content", metadata={"at": 1})

    def inner(context: HookContext) -> HookResult:
        rows.append(context.to_dict())
        seen.append(context)
        return HookResult.continue_()

    rt.hooks.register("BeforeStateWrite", outer, name="outer")
    rt.hooks.register("ArtifactStored", inner)
    with rt.operation("op-1"):
        session.set("k", {"deep": [1, b"\xff"]})
    (row,), (context,) = rows, seen
    assert row["point"] == "ArtifactStored"
    assert row["operation"] == "StoreArtifact"
    assert row["session"] == {
        "status": "active", "tags": ["t"], "metadata": {"team": "x"}, "config": {"max_artifacts": 50},
        "operation_count": row["session"]["operation_count"],
    }  # fmt: skip
    assert row["data"]["result"]["name"] == "n"
    assert row["parent"]["data"] == {"key": "k", "value": {"deep": [1, b"\xff"]}}
    assert row["parent"]["metadata"]["note"] == "kept"
    json.dumps(json_able(row))
    again = HookContext.from_dict(row)
    assert again.to_dict() == row
    for name in ("point", "operation", "component", "session_id", "correlation_id", "language", "attempt", "tags",
                 "status", "config", "session_metadata", "operation_count", "started_at"):  # fmt: skip
        assert getattr(again, name) == getattr(context, name), name
    assert again.parent is not None
    assert again.parent.component == ("session", session.id)


def test_a_builder_makes_contexts_for_trying_out_hooks() -> None:
    parent = HookContext.builder("BeforeStateWrite").data(key="k").build()
    context = (
        HookContext.builder("AfterToolExecution")
        .session(
            "00000000-0000-4000-8000-000000000000", status="active", tags=["t"], metadata={"a": 1}, config={"x": 2}
        )
        .component("tool:weather")
        .operation("CallTool")
        .correlation("c-1")
        .language("lua")
        .time(datetime(2026, 1, 1, tzinfo=UTC), 1.5)
        .attempt(2)
        .parent(parent)
        .metadata(principal="p")
        .operation_data(name="weather", input={})
        .data(name="weather", input={"changed": True})
        .build()
    )
    assert (context.status, context.tags, context.session_metadata, context.config) == (
        "active",
        ("t",),
        {"a": 1},
        {"x": 2},
    )
    assert (context.language, context.attempt, context.elapsed) == ("lua", 2, 1.5)
    assert context.started_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert context.parent is parent
    assert context.operation_data == {"name": "weather", "input": {}}
    context.data["input"] = "mine"
    assert context.operation_data == {"name": "weather", "input": {}}
    row = context.to_dict()
    assert HookContext.from_dict(row).to_dict() == row
    result = hooks.RedactHook(["weather"])(context)
    assert result is not None
    assert result.data == {"name": "[redacted]"}


@pytest.mark.parametrize(
    "row",
    [
        {}, {"point": 7}, {"point": "x", "session": 7, "session_id": "s"}, {"point": "x", "component": {"type": 1}},
        {"point": "x", "started_at": "yesterday"}, {"point": "x", "elapsed": "long"}, {"point": "x", "data": [1]},
        {"point": "x", "parent": {"point": None}}, {"point": "x", "attempt": 0}, 7, None,
    ],
)  # fmt: skip
def test_what_describes_no_context_is_refused(row: Any) -> None:
    with pytest.raises(ValidationError):
        HookContext.from_dict(row)


def test_parents_without_end_are_refused() -> None:
    row: dict[str, Any] = {"point": "x"}
    row["parent"] = row
    with pytest.raises(ValidationError, match="within each other"):
        HookContext.from_dict(row)


@pytest.mark.parametrize(
    ("spelling", "points"),
    [
        ("SessionCreated", {"SessionCreated"}),
        ("session:created", {"SessionCreated"}),
        ("session.created", {"SessionCreated"}),
        ("session_created", {"SessionCreated"}),
        ("session-created", {"SessionCreated"}),
        ("SESSION_CREATED", {"SessionCreated"}),
        ("before:session:created", {"BeforeSessionCreated"}),
        ("SessionStart", {"SessionCreated"}),
        ("session.start", {"SessionCreated"}),
        ("session_end", {"SessionCompleted", "SessionFailed"}),
        ("BeforeSessionEnd", {"BeforeSessionCompleted", "BeforeSessionFailed"}),
        ("session:checkpoint", {"SessionSaved"}),
        ("SessionRestore", {"SessionRestored"}),
        ("SessionSave", {"SessionSaved"}),
        ("before_message_add", {"BeforeMessageAdd"}),
        ("message.added", {"MessageAdded"}),
        ("Custom(deploy)", {"custom:deploy"}),
    ],
)
def test_a_point_is_known_in_every_spelling(rt: Runtime, spelling: str, points: set[str]) -> None:
    handle = rt.hooks.register(spelling, lambda context: None)
    assert set(handle.info().points) == points


@pytest.mark.parametrize(
    "answer", [True, 0, "no", ["cancel"], {"type": "veto"}, object(), {"type": "cancel", "why": 1}]
)
def test_an_answer_that_is_no_result_refuses_what_has_not_happened_yet(
    rt: Runtime, session: Session, answer: Any
) -> None:
    for point in ("BeforeStateWrite", "BeforeMessageAdd"):
        rt.hooks.register(point, lambda context: answer)
    before = session.info().sequence
    for attempt in (lambda: session.set("k", 1), lambda: session.add_message("user", "x")):
        with pytest.raises(Exception, match="it answered with"):
            attempt()
    assert session.get("k") is None
    assert session.messages() == []
    assert session.info().sequence - before <= 2  # what the hooks did is journaled
