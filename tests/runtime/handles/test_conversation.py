"""The turns of a chat, and the events that a session is made of."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from greenroom.runtime import Event, Runtime, RuntimeConfig, SessionNotFound, ValidationError
from greenroom.storage.engine.engine import CF

LONG = "a longer text, with ünïcode. " * 500


# -- messages


def test_a_turn_comes_back_as_it_was_added(rt: Runtime) -> None:
    session = rt.create_session()
    calls = [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}]
    turns = [
        session.add_message("system", "You help."),
        session.add_message("user", "What is the weather?", name="ann", metadata={"client": "web"}),
        session.add_message("assistant", None, tool_calls=calls),
        session.add_message("tool", "rain", tool_call_id="call_1"),
        session.add_message("assistant", [{"type": "text", "text": "Rain."}, {"type": "image", "data": b"\x89"}]),
        session.add_message("user", ""),
        session.add_message("user", "\ud800 lone surrogate"),
    ]
    assert session.messages() == turns
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "tool", "assistant", "user", "user"]
    assert (turns[1].content, turns[1].name, turns[1].metadata) == ("What is the weather?", "ann", {"client": "web"})
    assert (turns[2].content, turns[2].tool_calls) == (None, calls)
    assert turns[3].tool_call_id == "call_1"
    assert turns[4].content == [{"type": "text", "text": "Rain."}, {"type": "image", "data": b"\x89"}]
    assert [turn.sequence for turn in turns] == [2, 3, 4, 5, 6, 7, 8]
    assert turns[0].created_at.tzinfo is not None


def test_tool_calls_are_a_list(rt: Runtime) -> None:
    with pytest.raises(ValidationError, match="tool_calls: a list is needed, not dict"):
        rt.create_session().add_message("assistant", None, tool_calls={"id": "1"})  # type: ignore[arg-type]


def test_a_turn_as_a_dict_is_json(rt: Runtime) -> None:
    session = rt.create_session()
    turn = session.add_message("user", [{"type": "text"}], metadata={"a": 1})
    row = turn.to_dict()
    assert json.loads(json.dumps(row)) == row
    assert datetime.fromisoformat(row["created_at"]) == turn.created_at
    assert row["created_at"].endswith("Z")
    with pytest.raises(AttributeError):
        turn.role = "x"  # type: ignore[misc]


@pytest.mark.parametrize("content", [LONG, LONG + "\ud800", [{"type": "text", "text": LONG}], "x" * 300_000])
def test_a_long_turn_comes_back_too(store_path: Any, content: Any) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session()
        assert session.add_message("user", content).content == content
        assert session.messages()[0].content == content
        assert rt.verify().ok
    with Runtime.open(store_path, config=RuntimeConfig(artifact_cache_bytes=0)) as rt:
        assert rt.session(session.id).messages()[0].content == content


def test_long_text_is_stored_once_whoever_says_it(rt: Runtime) -> None:
    one, other = rt.create_session(), rt.create_session()
    one.add_message("user", LONG)
    contents = rt.stats()["artifacts"]["contents"]
    other.add_message("assistant", LONG)
    one.add_message("user", LONG)
    one.store_artifact("user_input", "text.txt", LONG)
    assert rt.stats()["artifacts"]["contents"] == contents == 1
    one.delete()
    assert other.messages()[0].content == LONG
    other.delete()
    assert rt.stats()["artifacts"]["contents"] == 0
    assert rt._store.engine.scan(CF.CHUNKS, b"", b"\xff" * 40) == []


def test_the_newest_turns_are_read_backwards_page_by_page(rt: Runtime) -> None:
    session = rt.create_session()
    for number in range(10):
        session.add_message("user", str(number))
        session.set("between", number)
    assert [turn.content for turn in session.messages(limit=3)] == ["7", "8", "9"]
    page = session.messages(limit=4)
    pages = [turn.content for turn in page]
    while page:
        page = session.messages(limit=4, before=page[0].sequence)
        pages = [turn.content for turn in page] + pages
    assert pages == [str(number) for number in range(10)]
    assert session.messages(limit=0) == []
    assert session.messages(before=0) == []
    assert session.messages(before=2) == []
    assert len(session.messages(limit=100)) == 10
    assert len(session.messages(before=(1 << 63) - 1)) == 10


@pytest.mark.parametrize("arguments", [{"limit": -1}, {"before": -1}, {"limit": "2"}, {"before": 1.5}, {"limit": True}])
def test_a_page_that_makes_no_sense_is_refused(rt: Runtime, arguments: dict[str, Any]) -> None:
    session = rt.create_session()
    with pytest.raises(ValidationError) as caught:
        session.messages(**arguments)
    assert caught.value.fields["field"] in arguments


# -- events


def test_everything_that_happens_is_an_event(rt: Runtime) -> None:
    session = rt.create_session(name="n", metadata={"a": 1}, tags=["t"])
    session.set("k", {"v": 1})
    session.delete_variable("k")
    session.add_tag("u")
    session.update_metadata({"b": 2})
    session.add_message("user", "hello")
    info = session.store_artifact("tool_output", "a.txt", b"content", tags=["t"], metadata={"step": 1})
    session.delete_artifact("a.txt")
    session.suspend()
    session.resume()
    session.save()
    session.fail("why")
    session.archive()
    events = list(session.events())
    assert [event.type for event in events] == [
        "session.created",
        "variable.set",
        "variable.deleted",
        "tags.changed",
        "metadata.updated",
        "message.added",
        "artifact.stored",
        "artifact.deleted",
        "session.suspended",
        "session.resumed",
        "session.saved",
        "session.failed",
        "session.archived",
    ]
    assert [event.sequence for event in events] == list(range(1, 14))
    assert {event.session_id for event in events} == {session.id}
    assert len({event.id for event in events}) == 13
    assert all(event.timestamp.tzinfo is not None for event in events)
    assert events[0].data["name"] == "n"
    assert events[0].data["metadata"] == {"a": 1}
    assert events[1].data == {"key": "k", "value": {"v": 1}}
    assert events[3].data["tags"] == ["t", "u"]
    assert events[5].data["content"] == "hello"
    assert events[6].data["name"] == "a.txt"
    assert events[6].data["type"] == "tool_result"
    assert events[6].data["custom"] == {"step": 1}
    assert events[6].data["content_hash"] == info.id.content_hash
    assert events[11].data == {"reason": "why"}
    assert isinstance(events[0], Event)
    for event in events:
        row = event.to_dict()
        assert row["timestamp"].endswith("Z")
        assert json.loads(json.dumps(row)) == row


def test_events_are_read_from_where_one_asks(rt: Runtime) -> None:
    session = rt.create_session()
    for number in range(600):
        session.set("k", number)
    assert [event.sequence for event in session.events()] == list(range(1, 602))
    assert [event.sequence for event in session.events(after=598)] == [599, 600, 601]
    assert [event.sequence for event in session.events(after=100, limit=300)] == list(range(101, 401))
    assert list(session.events(after=601)) == []
    assert list(session.events(limit=0)) == []


def test_events_added_while_reading_are_read_too(rt: Runtime) -> None:
    session = rt.create_session()
    seen = []
    for event in session.events():
        seen.append(event.sequence)
        if len(seen) < 5:
            session.set("k", len(seen))
    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("arguments", [{"after": -1}, {"after": "x"}, {"limit": -1}, {"limit": 1.5}])
def test_events_are_refused_at_the_call(rt: Runtime, arguments: dict[str, Any]) -> None:
    session = rt.create_session()
    with pytest.raises(ValidationError):
        session.events(**arguments)


def test_events_of_a_deleted_session_end_in_an_error(rt: Runtime) -> None:
    session = rt.create_session()
    for number in range(400):
        session.set("k", number)
    events = session.events()
    assert next(events).sequence == 1
    session.delete()
    with pytest.raises(SessionNotFound):
        list(events)
