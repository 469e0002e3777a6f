"""The boundary answers from what was recorded, in order, and says what is missing."""

from __future__ import annotations

import pytest

from greenroom.actors.replay.boundary import JournalBoundary, RecordedClock, Recording, Request
from greenroom.runtime import ReplayError
from greenroom.storage.codec.records import pack_value


def request(name: str, value: object, place: object = None, kind: str = "tool") -> Request:
    return Request(kind, name, pack_value(value), place)


@pytest.fixture
def boundary() -> JournalBoundary:
    boundary = JournalBoundary()
    for sequence, (name, value) in enumerate([("a", {"n": 1}), ("a", {"n": 2}), ("b", {"n": 1}), ("a", {"n": 1})], 1):
        boundary.record(Recording(request(name, value, sequence * 10), f"{name}{sequence}", sequence))
    return boundary


def test_a_request_is_answered_by_its_input_in_order(boundary: JournalBoundary) -> None:
    answers = [boundary.answer(request("a", {"n": 1})) for _ in range(2)]
    assert [(each.outcome, each.sequence, each.match) for each in answers] == [("a1", 1, "exact"), ("a4", 4, "exact")]


def test_the_same_place_comes_before_the_same_input(boundary: JournalBoundary) -> None:
    answer = boundary.answer(request("a", {"n": 1}, 20))
    assert (answer.outcome, answer.match) == ("a2", "drifted")


def test_equal_inputs_are_equal_however_they_are_encoded(boundary: JournalBoundary) -> None:
    boundary.record(Recording(request("c", {"x": 1, "y": 2.0}), "c", 9))
    assert boundary.answer(request("c", {"y": 2, "x": 1})).match == "exact"


def test_another_input_drifts_to_the_next_of_the_same_name(boundary: JournalBoundary) -> None:
    assert [boundary.answer(request("a", {"n": 7})).outcome for _ in range(3)] == ["a1", "a2", "a4"]


def test_what_is_not_recorded_is_an_error_that_names_what_is_near(boundary: JournalBoundary) -> None:
    with pytest.raises(ReplayError, match=r"tool 'c'.*tool 'a' at 1 \(another name\)") as caught:
        boundary.answer(request("c", {}))
    assert caught.value.fields["name"] == "c"
    with pytest.raises(ReplayError, match="another kind"):
        boundary.answer(request("b", {"n": 1}, kind="agent"))
    boundary.answer(request("b", {}))
    with pytest.raises(ReplayError):
        boundary.answer(request("b", {"n": 1}))


def test_without_any_recording_it_says_so() -> None:
    with pytest.raises(ReplayError, match="no other recording"):
        JournalBoundary().answer(request("a", 1))


def test_recordings_that_nobody_asks_for_let_the_oldest_go() -> None:
    boundary = JournalBoundary()
    for number in range(10_001):
        boundary.record(Recording(request("a", number), number, number))
    assert boundary.answer(request("a", 0)).outcome == 1  # the next of its name


def test_the_clock_gives_the_recorded_time() -> None:
    clock = RecordedClock(5_000_000_000)
    assert (clock.time_ns(), clock.monotonic()) == (5_000_000_000, 5.0)
