"""Patterns for event types: `*` is one segment, `**` any number of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime import Runtime, ValidationError
from greenroom.storage.events.pattern import EventPattern


@pytest.mark.parametrize(
    ("pattern", "fitting", "other"),
    [
        ("**", ["a", "a.b", "artifact.stored"], []),
        ("*", ["a"], ["a.b"]),
        ("artifact.*", ["artifact.stored"], ["artifact", "artifact.a.b", "artifacts.stored"]),
        ("custom.**", ["custom", "custom.a", "custom.a.b"], ["customs", "a.custom"]),
        ("**.failed", ["failed", "session.failed", "a.b.failed"], ["failed.a", "notfailed"]),
        ("a.**.z", ["a.z", "a.b.z", "a.b.c.z", "a.z.z"], ["a", "z", "a.b", "a.z.b"]),
        ("tool.re*", ["tool.returned", "tool.re"], ["tool.called", "tool.re.x"]),
        ("session.created", ["session.created"], ["session.createdx", "session.*"]),
    ],
)
def test_what_patterns_match(pattern: str, fitting: list[str], other: list[str]) -> None:
    matches = EventPattern(pattern).matches
    assert [each for each in fitting if not matches(each)] == []
    assert [each for each in other if matches(each)] == []


def _by_definition(pattern: Sequence[str], segments: Sequence[str]) -> bool:
    if not pattern:
        return not segments
    if pattern[0] == "**":
        return any(_by_definition(pattern[1:], segments[at:]) for at in range(len(segments) + 1))
    if not segments:
        return False
    expression = "".join(".*" if each == "*" else re.escape(each) for each in pattern[0])
    return re.fullmatch(expression, segments[0]) is not None and _by_definition(pattern[1:], segments[1:])


_SEGMENT = st.text("ab", min_size=1, max_size=3)


@given(
    st.lists(st.one_of(_SEGMENT, st.sampled_from(["*", "**", "a*", "*b", "a*b"])), min_size=1, max_size=5),
    st.lists(_SEGMENT, min_size=1, max_size=5),
)
def test_a_pattern_matches_what_its_definition_says(pattern: list[str], segments: list[str]) -> None:
    assert EventPattern(".".join(pattern)).matches(".".join(segments)) == _by_definition(pattern, segments)


def test_no_pattern_takes_long() -> None:
    hostile = "**.*a*a*a*." * 20 + "c"
    assert not EventPattern(hostile).matches("a" * 20 + ".a" * 100 + ".b")


@pytest.mark.parametrize("pattern", ["", ".", "a.", ".a", "a..b", "x" * 256, 7, None])
def test_what_can_match_no_type_is_refused(shared_runtime: Runtime, pattern: object) -> None:
    with pytest.raises(ValidationError) as refused:
        shared_runtime.events.subscribe(pattern)  # type: ignore[arg-type]
    assert refused.value.field == "pattern"
