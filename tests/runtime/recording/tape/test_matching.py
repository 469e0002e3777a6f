"""Which recording answers a call: properties that hold for all programs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime.recording.tape.matching.calls import Call, Calls
from greenroom.runtime.recording.tape.matching.difference import changes, difference
from greenroom.runtime.recording.tape.matching.reads import MISSING, Values
from greenroom.runtime.recording.tape.model import Crossing, Reads, key_of
from greenroom.runtime.recording.tape.sites import function_of

texts = st.sampled_from(["a", "b", "c"])
places = st.sampled_from(["x.py:1 in f", "x.py:2 in f", "y.py:3 in g", ""])
lanes = st.sampled_from(["main", "main/t#1"])
made = st.tuples(texts, places, lanes, st.integers(0, 2))


def crossing(number: int, name: str, place: str, lane: str, value: int) -> Crossing:
    input = {"value": value}
    key = key_of("tool", name, input)
    return Crossing(number, "tool", name, place, lane, input, {"value": number}, number, [number], key=key)


def call(name: str, place: str, lane: str, value: int) -> Call:
    return Call("tool", name, place, lane, key_of("tool", name, {"value": value}), {"value": value})


@given(st.lists(made, max_size=12))
def test_the_same_program_gets_all_of_its_recordings_exactly(program: list[Any]) -> None:
    calls = Calls([crossing(number, *each) for number, each in enumerate(program)])
    found = [calls.take(call(*each), strict=True) for each in program]
    assert [each.at for each in found if each is not None] == list(range(len(program)))
    assert all(each is not None and each.is_same and each.is_same_place for each in found)
    assert calls.unused() == []


def test_the_next_version_of_a_program_in_another_file_is_answered_too() -> None:
    calls = Calls([crossing(1, "a", "agent.py:1 in ask", "main", 1), crossing(2, "a", "agent.py:9 in tell", "main", 1)])
    found = calls.take(call("a", "agent_v2.py:12 in tell", "main", 2), strict=False)
    assert found is not None
    assert (found.at, found.is_same) == (1, False)
    assert calls.take(call("a", "agent_v2.py:12 in say", "main", 2), strict=False) is None


@given(st.lists(made, max_size=12), st.lists(made, max_size=12), st.booleans())
def test_each_recording_answers_its_own_call_once_and_the_best_fit_is_taken(
    recorded: Any, asked: Any, strict: bool
) -> None:
    crossings = [crossing(number, *each) for number, each in enumerate(recorded)]
    calls = Calls(crossings)
    left = set(range(len(crossings)))
    own = set(left)
    for each in asked:
        name, place, _, value = each
        same = [at for at in own if recorded[at][0] == name and recorded[at][3] == value]
        near = [at for at in left if recorded[at][0] == name and function_of(recorded[at][1]) == function_of(place)]
        found = calls.take(call(*each), strict=strict)
        if same:
            assert found is not None
            assert found.at in same
            assert found.is_same_place == any(recorded[at][1] == place for at in same)
            assert (found.before is not None) == (found.at not in left)
            own.remove(found.at)
        elif near and not strict:
            assert found is not None
            assert found.at in near
            assert not found.is_same
        else:
            assert found is None
            assert all("number" in told for told in calls.near(call(*each)))
        if found is not None:
            left.discard(found.at)
    assert [each.number for each in calls.unused()] == sorted(left)
    assert calls.waiting == len(left)


@pytest.mark.parametrize(
    ("asked", "answers"),
    [
        ("xabc", "aabc"),  # a call that is new, before those that were recorded
        ("axbc", "abbc"),
        ("abxc", "abcc"),
        ("abcx", "abc-"),
        ("bx", "bc"),  # one that is no longer made answers none after it
        ("xbc", "abc"),
        ("xyz", "abc"),
        ("axyz", "abc-"),
    ],
)
def test_a_program_with_more_calls_or_fewer_gets_the_answers_of_its_own(asked: str, answers: str) -> None:
    place = "agent.py:1 in ask"
    calls = Calls([crossing(at, "ask", place, "main", ord(each)) for at, each in enumerate("abc")])
    found = [calls.take(call("ask", place, "main", ord(each)), strict=False) for each in asked]
    assert "".join("abc"[each.at] if each is not None else "-" for each in found) == answers


read = st.tuples(st.just("clock"), texts, places, lanes, st.integers())


@given(st.lists(read, max_size=20), st.data())
def test_reads_of_one_lane_come_in_their_order_whatever_the_other_lanes_do(program: Any, data: Any) -> None:
    values = Values([Reads(program[: len(program) // 2]), Reads(program[len(program) // 2 :])])
    by_lane = {lane: [each for each in program if each[3] == lane] for lane in ("main", "main/t#1")}
    while any(by_lane.values()):
        lane = data.draw(st.sampled_from([lane for lane, left in by_lane.items() if left]))
        kind, name, place, _, value = by_lane[lane].pop(0)
        assert values.take(kind, name, place, lane) == (value, True)
    assert values.left() == 0
    assert values.take("clock", "a", "x.py:1 in f", "main")[0] is MISSING


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=80) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
inputs = st.dictionaries(st.text(max_size=5).filter(lambda name: name != "headers"), json_values, max_size=4)


@given(inputs, inputs)
def test_a_difference_is_told_if_and_only_if_there_is_one(one: Any, other: Any) -> None:
    assert changes(one, one) == []
    if repr(one) != repr(other) and one != other:
        assert changes(one, other) or difference(one, other)
    assert "\n" not in difference(one, other)


def test_differences_name_the_field_and_the_part_of_a_long_text() -> None:
    one = {"body": b'{"messages":[{"role":"user","content":"%s Hello"}],"model":"a"}' % (b"x" * 200)}
    other = {"body": b'{"messages":[{"role":"user","content":"%s Hallo"}],"model":"b"}' % (b"x" * 200)}
    told = difference(one, other)
    assert told.startswith("body.messages[0].content: …")
    assert "Hello" in told
    assert told.endswith('body.model: "a" → "b"')
    assert difference(one, other, values=False) == "other body.messages[0].content, other body.model"
