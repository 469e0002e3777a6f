"""A conversation that is changed: many turns at once, edits, retractions; and what stays of the past."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    HookCancelled,
    HookResult,
    InvalidOperation,
    InvalidSessionState,
    Message,
    ResourceLimitExceeded,
    Runtime,
    RuntimeConfig,
    Session,
    ValidationError,
)

LONG = "a longer text, with ünïcode. " * 500
LONGER = "another text " * 30_000


def contents(session: Session) -> list[Any]:
    return [turn.content for turn in session.messages()]


def types(session: Session) -> list[str]:
    return [event.type for event in session.events()]


def talk(rt: Runtime, count: int = 4) -> Session:
    session = rt.create_session()
    session.add_messages([{"role": "user", "content": str(number)} for number in range(count)])
    return session


# -- many at once


def test_many_turns_are_one_write(rt: Runtime) -> None:
    session = rt.create_session()
    commits = rt._store.commits
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    turns = session.add_messages(
        [
            {"role": "user", "content": "a", "name": "ann", "metadata": {"k": 1}},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "content": LONG, "tool_call_id": "c"},
            {"role": "assistant", "content": LONG},
            {"role": "user", "content": [{"type": "text", "text": LONGER}]},
        ]
    )
    assert rt._store.commits == commits + 1
    assert turns == session.messages()
    assert [turn.sequence for turn in turns] == [2, 3, 4, 5, 6]
    assert session.info().operation_count == 2
    assert rt.stats()["artifacts"]["contents"] == 2
    copy = rt.create_session()
    again = copy.add_messages(turns)
    assert [turn.content for turn in again] == [turn.content for turn in turns]
    assert copy.messages()[0].metadata == {"k": 1}
    assert session.add_messages([]) == []
    assert session.info().sequence == 6


def test_of_many_turns_all_or_none_is_added(rt: Runtime) -> None:
    session = rt.create_session()
    with pytest.raises(ValidationError) as caught:
        session.add_messages([{"role": "user", "content": LONGER}, {"role": "user", "content": 7}])
    assert caught.value.fields["field"] == "messages[1]"
    assert "messages[1]" in str(caught.value)
    wrong: list[Any] = [{"content": "x"}, {"role": 1, "content": ""}, {"role": "user", "contents": "x"}, "x", None]
    for bad in (*([each] for each in wrong), "x", {"role": "user"}):
        with pytest.raises(ValidationError):
            session.add_messages(bad)  # type: ignore[arg-type]
    session.suspend()
    with pytest.raises(InvalidSessionState):
        session.add_messages([{"role": "user", "content": LONGER}])
    assert types(session) == ["session.created", "session.suspended"]
    assert rt.stats()["artifacts"]["contents"] == 0
    assert rt.verify().problems == []


# -- edits


def test_an_edit_changes_what_is_given_and_keeps_the_past(rt: Runtime) -> None:
    session = talk(rt)
    second = session.messages()[1]
    edited = session.edit_message(second.sequence, content="new", metadata={"by": "ann"})
    assert (edited.sequence, edited.role, edited.content, edited.metadata) == (3, "user", "new", {"by": "ann"})
    assert edited.created_at == second.created_at
    assert edited.edited_at is not None
    assert second.edited_at is None
    assert not edited.partial
    assert session.messages()[1] == edited
    assert contents(session) == ["0", "new", "2", "3"]
    assert [event.data["content"] for event in session.events() if event.type == "message.added"] == list("0123")
    event = list(session.events())[-1]
    assert (event.type, event.data) == (
        "message.edited",
        {"sequence": 3, "content": "new", "metadata": {"by": "ann"}},
    )
    assert contents(session.fork(at_sequence=5)) == list("0123")
    assert contents(session.fork()) == ["0", "new", "2", "3"]


@pytest.mark.parametrize("content", ["short", LONG, LONGER, None, [{"type": "text", "text": LONG}], []])
def test_each_field_of_a_turn_is_the_newest_it_was_given(rt: Runtime, content: Any) -> None:
    session = rt.create_session()
    turn = session.add_message("user", LONG, name="n", tool_calls=[{"id": "c"}], metadata={"m": LONG})
    for edit in (
        {"metadata": {"v": 1}},
        {"content": content},
        {"metadata": {"v": LONG}},
        {"metadata": None},
        {"metadata": {"v": 4}},
    ):
        session.edit_message(turn.sequence, **edit)
    (now,) = session.messages()
    assert (now.content, now.metadata, now.tool_calls, now.name) == (content, {"v": 4}, [{"id": "c"}], "n")
    at = [session.fork(at_sequence=sequence).messages()[0] for sequence in range(2, 8)]
    assert [each.content for each in at] == [LONG, LONG, content, content, content, content]
    assert [each.metadata for each in at] == [{"m": LONG}, {"v": 1}, {"v": 1}, {"v": LONG}, {}, {"v": 4}]
    assert rt.verify().problems == []


@pytest.mark.parametrize("sequence", [1, 6, 99, (1 << 63) - 1])
def test_only_a_turn_of_the_conversation_can_be_changed(rt: Runtime, sequence: int) -> None:
    session = talk(rt)
    for change in (lambda: session.edit_message(sequence, content="x"), lambda: session.retract_message(sequence)):
        with pytest.raises(ValidationError, match="no message") as caught:
            change()
        assert caught.value.fields["field"] == "sequence"
    assert session.info().sequence == 5


def test_an_edit_that_says_nothing_or_too_much_is_refused(rt: Runtime) -> None:
    session = talk(rt)
    with pytest.raises(ValidationError):
        session.edit_message(2)
    with pytest.raises(ValidationError):
        session.edit_message(None, content="x")  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        session.edit_message(2, content=7)  # type: ignore[arg-type]
    with pytest.raises(ResourceLimitExceeded):
        session.edit_message(2, content="x" * (16 << 20))
    assert session.info().sequence == 5


# -- retractions


def test_retracted_turns_are_gone_from_the_conversation_alone(rt: Runtime) -> None:
    session = talk(rt, 6)
    session.edit_message(4, content="edited")
    taken = session.retract_message(4)
    assert (taken.sequence, taken.content) == (4, "edited")
    assert taken.edited_at is not None
    assert contents(session) == ["0", "1", "3", "4", "5"]
    assert session.pop_message().content == "5"
    assert session.truncate_messages(after_sequence=3) == 2
    assert contents(session) == ["0", "1"]
    assert session.truncate_messages(after_sequence=3) == 0
    with pytest.raises(ValidationError):
        session.edit_message(4, content="again")
    session.add_message("user", "new")
    assert session.clear_messages() == 3
    assert session.clear_messages() == 0
    assert session.messages() == []
    with pytest.raises(InvalidOperation, match="empty"):
        session.pop_message()
    assert types(session)[-6:] == [
        "message.edited",
        *["message.retracted"] * 3,
        "message.added",
        "message.retracted",
    ]
    assert contents(session.fork(at_sequence=8)) == ["0", "1", "edited", "3", "4", "5"]
    assert session.messages(before=100, limit=10) == []


def test_what_was_said_before_is_read_after_the_content_was_edited_away(rt: Runtime) -> None:
    session = rt.create_session()
    turn = session.add_message("user", LONGER)
    session.edit_message(turn.sequence, content="short")
    session.pop_message()
    assert rt.stats()["artifacts"]["contents"] == 1
    rt.gc()
    assert rt.verify().problems == []
    assert session.fork(at_sequence=2).messages()[0].content == LONGER
    for each in (*session.children(), session.info()):
        rt.delete_session(each.id)
    assert rt.stats()["artifacts"]["contents"] == 0
    assert rt.verify().problems == []


def test_changes_need_an_active_session(rt: Runtime) -> None:
    session = talk(rt)
    session.suspend()
    for change in (
        lambda: session.edit_message(2, content="x"),
        lambda: session.retract_message(2),
        session.pop_message,
        lambda: session.truncate_messages(0),
        session.clear_messages,
    ):
        with pytest.raises(InvalidSessionState):
            change()
    assert contents(session) == list("0123")


# -- through the rest of the runtime


def test_the_conversation_goes_on_after_closing_and_passivation(store_path: Path) -> None:
    config = RuntimeConfig(max_resident_sessions=1, snapshot_every=2)
    with Runtime.open(store_path, config=config) as rt:
        session = talk(rt)
        session.edit_message(3, content="new")
        session.pop_message()
        talk(rt)
        assert contents(session) == ["0", "new", "2"]
    with Runtime.open(store_path, config=config) as rt:
        session = rt.session(session.id)
        assert contents(session) == ["0", "new", "2"]
        session.pop_message()
        assert contents(session) == ["0", "new"]
        assert rt.verify().problems == []


@pytest.mark.parametrize("effective", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_a_bundle_has_the_conversation_as_it_is(rt: Runtime, tmp_path: Path, effective: bool, cut: bool) -> None:
    session = rt.create_session()
    for number in range(4):
        session.set("between", number)
        session.add_messages([{"role": "user", "content": f"{LONG} {number}"}, {"role": "assistant", "content": "ok"}])
    turns = session.messages()
    session.edit_message(turns[1].sequence, content="first", metadata={"v": 1})
    session.edit_message(turns[1].sequence, content=LONG)
    session.edit_message(turns[2].sequence, metadata={"v": 2})
    session.edit_message(turns[2].sequence, content="third")
    session.retract_message(turns[4].sequence)
    session.truncate_messages(turns[5].sequence)
    if cut:
        rt.retention(max_journal_events=3, dry_run=False)
    path = tmp_path / "s.bundle"
    rt.export_session(session.id, path, **({"history": False} if effective else {}))
    (arrived,) = rt.import_bundle(path, keep_ids=False)
    keys = ("role", "content", "metadata", "created_at", "edited_at")
    shown = [[turn.to_dict()[key] for key in keys] for turn in arrived.messages()]
    assert shown == [[turn.to_dict()[key] for key in keys] for turn in session.messages()]
    arrived.edit_message(arrived.messages()[2].sequence, metadata={"v": 3})
    assert arrived.messages()[2].content == "third"
    assert arrived.pop_message().content == "ok"
    assert rt.verify().problems == []
    if effective:
        said = {event.data.get("content") for event in arrived.events() if event.type.startswith("message.")}
        assert "first" not in said


def test_hooks_see_every_change_that_adds_text(rt: Runtime) -> None:
    session = talk(rt)
    seen: list[tuple[str, dict[str, Any]]] = []

    def look(context: Any) -> HookResult:
        seen.append((context.operation, dict(context.data)))
        if "no" in str(context.data):
            return HookResult.cancel("not that")
        return HookResult.continue_()

    rt.hooks.register("BeforeMessageAdd", look)
    session.edit_message(2, content="fine")
    session.add_messages([{"role": "user", "content": "fine too"}])
    with pytest.raises(HookCancelled):
        session.edit_message(2, metadata={"k": "no"})
    with pytest.raises(HookCancelled):
        session.add_messages([{"role": "user", "content": "no"}])
    assert seen[0] == ("EditMessage", {"sequence": 2, "content": "fine"})
    assert seen[1][0] == "AddMessages"
    assert [each["content"] for each in seen[1][1]["messages"]] == ["fine too"]
    assert seen[2] == ("EditMessage", {"sequence": 2, "metadata": {"k": "no"}})
    assert contents(session) == ["fine", "1", "2", "3", "fine too"]

    rt.hooks.register("BeforeMessageAdd", lambda context: HookResult.modified({**context.data, "content": "changed"}))
    with pytest.raises(HookCancelled, match="AddMessages has no 'content'"):
        session.add_messages([{"role": "user", "content": "x"}])
    assert session.edit_message(2, content="x").content == "changed"


def test_secrets_are_removed_from_edits_and_from_many(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "s", config=RuntimeConfig(redact=("sk-[a-z0-9]+",))) as rt:
        session = rt.create_session()
        session.add_messages([{"role": "user", "content": f"sk-abc {LONG}"}, {"role": "user", "content": "sk-abc"}])
        session.edit_message(3, content="it is sk-def", metadata={"k": "sk-ghi"})
        assert session.messages()[1].content == "it is [redacted]"
        assert session.messages()[1].metadata == {"k": "[redacted]"}
    for path in (tmp_path / "s").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(secret in data for secret in (b"sk-abc", b"sk-def", b"sk-ghi"))


def test_messages_may_be_sent_as_messages(rt: Runtime) -> None:
    from greenroom.runtime import messages as m

    session = talk(rt)
    rt.ask(session.id, m.AddMessages([m.AddMessage("user", "4")]))
    assert rt.ask(session.id, m.EditMessage(2, content="x")).content == "x"
    rt.tell(session.id, m.AddMessages([{"role": "user", "content": LONG}]))
    assert contents(session) == ["x", "1", "2", "3", "4", LONG]
    assert rt.ask(session.id, m.PopMessage()).content == LONG
    assert rt.ask(session.id, m.RetractMessage(6)).content == "4"
    assert rt.ask(session.id, m.TruncateMessages(3)) == 2
    assert rt.ask(session.id, m.ClearMessages()) == 2


def test_a_turn_is_a_value(rt: Runtime) -> None:
    session = talk(rt)
    turn = session.messages()[0]
    assert turn == session.messages()[0]
    assert turn != session.messages()[1]
    assert turn == Message(turn.sequence, "user", "0", turn.created_at)
    assert Message(1, "user", None, turn.created_at).content is None
    with pytest.raises(AttributeError):
        turn.content = "x"  # type: ignore[misc]
    assert (turn.to_dict()["partial"], turn.to_dict()["edited_at"]) == (False, None)


def test_ten_thousand_turns(rt: Runtime) -> None:
    session = rt.create_session()
    session.add_messages([{"role": "user", "content": str(number)} for number in range(10_000)])
    session.set("k", 1)
    session.add_message("user", "last")
    assert contents(session) == [*map(str, range(10_000)), "last"]
    assert [turn.content for turn in session.messages(limit=3, before=5_002)] == ["4997", "4998", "4999"]
    assert session.truncate_messages(after_sequence=101) == 9_901
    assert list(session.events())[-1].data == {"turns": [[102, 10_001], [10_003, 10_003]]}
    assert contents(session) == [*map(str, range(100))]
    assert rt.verify().problems == []
