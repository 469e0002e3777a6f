"""Differences of moments name each change by its path, and nothing where nothing changed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.runtime import ReplayError, Runtime, Session, ValidationError, messages
from greenroom.runtime.handles.debugging.values import differences, similarity

TEXTS = st.text(max_size=12) | st.sampled_from(["\ud800", "a\nb\nc", "x" * 5000, ""])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def shown(session: Session, before: int, after: int | None = None) -> list[tuple[str, str]]:
    return [(each.kind, each.place) for each in session.diff(before, after).changes]


def test_every_part_of_a_session_is_compared(rt: Runtime) -> None:
    s = rt.create_session(name="a", tags=["old"], metadata={"k": 1})
    s.set("v", {"deep": [1, {"b": b"one"}], "same": 1})
    turn = s.add_message("user", "hello", tool_calls=[{"id": "1"}]).sequence
    gone = s.add_message("user", "gone").sequence
    s.store_artifact("note", "a.txt", b"one")
    before = s.info().sequence
    s.rename("b")
    s.add_tag("new")
    s.update_metadata({"k": 2})
    s.update_config(max_artifacts=7)
    s.set("v", {"deep": [1, {"b": b"two"}], "same": 1})
    s.edit_message(turn, content="hallo")
    s.retract_message(gone)
    s.store_artifact("note", "a.txt", b"two")
    s.records.put("r", 1)
    s.ask_human("Which?")
    after = s.info().sequence
    assert shown(s, before) == [
        ("added", f"approvals.{after}"),
        ("added", "artifacts.a.txt (version 2)"),
        ("added", "config.max_artifacts"),
        ("changed", f"messages.{turn}.content"),
        ("removed", f"messages.{gone}"),
        ("changed", "metadata.k"),
        ("changed", "name"),
        ("added", "records.r"),
        ("added", "tags.new"),
        ("changed", "variables.v.deep.1.b"),
    ]
    back = s.diff(after, before)
    assert {(each.kind, each.place) for each in back.changes} == {
        ({"added": "removed", "removed": "added", "changed": "changed"}[kind], place)
        for kind, place in shown(s, before)
    }
    assert not s.diff(after, after)
    assert str(s.diff(after)) == "no difference"
    assert '~ name: "a" -> "b"' in str(s.diff(before))
    assert [each.after for each in s.diff(before).of("metadata")] == [2]
    json.dumps(s.diff(before).to_dict())


def test_moments_are_sequences_or_times(rt: Runtime) -> None:
    s = rt.create_session()
    s.set("k", 1)
    when = list(s.events())[-1].timestamp
    s.set("k", 2)
    assert shown(s, 2, 3) == shown(s, when) == shown(s, when.isoformat(), 3) == [("changed", "variables.k")]  # type: ignore[arg-type]
    for wrong in (0, 99, -1, True, None, object(), when.replace(tzinfo=None)):
        with pytest.raises((ReplayError, ValidationError)):
            s.diff(wrong)  # type: ignore[arg-type]
    with pytest.raises(ReplayError):
        s.diff(when - timedelta(days=9))


def test_large_values_are_compared_by_their_hash_and_shown_short(rt: Runtime) -> None:
    s = rt.create_session()
    s.set("text", "a" * 500_000)
    s.set("list", list(range(50_000)))
    s.set("bytes", b"\x00" * 500_000)
    s.add_message("user", "long " * 200_000)
    before = s.info().sequence
    s.set("text", "a" * 499_999 + "b")
    s.set("list", [*range(49_999), -1])
    s.set("bytes", b"\x00" * 499_999 + b"\x01")
    s.edit_message(s.messages()[0].sequence, content="long " * 199_999)
    diff = s.diff(before)
    assert [each.place for each in diff.changes] == [
        "messages.5.content", "variables.bytes", "variables.list", "variables.text"
    ]  # fmt: skip
    assert len(json.dumps(diff.to_dict())) < 10_000
    assert all(len(line) < 600 for line in str(diff).splitlines())


def test_no_more_than_a_thousand_differences_are_listed(rt: Runtime) -> None:
    s = rt.create_session()
    with s.batch() as b:
        for number in range(1500):
            b.set(f"k{number}", number)
    diff = s.diff(1)
    assert (len(diff), diff.complete) == (1000, False)
    assert str(diff).endswith("... and more")


@settings(max_examples=150)
@given(VALUES, VALUES)
def test_there_are_differences_exactly_where_values_differ(one: Any, other: Any) -> None:
    assert differences(one, one) == ([], True)
    assert similarity(one, one) == 1.0
    found, _ = differences({"k": one}, {"k": other})
    assert (not found) == (_exact(one) == _exact(other)) == (similarity(one, other) == 1.0)
    assert 0.0 <= similarity(one, other) <= 1.0
    json.dumps([each.to_dict() for each in found])
    assert all(str(each).isprintable() or "\n" not in str(each) for each in found)


def _exact(value: Any) -> Any:
    """A value in which true, 1 and 1.0 are not equal."""
    if isinstance(value, dict):
        return {key: _exact(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_exact(each) for each in value]
    return type(value).__name__, value


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from("abc"), VALUES), min_size=1, max_size=6))
def test_a_difference_names_what_a_change_set(shared: Runtime, steps: list[tuple[str, Any]]) -> None:
    s = shared.create_session()
    for key, value in steps:
        before = s.get(key, messages.ABSENT)
        s.set(key, value)
        sequence = s.info().sequence
        found = s.diff(sequence - 1, sequence).changes
        assert bool(found) == (_exact(before) != _exact(value))
        assert {each.path[:2] for each in found} <= {("variables", key)}
        assert not s.diff(sequence, sequence)


def test_similarity_grows_with_what_is_the_same() -> None:
    whole = {"a": 1, "b": [1, 2, 3], "c": "a longer text"}
    assert similarity(whole, whole) == 1.0
    near, far = similarity(whole, {**whole, "c": "a longer test"}), similarity(whole, {**whole, "c": "no", "b": []})
    assert 0.9 < near < 1.0
    assert 0.0 < far < near
    assert similarity(1, "1") == similarity({}, {"a": 1}) == 0.0
    assert similarity("x" * 100_000, "x" * 99_999 + "y") < 1.0
