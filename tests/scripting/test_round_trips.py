"""What goes into a script and comes out again is the same, or an error: never another value."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from greenroom.runtime import Runtime, ScriptError, Session, ValidationError

_EDGES = [0, 127, 128, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 5, 2**64 - 1, -1, -(2**31) - 1, -(2**63)]
_NUMBERS = st.sampled_from(_EDGES) | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def runtime() -> Any:
    with Runtime.open() as rt:
        yield rt


@pytest.fixture(scope="module")
def session(runtime: Runtime) -> Session:
    return runtime.create_session()


def same(one: Any, other: Any) -> bool:
    """Equal, with integers and floats apart and the sign of zero kept."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@settings(deadline=None, max_examples=150)
@given(_VALUES)
@example({"id": 2**63 + 5, "deep": [{"id": 2**64 - 1}]})
@example([None, [], {}, -0.0])
def test_a_value_comes_back_from_a_script_as_it_went_in(runtime: Runtime, session: Session, value: Any) -> None:
    session.set("in", {"v": value})
    source = "local box, arg = State.get('in'), ...; State.set('out', box); return { box.v, arg }"
    given_back = runtime.run_script(source, session=session, args=[[value]]).value
    assert same(session.get("out"), {"v": value})
    if value is not None:
        assert same(given_back[0], value)
        assert same(given_back[-1], [value])


@settings(deadline=None, max_examples=100)
@given(_VALUES)
def test_json_keeps_what_a_value_is(runtime: Runtime, value: Any) -> None:
    text = json.dumps([value])
    given_back = runtime.run_script("return JSON.stringify(JSON.parse((...)))", args=[text]).value
    assert same(json.loads(given_back), [value])


def test_an_integer_that_lua_has_none_of_shows_its_digits(runtime: Runtime, session: Session) -> None:
    session.set("big", 2**64 - 2)
    source = "local v = State.get('big'); return { tostring(v), 'n=' .. v, v == State.get('big') }"
    assert runtime.run_script(source, session=session).value == [str(2**64 - 2), f"n={2**64 - 2}", True]


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30])
def test_integers_beyond_64_bits_are_errors(runtime: Runtime, session: Session, number: int) -> None:
    session.set("huge", [number])
    with pytest.raises((ScriptError, ValidationError), match="64 bits"):
        runtime.run_script("return State.get('huge')", session=session)
    with pytest.raises((ScriptError, ValidationError), match="64 bits"):
        runtime.run_script("return ...", args=[number])
    with pytest.raises(ScriptError, match="64 bits"):
        runtime.run_script(f"return JSON.parse('{number}')")


def test_keys_that_would_fall_together_are_errors(runtime: Runtime, session: Session) -> None:
    for write in ("State.set('k', t)", "JSON.stringify(t)"):
        with pytest.raises(ScriptError, match="would become one"):
            runtime.run_script(f"local t = {{ [1] = 'a', ['1'] = 'b', x = 1 }}; {write}", session=session)


@pytest.mark.parametrize(
    ("thrown", "told"),
    [
        ("{ reason = 'too much' }", '{"reason":"too much"}'),
        ("{ message = 'too much' }", "too much"),
        ("setmetatable({}, { __tostring = function() return 'too much' end })", "too much"),
    ],
)
def test_an_error_object_is_told_by_what_it_says(runtime: Runtime, thrown: str, told: str) -> None:
    with pytest.raises(ScriptError) as caught:
        runtime.run_script(f"error({thrown})")
    assert told in str(caught.value)
    assert "0x" not in str(caught.value)
