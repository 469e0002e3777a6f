"""A fork that begins with changes: all of them before anybody sees it, or no fork at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.actors.messages.forking import fork_changes
from greenroom.runtime import (
    AccessDenied,
    GreenroomError,
    HookCancelled,
    HookResult,
    ReplayError,
    ResourceLimitExceeded,
    Runtime,
    Session,
    ValidationError,
    messages,
)
from greenroom.storage.engine.engine import CF


@pytest.fixture(scope="module")
def shared() -> Iterator[Runtime]:
    with Runtime.open() as runtime:
        runtime.tools.register("weather", lambda city: {"temp": 20})
        yield runtime


@pytest.fixture
def run(shared: Runtime) -> Session:
    """A recorded run: system, user, a call of a tool, its result as a message, and an answer."""
    s = shared.create_session(name="run", tags=["one"])
    s.set("model", "small")
    s.set("old", True)
    s.add_message("system", "Be brief.")
    s.add_message("user", "How warm is it?")
    s.call_tool("weather", {"city": "Bern"})
    s.add_message("tool", '{"temp": 20}', tool_call_id="call-1")
    s.add_message("assistant", "20 degrees.")
    return s


def called(session: Session) -> int:
    return next(each.sequence for each in session.events() if each.type == "tool.called")


def told(session: Session) -> list[tuple[str, Any]]:
    return [(turn.role, turn.content) for turn in session.messages()]


def test_each_kind_of_change_is_there_and_the_original_is_as_it_was(run: Session) -> None:
    _, user, _, answer = (turn.sequence for turn in run.messages())
    before = run.info().sequence
    fork = run.fork(
        before,
        changes=[
            messages.ReplaceSystemPrompt("Be polite."),
            messages.EditMessage(user, content="How cold is it?"),
            messages.ReplaceToolResult(called(run), {"temp": -5}),
            messages.RetractMessage(answer),
            messages.AddMessage("user", "Well?", metadata={"m": 1}),
            messages.SetVariable("model", "large"),
            messages.DeleteVariable("old"),
            messages.AddTag("tried"),
        ],
    )
    assert told(fork) == [
        ("system", "Be polite."),
        ("user", "How cold is it?"),
        ("tool", '{"temp": -5}'),
        ("user", "Well?"),
    ]
    assert fork.variables() == {"model": "large"}
    assert fork.info().tags == ("one", "tried")
    own = [each for each in fork.events(after=before) if each.type == "tool.result_changed"]
    assert [each.data for each in own] == [{"name": "weather", "call": called(run), "result": {"temp": -5}}]
    assert run.info().sequence == before
    assert told(run)[0] == ("system", "Be brief.")
    assert [each.data for each in fork.events(limit=before)] == [each.data for each in run.events()]
    fork.set("goes", "on")
    assert run._runtime.verify().ok  # type: ignore[attr-defined]


def test_a_mapping_says_the_same_as_messages(run: Session) -> None:
    _, user, _, answer = (turn.sequence for turn in run.messages())
    fork = run.fork(
        changes={
            "system_prompt": "Be polite.",
            "edit_messages": {user: "How cold?"},
            "drop_messages": [answer],
            "tool_results": {str(called(run)): {"temp": 3}},
            "add_messages": [{"role": "user", "content": "Well?"}],
            "variables": {"model": "large", "null": None},
            "delete_variables": ["old"],
            "tags": ["tried"],
        }
    )
    assert told(fork) == [("system", "Be polite."), ("user", "How cold?"), ("tool", '{"temp": 3}'), ("user", "Well?")]
    assert fork.variables() == {"model": "large", "null": None}
    assert fork.info().tags == ("one", "tried")


def test_the_result_of_an_ingested_call_is_replaced_by_its_id(run: Session) -> None:
    assert told(run.fork(changes={"tool_results": {"call-1": "none"}}))[2] == ("tool", "none")
    assert told(run.fork(changes={"tool_results": {"call-1": [1, "ü"]}}))[2] == ("tool", '[1, "ü"]')


def test_a_conversation_without_a_system_prompt_gets_one(shared: Runtime) -> None:
    s = shared.create_session()
    s.add_message("user", "hi")
    assert told(s.fork(changes={"system_prompt": "Be brief."})) == [("user", "hi"), ("system", "Be brief.")]
    s.add_message("developer", "Old.")
    assert told(s.fork(changes={"system_prompt": ""})) == [("user", "hi"), ("developer", "")]


def test_a_message_that_does_not_hold_the_result_is_left_alone(shared: Runtime) -> None:
    s = shared.create_session()
    s.call_tool("weather", {"city": "Bern"})
    s.add_message("tool", "It is 20 degrees.")
    fork = s.fork(changes={"tool_results": {called(s): {"temp": 1}}})
    assert told(fork) == [("tool", "It is 20 degrees.")]


@pytest.mark.parametrize(
    "changes",
    [
        5,
        "text",
        {"variable": {"k": 1}},
        {"variables": [1]},
        {"variables": {"k": object()}},
        {"edit_messages": {"x": "text"}},
        {"edit_messages": {0: "text"}},
        {"edit_messages": {True: "text"}},
        {"edit_messages": [1]},
        {"drop_messages": [None]},
        {"drop_messages": ["9" * 30]},
        {"tool_results": {"": 1}},
        {"tool_results": {0: 1}},
        {"system_prompt": 5},
        {"system_prompt": "x" * (1 << 24) + "x"},
        {"tags": "text"},
        {"add_messages": [{"role": "user"}]},
        [object()],
        [messages.GetInfo()],
        [messages.DeleteSession()],
        [messages.CompleteSession()],
        [messages.StoreArtifact("t", "n", b"")],
        [messages.SetVariable("k", 1, durability="fsync")],
        [messages.SetVariable("k", 1, expected_sequence=3)],
        [messages.SetVariable("k", 1)] * 10_001,
    ],
)
def test_what_is_no_change_is_refused(run: Session, changes: Any) -> None:
    sessions = run._runtime.count_sessions()  # type: ignore[attr-defined]
    with pytest.raises(ValidationError):
        run.fork(changes=changes)
    assert run._runtime.count_sessions() == sessions  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "last",
    [
        messages.RetractMessage(10_000),
        messages.EditMessage(1, content="no message"),
        messages.ReplaceToolResult(1, "no call"),
        messages.ReplaceToolResult(10_000, "no event"),
        messages.ReplaceToolResult("nobody", "no message"),
        messages.ReplaceToolResult("call-1", b"no text"),
        messages.PutRecords({b"k": b"x" * 100}),
    ],
)
def test_a_change_that_is_refused_leaves_no_fork_and_no_content(run: Session, last: Any) -> None:
    rt: Runtime = run._runtime  # type: ignore[assignment]
    large = [messages.AddMessage("user", f"{len(rt.list_sessions())} large " * 5000)]
    if isinstance(last, messages.PutRecords):
        never = rt.hooks.register("BeforeMessageAdd", lambda context: HookResult.cancel("no"), name="never")
        with never, pytest.raises(HookCancelled):
            run.fork(changes=[last, *large])
    else:
        sessions = rt.count_sessions()
        with pytest.raises(ValidationError) as refused:
            run.fork(changes=[*large, last])
        assert refused.value.fields.get("index", 1) == 1
        assert rt.count_sessions() == sessions
    assert rt.gc().freed_bytes == 0
    assert rt.verify().ok


def test_limits_hold_for_changes(run: Session) -> None:
    run.update_config(max_operations=run.info().operation_count + 3)  # the setting and the fork count too
    assert run.fork(changes={"variables": {"a": 1}}).get("a") == 1
    with pytest.raises(ResourceLimitExceeded):
        run.fork(changes={"variables": {"a": 1, "b": 2, "c": 3}})


def test_hooks_see_and_change_each_change(rt: Runtime) -> None:
    s = rt.create_session()
    seen: list[tuple[str | None, Any]] = []

    def louder(context: Any) -> HookResult:
        seen.append((context.session_id, context.data["content"]))
        return HookResult.modified({**context.data, "content": context.data["content"].upper()})

    rt.hooks.register("BeforeMessageAdd", louder)
    rt.hooks.register("BeforeSessionCreated", lambda context: seen.append((None, dict(context.data))) or None)
    fork = s.fork(changes=[messages.AddMessage("user", "hello")])
    assert told(fork) == [("user", "HELLO")]
    assert seen == [(None, {"at_sequence": None}), (fork.id, "hello")]


def test_a_hook_that_changes_the_sequence_keeps_the_changes(rt: Runtime) -> None:
    s = rt.create_session()
    s.set("a", 1)
    s.set("a", 2)
    rt.hooks.register("BeforeSessionCreated", lambda context: HookResult.modified({"at_sequence": 2}))
    fork = s.fork(changes={"variables": {"b": 1}})
    assert fork.variables() == {"a": 1, "b": 1}


def test_listeners_get_the_changes_after_the_fork_itself(rt: Runtime) -> None:
    s = rt.create_session()
    with rt.events.subscribe("**") as listening:
        fork = s.fork(changes={"variables": {"b": 1}, "tags": ["t"]})
        told = [listening.receive(30) for _ in range(3)]
    assert [(each.type, each.session_id, each.sequence) for each in told if each] == [
        ("session.forked", fork.id, 2),
        ("variable.set", fork.id, 3),
        ("tags.changed", fork.id, 4),
    ]


def test_a_session_forks_itself_with_changes_and_nobody_else(rt: Runtime) -> None:
    s, other = rt.create_session(), rt.create_session()
    other.set("secret", 1)

    def tool(context: Any) -> str:
        with pytest.raises(AccessDenied):
            rt.session(other.id).fork(changes={"variables": {"k": 1}})
        fork = context.session.fork(changes={"variables": {"k": 1}})
        assert fork.get("k") == 1
        return str(fork.id)

    rt.tools.register("forks", tool)
    made = rt.session(str(s.call_tool("forks")))
    assert made.variables() == {"k": 1}
    assert made.info().parent_session_id == s.id


def test_secrets_in_changes_are_removed(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "s", config={"redact": ["sk-[0-9]+"]}) as rt:
        rt.tools.register("leak", lambda: "fine")
        s = rt.create_session()
        s.call_tool("leak")
        fork = s.fork(
            changes={
                "tool_results": {called(s): {"key": "sk-123"}},
                "system_prompt": "sk-123 " * 2000,
                "variables": {"k": ["sk-123"]},
            }
        )
        assert fork.get("k") == ["[redacted]"]
        assert "sk-123" not in repr([each.to_dict() for each in fork.events()]) + repr(told(fork))
        engine = rt._store.engine
        for family in (CF.JOURNAL, CF.CONTENTS, CF.CHUNKS):
            assert not [key for key, value in engine.pages(family, b"", b"\xff" * 64) if b"sk-123" in value]


def test_a_fork_with_changes_travels_as_a_bundle(run: Session, tmp_path: Path, other: Runtime) -> None:
    fork = run.fork(changes={"tool_results": {called(run): {"temp": "\ud800"}}, "system_prompt": "x" * 9000})
    fork.export(tmp_path / "f.bundle")
    copy = other.import_bundle(tmp_path / "f.bundle")[0]
    mine, its = list(fork.events()), list(other.session(copy.id).events())
    assert [each.type for each in its] == [*(each.type for each in mine), "session.imported"]
    after = mine[-1].sequence - 2
    assert [each.data for each in its[after:-1]] == [each.data for each in mine[after:]]
    assert told(other.session(copy.id)) == told(fork)
    assert other.verify().ok


def test_a_fork_of_a_truncated_journal_can_be_changed(rt: Runtime) -> None:
    s = rt.create_session()
    for number in range(50):
        s.add_message("user", f"{number}")
        s.set("k", number)
    s.complete()
    assert rt.retention(max_journal_events=1, dry_run=False).journals
    fork = s.fork(changes=[messages.PopMessage(), messages.SetVariable("k", 1)])
    assert len(fork.messages()) == 49
    assert fork.get("k") == 1
    assert rt.verify().ok


KEYS = st.sampled_from("abc")
COMMANDS = st.one_of(
    st.builds(messages.SetVariable, KEYS, st.one_of(st.none(), st.integers(), st.text(), st.binary(max_size=40))),
    st.builds(messages.DeleteVariable, KEYS),
    st.builds(messages.AddMessage, st.sampled_from(["user", "assistant"]), st.text(max_size=30)),
    st.builds(messages.AddMessage, st.just("user"), st.text(min_size=1, max_size=3).map(lambda t: t * 3000)),
    st.builds(messages.AddTag, KEYS),
    st.builds(messages.TruncateMessages, st.integers(1, 12)),
    st.builds(messages.ClearMessages),
)


@settings(max_examples=40)
@given(st.lists(COMMANDS, max_size=8), st.lists(COMMANDS, max_size=8))
def test_a_fork_with_changes_is_as_a_fork_that_is_changed_afterwards(
    shared: Runtime, before: list[Any], changes: list[Any]
) -> None:
    origin = shared.create_session()
    for command in before:
        shared.ask(origin.id, command)
    made, plain = origin.fork(changes=changes), origin.fork()
    for command in changes:
        shared.ask(plain.id, command)
    assert made.variables() == plain.variables()
    assert [turn.to_dict() | {"created_at": 0, "edited_at": 0} for turn in made.messages()] == [
        turn.to_dict() | {"created_at": 0, "edited_at": 0} for turn in plain.messages()
    ]
    assert made.info().tags == plain.info().tags
    assert [(each.type, each.data) for each in made.events(after=origin.info().sequence + 1)] == [
        (each.type, each.data) for each in plain.events(after=origin.info().sequence + 1)
    ]


def test_changes_are_checked_when_the_message_is_made() -> None:
    assert fork_changes(None) == []
    with pytest.raises(GreenroomError):
        messages.ForkSession(3, {"no": 1})


def test_a_fork_is_made_at_a_time(rt: Runtime) -> None:
    s = rt.create_session()
    s.set("k", 1)
    when = list(s.events())[-1].timestamp
    s.set("k", 2)
    assert s.fork(at_time=when).variables() == {"k": 1}
    assert s.fork(at_time=when, changes={"variables": {"n": 1}}).variables() == {"k": 1, "n": 1}
    with pytest.raises(ValidationError):
        s.fork(2, at_time=when)
    with pytest.raises(ReplayError):
        s.fork(at_time="2001-01-01T00:00:00Z")


def test_a_fork_with_changes_is_made_once_for_one_key(rt: Runtime) -> None:
    s = rt.create_session()
    first = s.fork(changes={"variables": {"k": 1}}, idempotency_key="once")
    again = s.fork(changes={"variables": {"k": 2}}, idempotency_key="once")
    assert again == first
    assert first.get("k") == 1
    with pytest.raises(ValidationError):
        s.fork(changes=[messages.RetractMessage(99)], idempotency_key="other")
    assert s.fork(changes={"variables": {"k": 3}}, idempotency_key="other").get("k") == 3
