"""Two tapes of one program: where it got different things."""

from __future__ import annotations

from typing import Any

from greenroom.runtime.recording.searching.compare import sources_between
from greenroom.runtime.recording.tape.model import Crossing, Reads, Tape


def _call(number: int, name: str, value: Any, place: str = "agent.py:3 in step", **outcome: Any) -> Crossing:
    return Crossing(number, "tool", name, place, "main", {}, {"value": value, **outcome}, number)


def _tape(calls: list[Crossing], *reads: tuple[str, str, str, str, Any]) -> Tape:
    return Tape({}, calls, [Reads(list(reads))])


def test_places_that_got_different_things_are_named() -> None:
    clock = ("clock", "time.time", "agent.py:1 in main", "main")
    fixed = ("environment", "HOME", "agent.py:2 in main", "main", "/root")
    one = _tape([_call(1, "weather", 21, gaps=[1])], (*clock, 1.5), fixed)
    other = _tape([_call(1, "weather", 22, gaps=[2])], (*clock, 2.5), fixed)
    found = sources_between(one, other)
    assert [(each.kind, each.name, each.place) for each in found] == [
        ("clock", "time.time", "agent.py:1 in main"),
        ("tool", "weather", "agent.py:3 in step"),
    ]
    assert found[0].example == "1.5 and 2.5"


def test_the_same_twice_has_no_source() -> None:
    assert sources_between(*(_tape([_call(1, "weather", 21, gaps=[each])]) for each in (1, 2))) == []


def test_how_often_and_in_which_order_also_counts() -> None:
    one = _tape([_call(1, "a", 1), _call(2, "b", 1), _call(3, "b", 1)])
    other = _tape([_call(1, "b", 1), _call(2, "a", 1), _call(3, "b", 1)])
    (found,) = sources_between(one, other)
    assert (found.kind, found.example) == ("order", "the call that begins as number 1: a and b")
    (found,) = sources_between(one, _tape([_call(1, "a", 1), _call(2, "b", 1)]))
    assert found.example == "2 in one run, 1 in the other"
