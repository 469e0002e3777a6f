"""A recording of anything at all is understood as far as it goes, and the session stays sound."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.runtime import Runtime, Session
from greenroom.runtime.recording.understanding.derived import understand

from .runs import URL, Run, conversation, result, says, user
from .test_decoding import BODIES, KINDS, OBJECTS, URLS, VALUES

CROSSINGS = st.one_of(
    st.tuples(st.just("http"), st.sampled_from(URLS), BODIES, BODIES, st.sampled_from(KINDS)),
    st.tuples(st.sampled_from(["tool", "mcp", "process"]), st.text(max_size=300), OBJECTS, OBJECTS),
)
MESSAGES = st.one_of(
    st.sampled_from("abc").map(user),
    st.sampled_from("abc").map(says),
    st.sampled_from("12").map(lambda id_: says(None, (id_, "look", {"at": id_}))),
    st.sampled_from("12").map(lambda id_: result(id_, "found")),
    OBJECTS,
)


def finite(value: Any) -> Any:
    """Return a value as a tape may hold it."""
    return json.loads(json.dumps(value).replace("NaN", "0").replace("Infinity", "0"))


def calls_of(session: Session) -> list[Any]:
    found = [event for event in session.events() if event.type.startswith(("agent.", "tool."))]
    return [(event.type, event.data["name"], event.data.get("thread"), event.data.get("main")) for event in found]


@settings(max_examples=30)
@given(st.lists(CROSSINGS, max_size=6))
def test_garbage_that_was_recorded_leaves_a_sound_session(rt: Runtime, crossings: list[Any]) -> None:
    s = rt.create_session()
    run = Run(s)
    for kind, name, given_, outcome, *more in crossings:
        if kind == "http":
            head = [["content-type", more[0]]]
            run.crossing(
                kind,
                name,
                {"method": "POST", "url": name, "headers": [], "body": given_},
                {"status": 200, "headers": head, "chunks": [outcome], "gaps": [0], "complete": True},
            )
        else:
            plain = [
                json.loads(json.dumps(each).replace("NaN", "0").replace("Infinity", "0")) for each in (given_, outcome)
            ]
            run.crossing(kind, name, {"arguments": plain[0]}, plain[1])
    understand(s)
    before = [event.id for event in s.events()]
    assert understand(s) == 0
    assert [event.id for event in s.events()] == before
    assert rt.replay(s.id).identical


@settings(max_examples=30)
@given(st.lists(st.tuples(st.lists(MESSAGES, max_size=6), MESSAGES), max_size=8), st.lists(st.booleans(), max_size=8))
def test_whatever_the_conversations_a_stop_in_between_changes_nothing(
    rt: Runtime, calls: list[tuple[list[dict[str, Any]], dict[str, Any]]], stops: list[bool]
) -> None:
    whole, stopped = rt.create_session(), rt.create_session()
    for session, may_stop in ((whole, False), (stopped, True)):
        run = Run(session)
        for number, (messages, reply) in enumerate(calls):
            asked = {"model": "gpt-4o", "messages": messages}
            run.http(URL, asked, {"id": f"r{number}", "choices": [{"message": reply, "finish_reason": "stop"}]})
            if may_stop and number < len(stops) and stops[number]:
                understand(session)
        understand(session)
    assert conversation(whole) == conversation(stopped)
    assert [turn.tool_calls for turn in whole.messages()] == [turn.tool_calls for turn in stopped.messages()]
    types = [
        [
            (event.type, event.data.get("thread"))
            for event in session.events()
            if event.type.startswith(("agent", "tool."))
        ]
        for session in (whole, stopped)
    ]
    assert types[0] == types[1]


@given(VALUES)
def test_a_body_that_is_any_value_has_no_call_or_one(rt: Runtime, value: Any) -> None:
    s = rt.create_session()
    Run(s).http(URL, value, value)
    assert understand(s) in (0, 1)
