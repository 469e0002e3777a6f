"""Each point is fired from where its name says, on the real path."""

from __future__ import annotations

import queue
import re
import shutil
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    HookCancelled,
    HookContext,
    InvalidOperation,
    ResourceLimitExceeded,
    Runtime,
    Session,
    Step,
    ValidationError,
    Workflow,
    messages,
)
from greenroom.runtime.hooks import POINTS, HookResult, resolve

Do = Callable[[Runtime, Session], Any]


def _ended(s: Session) -> Session:
    s.complete()
    return s


def _passivated(rt: Runtime, s: Session) -> Session:
    rt._supervisor.forget()
    return s


STORED = ("tool_result", "notes.txt", "content")

# point, what is done first, what fires it, what the hook finds in the data
CASES: list[tuple[str, Do, Do, dict[str, Any]]] = [
    (
        "BeforeSessionCreated",
        lambda rt, s: None,
        lambda rt, s: rt.create_session(name="n", tags=["t"]),
        {"name": "n", "tags": ["t"]},
    ),
    ("SessionCreated", lambda rt, s: None, lambda rt, s: rt.create_session(name="n"), {"name": "n"}),
    ("BeforeSessionCreated", lambda rt, s: None, lambda rt, s: s.fork(), {"at_sequence": None}),
    ("SessionCreated", lambda rt, s: None, lambda rt, s: s.fork(), {"at_sequence": None}),
    ("BeforeSessionSuspended", lambda rt, s: None, lambda rt, s: s.suspend(), {}),
    ("SessionSuspended", lambda rt, s: None, lambda rt, s: s.suspend(), {}),
    ("BeforeSessionResumed", lambda rt, s: s.suspend(), lambda rt, s: s.resume(), {}),
    ("SessionResumed", lambda rt, s: s.suspend(), lambda rt, s: s.resume(), {}),
    ("BeforeSessionCompleted", lambda rt, s: None, lambda rt, s: s.complete(), {}),
    ("SessionCompleted", lambda rt, s: None, lambda rt, s: s.complete(), {}),
    ("BeforeSessionFailed", lambda rt, s: None, lambda rt, s: s.fail("why"), {"reason": "why"}),
    ("SessionFailed", lambda rt, s: None, lambda rt, s: s.fail("why"), {"reason": "why"}),
    ("BeforeSessionSaved", lambda rt, s: None, lambda rt, s: s.save(), {}),
    ("SessionSaved", lambda rt, s: None, lambda rt, s: s.save(), {}),
    ("BeforeSessionRestored", _passivated, lambda rt, s: s.load(), {}),
    ("SessionRestored", _passivated, lambda rt, s: s.load(), {}),
    ("BeforeSessionDeleted", lambda rt, s: None, lambda rt, s: s.delete(), {}),
    ("SessionDeleted", lambda rt, s: None, lambda rt, s: rt.delete_session(s.id), {}),
    (
        "BeforeArtifactStore",
        lambda rt, s: None,
        lambda rt, s: s.store_artifact(*STORED, tags=["t"]),
        {"type": "tool_result", "name": "notes.txt", "content": b"content", "tags": ["t"]},
    ),
    ("ArtifactStored", lambda rt, s: None, lambda rt, s: s.store_artifact(*STORED), {"name": "notes.txt"}),
    (
        "ArtifactRetrieved",
        lambda rt, s: s.store_artifact(*STORED),
        lambda rt, s: s.get_artifact("notes.txt"),
        {"ref": "notes.txt", "version": None},
    ),
    (
        "ArtifactRetrieved",
        lambda rt, s: s.store_artifact(*STORED),
        lambda rt, s: s.get_many(["notes.txt"]),
        {"ref": "notes.txt"},
    ),
    (
        "ArtifactRetrieved",
        lambda rt, s: s.store_artifact(*STORED),
        lambda rt, s: s.open_artifact("notes.txt").close(),
        {"ref": "notes.txt"},
    ),
    (
        "BeforeArtifactDelete",
        lambda rt, s: s.store_artifact(*STORED),
        lambda rt, s: s.delete_artifact("notes.txt"),
        {"ref": "notes.txt"},
    ),
    (
        "ArtifactDeleted",
        lambda rt, s: s.store_artifact(*STORED),
        lambda rt, s: s.delete_artifact("notes.txt"),
        {"ref": "notes.txt"},
    ),
    (
        "BeforeMessageAdd",
        lambda rt, s: None,
        lambda rt, s: s.add_message("user", "hello", name="Ada"),
        {"role": "user", "content": "hello", "name": "Ada"},
    ),
    ("MessageAdded", lambda rt, s: None, lambda rt, s: s.add_message("user", "hello"), {"content": "hello"}),
    ("BeforeStateRead", lambda rt, s: None, lambda rt, s: s.get("k", 5), {"key": "k", "default": 5}),
    ("AfterStateRead", lambda rt, s: s.set("k", [1]), lambda rt, s: s.get("k"), {"key": "k", "result": [1]}),
    ("BeforeStateRead", lambda rt, s: None, lambda rt, s: s.variables("p"), {"prefix": "p"}),
    ("AfterStateRead", lambda rt, s: s.set("p1", 1), lambda rt, s: s.variables("p"), {"result": {"p1": 1}}),
    ("BeforeStateWrite", lambda rt, s: None, lambda rt, s: s.set("k", {"a": 1}), {"key": "k", "value": {"a": 1}}),
    ("AfterStateWrite", lambda rt, s: None, lambda rt, s: s.set("k", 1), {"key": "k", "value": 1}),
    ("BeforeStateWrite", lambda rt, s: s.set("k", 1), lambda rt, s: s.delete_variable("k"), {"key": "k"}),
    (
        "AfterStateWrite",
        lambda rt, s: s.set("k", 1),
        lambda rt, s: s.delete_variable("k"),
        {"key": "k", "result": True},
    ),
]


@pytest.mark.parametrize(("point", "prepare", "do", "data"), CASES, ids=lambda each: each if type(each) is str else "")
def test_a_point_is_fired_once_with_the_parameters_of_the_operation(
    rt: Runtime, session: Session, point: str, prepare: Do, do: Do, data: dict[str, Any]
) -> None:
    prepare(rt, session)
    seen: list[tuple[str, str | None, dict[str, Any]]] = []
    rt.hooks.register(point, lambda context: seen.append((context.point, context.session_id, context.data)))
    do(rt, session)
    assert [each[0] for each in seen] == [point]
    assert seen[0][2].items() >= data.items()
    if point == "BeforeSessionCreated" and "at_sequence" not in data:
        assert seen[0][1] is None
    elif not (point == "SessionCreated" and "at_sequence" not in data):
        assert seen[0][1] == session.id


@pytest.mark.parametrize(
    ("point", "prepare", "do"),
    [case[:3] for case in CASES if case[0].startswith("Before")],
    ids=lambda each: each if type(each) is str else "",
)
def test_every_before_point_can_veto_and_then_nothing_is_changed(
    rt: Runtime, session: Session, point: str, prepare: Do, do: Do
) -> None:
    prepare(rt, session)
    before, sessions = list(session.events()), rt.count_sessions()
    rt.hooks.register(point, lambda context: HookResult.cancel("not today"), name="veto")
    with pytest.raises(HookCancelled, match="not today") as refused:
        do(rt, session)
    assert refused.value.fields == {"hook": "veto", "point": point, "reason": "not today"}
    assert list(session.events()) == before
    assert rt.count_sessions() == sessions


@pytest.mark.parametrize(
    ("alias", "fired"),
    [
        ("SessionStart", ["SessionCreated"]),
        ("SessionEnd", ["SessionCompleted", "SessionFailed"]),
        ("SessionCheckpoint", ["SessionSaved"]),
        ("SessionSave", ["SessionSaved"]),
        ("SessionRestore", ["SessionRestored"]),
        ("BeforeSessionEnd", ["BeforeSessionCompleted", "BeforeSessionFailed"]),
    ],
)
def test_other_names_of_points_are_accepted(rt: Runtime, alias: str, fired: list[str]) -> None:
    seen: list[str] = []
    handle = rt.hooks.register(alias, lambda context: seen.append(context.point))
    one, other = rt.create_session(), rt.create_session()
    one.save()
    rt._supervisor.forget()
    one.load()
    one.complete()
    other.fail("x")
    assert sorted(set(seen)) == sorted(fired)
    assert handle.info().points == tuple(fired)


def test_an_unknown_point_is_refused_with_the_nearest_name(rt: Runtime) -> None:
    with pytest.raises(ValidationError, match="SessionCreated"):
        rt.hooks.register("SessionCreate", print)
    with pytest.raises(ValidationError, match="custom:"):
        rt.hooks.register("custom:", print)


def test_a_custom_point_is_fired_by_the_host(rt: Runtime) -> None:
    rt.hooks.register("custom:deploy", lambda context: HookResult.modified({"to": "staging"}))
    assert rt.hooks.fire("custom:deploy", {"to": "production", "by": "me"}).data == {"to": "staging", "by": "me"}
    assert rt.hooks.fire("custom:other", {"a": 1}).data == {"a": 1}
    rt.hooks.register("custom:deploy", lambda context: HookResult.cancel("frozen"))
    with pytest.raises(HookCancelled, match="frozen"):
        rt.hooks.fire("custom:deploy", {})


def test_scopes_fire_the_points_of_state_under_their_name(rt: Runtime) -> None:
    seen: list[tuple[str, str | None, str | None]] = []

    def look(context: HookContext) -> None:
        seen.append((context.point, context.component_id, context.session_id))

    rt.hooks.register("BeforeStateWrite", look)
    rt.hooks.register("AfterStateRead", look)
    rt.state_scope("user:7").set("k", 1)
    rt.state_scope("user:7").get("k")
    assert seen == [("BeforeStateWrite", "scope:user:7", None), ("AfterStateRead", "scope:user:7", None)]


def test_each_artifact_of_a_batch_is_an_operation_of_its_own(rt: Runtime, session: Session) -> None:
    def check(context: HookContext) -> HookResult | None:
        match context.data["name"]:
            case "bad":
                return HookResult.cancel("bad name")
            case "known":
                return HookResult.replace("had it")
            case "dull":
                return HookResult.modified({"name": "shiny"})
        return None

    rt.hooks.register("BeforeArtifactStore", check)
    stored: list[str] = []
    rt.hooks.register("ArtifactStored", lambda context: stored.append(context.data["result"].name))
    batch = [{"type": "x", "name": name, "content": name} for name in ("plain", "known", "dull")]
    replies = session.store_many(batch)
    assert [getattr(each, "name", each) for each in replies] == ["plain", "had it", "shiny"]
    assert stored == ["plain", "shiny"]
    with pytest.raises(HookCancelled):
        session.store_many([*batch, {"type": "x", "name": "bad", "content": ""}])
    assert [each.name for each in session.list_artifacts()] == ["plain", "shiny"]


def test_of_many_artifacts_one_can_be_withheld(rt: Runtime, session: Session) -> None:
    for name in ("open", "secret"):
        session.store_artifact("x", name, name)
    rt.hooks.register(
        "ArtifactRetrieved",
        lambda context: HookResult.cancel("no") if context.result.info.name == "secret" else None,
    )
    found = session.get_many(["open", "secret"])
    assert list(found.results) == ["open"]
    assert isinstance(found.errors["secret"], HookCancelled)
    with pytest.raises(HookCancelled, match="withheld"):
        session.get_artifact("secret")


def test_a_conflict_is_told_and_the_retry_decides_anew(rt: Runtime, session: Session) -> None:
    session.set("n", 1)
    with pytest.raises(InvalidOperation) as conflict:
        session.set("n", 3, expected=2)
    assert conflict.value.fields == {"conflict": True, "key": "n"}
    assert session.get("n") == 1
    seen: list[Any] = []

    def again(context: HookContext) -> HookResult:
        seen.append((context.data["error"]["code"], context.data["expected"]))
        context.data["expected"] = session.get("n")
        return HookResult.retry(max_attempts=2)

    rt.hooks.register("StateConflict", again)
    session.set("n", 3, expected=2)
    assert session.get("n") == 3
    assert seen == [("Conflict", 2)]


@pytest.mark.parametrize(
    ("now", "expected", "holds"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        (1, True, False),
        (None, None, True),
        (b"x", "x", False),
        ([1], [1, 1], False),
    ],
)
def test_a_variable_is_set_only_if_it_is_what_was_expected(
    rt: Runtime, session: Session, now: Any, expected: Any, holds: bool
) -> None:
    session.set("k", now, expected=messages.ABSENT)
    with pytest.raises(InvalidOperation):
        session.set("k", now, expected=messages.ABSENT)
    delete = messages.DeleteVariable("k", expected=expected)
    if holds:
        assert rt.ask(session.id, delete) is True
    else:
        with pytest.raises(InvalidOperation):
            rt.ask(session.id, delete)
        assert session.get("k") == now


def test_a_limit_that_is_exceeded_is_told_and_a_hook_can_make_room(rt: Runtime) -> None:
    session = rt.create_session(config={"max_artifacts": 1})
    session.store_artifact("x", "old", "1")
    resources: list[str] = []

    def make_room(context: HookContext) -> HookResult:
        resources.append(context.data["error"]["fields"]["resource"])
        session.delete_artifact("old")
        return HookResult.retry(max_attempts=1)

    handle = rt.hooks.register("ResourceLimitExceeded", make_room)
    assert session.store_artifact("x", "new", "2").name == "new"
    assert resources == ["artifacts"]
    handle.unregister()
    with pytest.raises(ResourceLimitExceeded):
        session.store_artifact("x", "more", "3")


def test_an_automatic_save_is_a_save_to_the_hooks(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        session = rt.create_session(config={"auto_save_interval": 10})
        saved = threading.Event()
        rt.hooks.register("SessionSaved", lambda context: saved.set())
        clock.advance(11)
        rt._supervisor.save_due()
        assert saved.wait(10)
        assert "session.saved" in [event.type for event in session.events()]


def test_start_and_shutdown_of_the_runtime_are_points(store_path: Path) -> None:
    seen: list[str] = []

    def hooks(registry: Any) -> None:
        for point in ("SystemStartup", "SystemShutdown"):
            registry.register(point, lambda context: seen.append(f"{context.point} {context.data['path']}"))

    with Runtime.open(store_path, hooks=hooks):
        assert seen == [f"SystemStartup {store_path}"]
    assert seen[1:] == [f"SystemShutdown {store_path}"]
    refuse = lambda registry: registry.register("SystemStartup", lambda context: "cancel")  # noqa: E731
    with pytest.raises(HookCancelled):
        Runtime.open(store_path, hooks=refuse)
    Runtime.open(store_path).close()


def test_bringing_an_old_store_up_to_date_is_a_point_that_can_refuse(tmp_path: Path) -> None:
    golden = Path(__file__).parents[2] / "golden" / "format-1.tar.xz"
    with tarfile.open(golden) as archive:
        archive.extractall(tmp_path, filter="data")
    store = next(path for path in [tmp_path, *tmp_path.rglob("*")] if (path / "CURRENT").exists())
    shutil.copytree(store, tmp_path / "copy")
    with pytest.raises(HookCancelled):
        Runtime.open(tmp_path / "copy", hooks=lambda hooks: hooks.register("StateMigration", lambda c: "cancel"))
    seen: list[Any] = []
    watch = lambda hooks: hooks.register("StateMigration", lambda c: seen.append((c.data["from"], c.data["to"])))  # noqa: E731
    for _ in range(2):
        Runtime.open(tmp_path / "copy", hooks=watch).close()
    assert len(seen) == 1
    assert seen[0][0] == 1 < seen[0][1]


def test_a_session_that_its_supervisor_fails_is_a_failed_one_to_the_hooks(rt: Runtime, session: Session) -> None:
    failed: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    rt.hooks.register("SessionFailed", lambda context: failed.put(context.data["reason"]), inline=False)
    actor = rt._supervisor.table.actor(session.id)
    for _ in range(rt.config.max_restarts + 1):
        actor._crashed(RuntimeError("broken"))
    assert "RuntimeError" in (failed.get(timeout=10) or "")
    assert session.info().status == "failed"


def test_a_veto_for_one_session_keeps_nobody_from_the_others() -> None:
    with Runtime.open() as rt:
        kept, other = rt.create_session(name="kept"), rt.create_session(name="other")
        rt.middleware.use("update", lambda context: "cancel", filter=lambda context: context.session_id == kept.id)
        rt.middleware.use("delete", lambda context: "cancel", filter=lambda context: context.session_id == kept.id)
        assert rt.save_all() == 1
        rt._supervisor.forget()
        assert rt.restore_recent(10) == [other]
        other.complete()
        rt.hooks.disable(rt.hooks.list()[0].id)
        kept.complete()
        assert rt.cleanup(retention_days=0) == 1
        assert rt.exists(kept.id)
        assert not rt.exists(other.id)


@pytest.mark.parametrize(
    "spelling",
    ["SessionCreated", "session:created", "session.created", "session_created", "session-created", "SESSION_CREATED"],
)
def test_a_point_is_accepted_in_every_spelling(rt: Runtime, spelling: str) -> None:
    seen: list[str] = []
    handle = rt.hooks.register(spelling, lambda context: seen.append(context.point))
    rt.create_session()
    assert seen == ["SessionCreated"]
    assert [each.id for each in rt.hooks.list(spelling)] == [handle.id]


@pytest.mark.parametrize("spelling", ["custom:deploy", "Custom(deploy)", "custom.deploy", "CUSTOM:deploy"])
def test_points_of_the_hosts_own_have_their_spellings_too(rt: Runtime, spelling: str) -> None:
    rt.hooks.register(spelling, lambda context: HookResult.modified({"n": 1}))
    assert rt.hooks.fire("custom:deploy", {}).data == {"n": 1}
    assert rt.hooks.fire(spelling, {}).data == {"n": 1}


def test_every_point_has_its_spelling_in_words() -> None:
    for point in POINTS:
        words = re.sub(r"(?<!^)(?=[A-Z])", "_", point).lower()
        for each in (words, words.replace("_", "."), words.replace("_", ":"), point.lower()):
            assert resolve(each) == (point,)


def test_the_operation_is_the_class_of_the_message_and_never_the_point(rt: Runtime, session: Session) -> None:
    seen: dict[str, str] = {}

    def note(context: HookContext) -> None:
        seen[context.point] = context.operation
        assert context.correlation_id

    for point in POINTS:
        rt.hooks.register(point, note)
    rt.tools.register("t", lambda: 1)
    rt.agents.register("a", lambda input: "x")
    rt.agents.create("b", "a")
    rt.tools.discover()
    session.call_tool("t")
    session.call_agent("a", "x")
    session.run_workflow(Workflow.sequential(Step("one", tool="t"), Step("two", agent="a", input="x")))
    session.add_message("user", "x")
    rt.agents.remove("b")
    assert seen["BeforeToolExecution"] == seen["AfterToolExecution"] == seen["ToolValidation"] == "CallTool"
    assert seen["BeforeAgentExecution"] == seen["AfterAgentExecution"] == seen["BeforeWorkflowStage"] == "CallAgent"
    assert seen["BeforeWorkflowStart"] == seen["AfterWorkflowComplete"] == "RunWorkflow"
    assert seen["BeforeMessageAdd"] == seen["MessageAdded"] == "AddMessage"
    assert not {point for point, operation in seen.items() if operation == point or not operation}


def test_the_context_shows_the_session_as_it_is(rt: Runtime) -> None:
    session = rt.create_session(tags=["a"], metadata={"team": "x"}, config={"max_artifacts": 5})
    seen: list[Any] = []

    def look(context: HookContext) -> None:
        seen.append(
            (
                context.session_metadata,
                context.config,
                context.tags,
                context.status,
                context.operation_count,
                context.component,
                context.correlation_id,
            )
        )

    rt.hooks.register("BeforeStateWrite", look)
    session.set("k", 1)
    about = ("session", session.id)
    assert seen == [({"team": "x"}, {"max_artifacts": 5}, ("a",), "active", 1, about, session.info().correlation_id)]


def test_the_session_is_not_read_unless_a_hook_asks(rt: Runtime, session: Session) -> None:
    read: list[str] = []
    original = rt.hooks.services.info_of
    rt.hooks.services.info_of = lambda each: (read.append(each), original(each))[1]  # type: ignore[method-assign]
    handle = rt.hooks.register("BeforeStateWrite", lambda context: None)
    session.set("k", 1)
    assert read == []
    handle.unregister()

    def look(context: HookContext) -> None:
        assert context.status != context.tags

    rt.hooks.register("BeforeStateWrite", look)
    session.set("k", 1)
    assert read == [session.id], "once for each call of a hook"


def test_a_correlation_id_is_never_empty(rt: Runtime, session: Session) -> None:
    seen: list[str] = []
    for point in ("custom:x", "BeforeSessionCreated", "BeforeStateWrite", "BeforeToolExecution"):
        rt.hooks.register(point, lambda context: seen.append(context.correlation_id))
    rt.hooks.fire("custom:x", {})
    rt.create_session()
    rt.state_scope("global").set("k", 1)
    session.set("k", 1)
    rt.tools.call("uuid_generator", {})
    assert len(seen) == 5
    assert all(isinstance(each, str) and each for each in seen)
    assert seen[3] == session.info().correlation_id
