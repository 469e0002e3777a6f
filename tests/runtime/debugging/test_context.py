"""The context of a call: what the model was given, and what changed since its last call, each by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import AgentReply, BundleError, ReplayError, Runtime, Session, ValidationError
from greenroom.runtime.ingest import ingest
from tests.actors.transfer.conftest import Parts  # type: ignore[import-not-found]


def told(view: Any) -> list[tuple[str, str]]:
    return [(each.kind, each.what) for each in view.changes]


def test_the_newest_call_is_shown_with_what_it_was_given(run: Session) -> None:
    view = run.context()
    assert (view.number, view.calls, view.kind, view.agent, view.model) == (2, 2, "agent", "writer", "model")
    assert (view.system_prompt, view.tools, view.parameters) == ("Be brief.", ("weather",), {"temperature": 0.1})
    assert view.input == "second"
    assert [each["role"] for each in view.messages] == ["system", "user", "tool"]
    assert view.messages[1]["content"] == "How"
    assert view.reply["text"] == "Be brief. second"
    assert told(view) == [("changed", "input"), ("truncated", "message 4 (user)"), ("injected", "message 9 (tool)")]
    assert view.previous == run.context(number=1).call
    json.dumps(view.to_dict())
    said = str(view).splitlines()
    assert said[0] == f"call 2 of 2, at event {view.call}: writer (model)"
    assert '  reply      "Be brief. second"' in said
    assert f"since the call at event {view.previous}:" in said
    assert "truncated" in str(view)


def test_a_system_message_stands_once_in_what_is_printed(rt: Runtime) -> None:
    s = rt.create_session()
    s.add_messages(
        [
            {"role": "system", "content": "Be careful."},
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "hi"},
        ]
    )
    view = s.context()
    assert view.system_prompt == "Be careful."
    assert str(view).count("Be careful.") == 1
    assert str(view).splitlines()[-2:] == ['  reply      "hi"', "this is the first call"]


def test_calls_are_named_by_sequence_or_number(run: Session) -> None:
    first = run.context(number=1)
    assert first == run.context(first.call)
    assert (first.previous, first.changes) == (None, ())
    assert [each["content"] for each in first.messages] == ["Be brief.", "How warm is it?"]
    for wrong in ({"call": 1}, {"number": 3}, {"number": 0}, {"number": -1}, {"call": 10_000}):
        with pytest.raises(ReplayError):
            run.context(**wrong)
    with pytest.raises(ValidationError):
        run.context(1, number=1)
    with pytest.raises(ReplayError, match=r"nearest one is event \d+"):
        run.context(1)


def test_each_kind_of_change_is_named(rt: Runtime) -> None:
    rt.agents.register("model", lambda input, context: AgentReply("fine"))
    for tool in ("search", "write"):
        rt.tools.register(tool, lambda: None)
    s = rt.create_session()
    system = s.add_message("system", "You are a careful assistant. Answer in one sentence.").sequence
    user = s.add_message("user", "first question").sequence
    gone = s.add_message("user", "never mind").sequence
    s.call_agent(rt.agents.build("a", "model", "Be exact.", ["search"], temperature=0.1, top_p=1), "go")
    s.edit_message(system, content="You are a careful assistant. ...")
    s.edit_message(user, content="another question")
    s.retract_message(gone)
    new = s.add_message("assistant", "an answer").sequence
    s.call_agent("model", "another agent in between")
    s.call_agent(rt.agents.build("a", "model", "Be kind.", ["write"], temperature=0.9, seed=4), "go")
    assert told(s.context()) == [
        ("changed", "system_prompt"),
        ("dropped", "tool search"),
        ("injected", "tool write"),
        ("changed", "parameter temperature"),
        ("dropped", "parameter top_p"),
        ("injected", "parameter seed"),
        ("truncated", f"message {system} (system)"),
        ("changed", f"message {user} (user)"),
        ("dropped", f"message {gone} (user)"),
        ("injected", f"message {new} (assistant)"),
    ]


def test_messages_in_the_input_are_what_the_model_was_given(rt: Runtime) -> None:
    rt.agents.register("model", lambda input: "fine")
    s = rt.create_session()
    s.add_message("user", "not this")
    one = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a long question, really"}]
    two = [*one[:1], {"role": "user", "content": "a long"}, {"role": "user", "content": "more"}]
    s.call_agent("model", {"messages": one, "tools": [{"function": {"name": "search"}}], "system": "S"})
    s.call_agent("model", {"messages": two, "tools": []})
    view = s.context()
    assert list(view.messages) == two
    assert told(view) == [
        ("dropped", "system_prompt"),
        ("dropped", "tool search"),
        ("truncated", "message #2 (user)"),
        ("injected", "message #3 (user)"),
    ]
    s.call_agent("model", two[1:])
    assert told(s.context()) == [("dropped", "message #1 (system)")]


def test_the_assistants_turns_are_the_calls_of_an_ingested_conversation(rt: Runtime, tmp_path: Path) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "more"},
        {"role": "assistant", "content": "no"},
    ]
    (tmp_path / "c.json").write_text(json.dumps(messages))
    ingest(rt, tmp_path / "c.json")
    s = rt.session(rt.list_sessions(status="completed")[0].id)
    view = s.context()
    assert (view.kind, view.number, view.calls, view.system_prompt) == ("message", 2, 2, "Be brief.")
    assert [each["content"] for each in view.messages] == ["Be brief.", "hi", "hello", "more"]
    assert view.reply["content"] == "no"
    assert [kind for kind, _ in told(view)] == ["injected", "injected"]


def test_a_session_without_calls_says_so(rt: Runtime) -> None:
    with pytest.raises(ReplayError, match="no call"):
        rt.create_session().context()


def test_secrets_of_an_agent_are_not_journaled(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "s", config={"redact": ["sk-[0-9]+"]}) as rt:
        rt.agents.register("model", lambda input, context: str(context.system_prompt))
        s = rt.create_session()
        s.call_agent(rt.agents.build("a", "model", "key sk-123", key={"k": "sk-123"}), "go")
        view = s.context()
        assert (view.system_prompt, view.parameters) == ("key [redacted]", {"key": {"k": "[redacted]"}})
        assert "sk-123" not in repr([event.to_dict() for event in s.events()])


@pytest.mark.parametrize(
    ("name", "value"),
    [("system_prompt", 5), ("tools", "text"), ("tools", [1]), ("parameters", {"a": 1}), ("parameters", b"\xc1")],
)
def test_a_bundle_with_an_impossible_call_is_refused(run: Session, tmp_path: Path, name: str, value: Any) -> None:
    run.export(tmp_path / "a.bundle")
    parts = Parts(tmp_path / "a.bundle")
    records = parts.records("/journal")
    data = next(each[3] for each in records if each[1] == "agent.called")
    data[name] = value
    parts.set_records("/journal", records)
    parts.write(tmp_path / "b.bundle")
    with Runtime.open() as other:
        with pytest.raises(BundleError):
            other.import_bundle(tmp_path / "b.bundle")
        made = other.import_bundle(tmp_path / "a.bundle")[0]
        assert other.session(made.id).context().parameters == {"temperature": 0.1}
