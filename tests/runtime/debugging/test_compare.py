"""Two sessions: where they stopped being the same, and what each did alone."""

from __future__ import annotations

import difflib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.runtime import Runtime, Session, SessionNotFound, ValidationError
from greenroom.runtime.handles.debugging import alignment
from greenroom.runtime.handles.debugging.alignment import opcodes

from .conftest import record

SMALL = st.lists(st.integers(0, 6), max_size=30)


def test_two_runs_that_did_the_same_are_the_same(shared: Runtime) -> None:
    one, other = record(shared), record(shared)
    other.rename("another")
    one.rename("another")
    found = shared.compare(one, other)
    assert found.identical
    assert found.common == one.info().sequence
    assert found.a.alone == found.b.alone == 0
    assert (found.state, found.conversation, found.artifacts) == ((), (), ())
    assert str(found).startswith("the same")
    assert shared.compare(one, one).identical


def test_a_fork_is_the_same_up_to_where_it_began(run: Session, shared: Runtime) -> None:
    last = run.info().sequence
    for at in range(1, last):
        fork = run.fork(at_sequence=at)
        assert shared.compare(run, fork).common == at
        assert shared.compare(fork.id, run.id).common == at
    assert not shared.compare(run, run.fork()).identical
    assert shared.compare(run, run.fork()).common == last


def test_what_each_did_alone_is_told(run: Session, shared: Runtime) -> None:
    at = next(event.sequence for event in run.events() if event.type == "tool.called") - 1
    fork = run.fork(at_sequence=at, changes={"variables": {"model": "large"}})
    fork.call_tool("weather", {"city": "Bern"})
    fork.add_message("tool", "another")
    fork.store_artifact("note", "a.txt", b"other content")
    found = shared.compare(run, fork)
    assert found.common == at
    first_a, first_b = found.a.first, found.b.first
    assert first_a is not None
    assert first_b is not None
    assert (first_b.type, first_b.sequence) == ("session.forked", at + 1)
    assert found.b.types["variable.set"] == 1
    assert found.calls["tool:weather"].to_dict() == {"a": 1, "b": 1, "a_failed": 0, "b_failed": 0}
    assert found.calls["tool:broken"].to_dict() == {"a": 1, "b": 0, "a_failed": 1, "b_failed": 0}
    assert found.calls["agent:writer"].a == 2
    assert (found.a.tokens, found.b.tokens) == (22, 11)
    assert "variables.model" in {each.place for each in found.state}
    assert {each.place for each in found.artifacts} == {
        f"artifacts.a.txt (version 1).{name}" for name in ("custom.q", "hash", "size")
    }
    assert ("added", "tool: another") in {(each.kind, each.after) for each in found.conversation}
    assert found.segments[0].to_dict() == {"kind": "same", "a": [1, at], "b": [1, at]}
    covered = [each for segment in found.segments if segment.a for each in range(segment.a[0], segment.a[1] + 1)]
    assert covered == list(range(1, run.info().sequence + 1))
    json.dumps(found.to_dict(), default=repr)
    assert f"the same up to event {at}" in str(found)
    assert "tool:broken: 1 and 0 calls, 1 and 0 failed" in str(found)


def test_an_event_more_does_not_hide_that_the_rest_is_the_same(rt: Runtime) -> None:
    one, other = rt.create_session(), rt.create_session()
    for number in range(20):
        if number == 7:
            other.set("more", 1)
        for s in (one, other):
            s.set("k", number)
            s.add_message("user", str(number))
    found = rt.compare(one, other)
    assert (found.common, found.a.alone, found.b.alone) == (15, 0, 1)
    assert [segment.kind for segment in found.segments] == ["same", "only_b", "same"]
    assert not found.conversation


def test_sessions_that_are_not_there_or_no_sessions(run: Session, shared: Runtime) -> None:
    for wrong in (5, None, object()):
        with pytest.raises(ValidationError):
            shared.compare(run, wrong)  # type: ignore[arg-type]
    with pytest.raises(SessionNotFound):
        shared.compare(run, "00000000-0000-4000-8000-000000000000")


def test_a_truncated_journal_is_compared_from_its_beginning_on(rt: Runtime) -> None:
    s = rt.create_session()
    for number in range(30):
        s.set("k", number)
    s.complete()
    fork = s.fork(at_sequence=25)
    assert rt.retention(max_journal_events=10, dry_run=False).journals
    found = rt.compare(s, fork)
    assert found.common == 25
    assert found.begin > 1


def test_truncated_journals_of_others_are_not_taken_for_the_same(rt: Runtime) -> None:
    one, other, short = rt.create_session(), rt.create_session(), rt.create_session()
    for number in range(30):
        one.set("k", number)
        other.set("k", -number)
    one.complete()
    assert rt.retention(max_journal_events=10, dry_run=False).journals
    found = rt.compare(one, other)
    assert (found.common, found.identical) == (0, False)
    assert found.begin > 1
    assert [each.kind for each in found.state] == ["changed", "changed"]
    assert rt.compare(short, one).common == 0
    assert rt.compare(one, short).a.events == one.info().sequence


def test_sessions_with_other_names_did_the_same_and_are_not_identical(rt: Runtime) -> None:
    one, other = rt.create_session(name="one"), rt.create_session(name="other")
    for s in (one, other):
        s.set("k", 1)
    found = rt.compare(one, other)
    assert (found.common, found.a.alone, found.identical) == (2, 0, False)
    assert [each.place for each in found.state] == ["name"]


# -- alignment


def _check(one: list[int], other: list[int]) -> None:
    i = j = 0
    for tag, i1, i2, j1, j2 in opcodes(one, other):
        assert (i1, j1) == (i, j)
        assert {"equal": i2 > i1 and one[i1:i2] == other[j1:j2], "replace": i2 > i1 and j2 > j1,
                "delete": i2 > i1 and j2 == j1, "insert": i2 == i1 and j2 > j1}[tag]  # fmt: skip
        i, j = i2, j2
    assert (i, j) == (len(one), len(other))


@settings(max_examples=200)
@given(SMALL, SMALL)
def test_alignments_cover_both_and_are_no_worse_than_difflib(one: list[int], other: list[int]) -> None:
    _check(one, other)
    mine = sum(each.end - each.begin for each in opcodes(one, other) if each.tag == "equal")
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    assert mine >= sum(block.size for block in matcher.get_matching_blocks())


@settings(max_examples=200)
@given(SMALL, SMALL)
def test_alignments_of_long_sequences_cover_both_too(one: list[int], other: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(alignment, "_MAX_CELLS", 6)
        _check(one, other)


def test_a_hundred_thousand_items_are_aligned() -> None:
    one = [number % 7 for number in range(100_000)]
    other = [*one[:50_000], 99, *one[50_007:]]
    _check(one, other)
    same = sum(block.end - block.begin for block in opcodes(one, other) if block.tag == "equal")
    assert same >= 99_000


def test_what_is_random_is_aligned_within_the_bounds(shared: Runtime) -> None:
    import random

    chance = random.Random(1)
    for top in (2, 50, 100_000):
        _check(*([chance.randrange(top) for _ in range(30_000)] for _ in range(2)))
