"""Values go into JavaScript and come back the same, or there is an error: never another value."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from greenroom.runtime import Runtime, ScriptError, Session, ValidationError
from greenroom.scripting.definition.values import UNDEFINED
from greenroom.scripting.js.values import decode, encode, weight

_EDGES = [0, 127, 2**31, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -1, -(2**53) - 1, -(2**63)]
_NUMBERS = st.sampled_from(_EDGES) | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_TEXTS = st.text(max_size=12) | st.sampled_from(["$b", "$", "$$", "$u", "__proto__", "toJSON", "constructor", "\ud800"])
_KEYS = _TEXTS.filter(lambda key: key != "toJSON")
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS | st.binary(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Equal, where a whole number may have been a float: JavaScript has one kind of number."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, float) or isinstance(other, float):
        return bool(one == other) and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)


@settings(deadline=None, max_examples=100)
@given(_VALUES)
@example({"$b": 1, "$$x": {"$u": 0}, "a": [{"$n": "NaN"}]})
@example([None, [], {}, -0.0, b"", b"\x00\xff", 1e300, 5e-324])
@example({"id": 2**63 + 5, "deep": [{"id": 2**64 - 1}, 9007199254740993]})
def test_a_value_comes_back_as_it_went_in(shared_runtime: Runtime, value: Any) -> None:
    source = "return [arguments[0], arg[1]]"
    given_back = shared_runtime.run_script(source, language="js", args=[[value]]).value
    assert same(given_back, [[value], [value]])


@pytest.fixture(scope="module")
def session(shared_runtime: Runtime) -> Session:
    return shared_runtime.create_session()


@settings(deadline=None, max_examples=50)
@given(
    st.recursive(
        st.none() | st.booleans() | _NUMBERS | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_state_keeps_what_scripts_read_and_write(shared_runtime: Runtime, session: Session, value: Any) -> None:
    session.set("in", {"v": value})
    shared_runtime.run_script("State.set('out', State.get('in'))", language="js", session=session)
    assert same(session.get("out"), {"v": value})


def test_the_words_for_what_json_does_not_have() -> None:
    held: list[bytes] = []
    assert encode([b"x", UNDEFINED, math.nan, -math.inf, 2**60, b""], held, 5) == (
        b'[{"$b": 5}, {"$u": 0}, {"$n": "NaN"}, {"$n": "-Infinity"}, {"$i": "1152921504606846976"}, {"$b": -1}]'
    )
    assert held == [b"x"]
    assert decode('{"$b":"\\u00ff"}') == b"\xff"
    assert decode('[{"$u":0},{"$$b":1}]') == [UNDEFINED, {"$b": 1}]
    assert decode('{"$f":3}', lambda number: f"function {number}") == "function 3"


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, object(), {"a": {1, 2, object()}}])
def test_what_scripts_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        encode([value], [])


@pytest.mark.parametrize("text", ["", "[", "nul", "[" * 100_000, "1" * 5000, '"\\ud8"'])
def test_a_text_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        decode(text)


def test_what_a_text_weighs_in_the_host_is_known_before_it_is_read() -> None:
    assert weight('"' + "," * 1000 + '"') < 1100
    assert weight("[" + "[]," * 1000 + "[]]") > 64_000


REFUSED = {
    "2n ** 64n": "beyond 64 bits",
    "-(2n ** 63n) - 1n": "beyond 64 bits",
    "Symbol('x')": "symbol",
    "() => 1": "function",
    "new Map()": "Map or Set",
    "new Set()": "Map or Set",
    "Promise.resolve(1)": "await it",
    "new Date(NaN)": "no date",
    "(() => { const o = {}; o.o = o; return o })()": "contains itself",
    "[1, { a: 2n ** 70n }]": "beyond 64 bits",
}


@pytest.mark.parametrize(("source", "message"), REFUSED.items())
def test_what_the_host_cannot_hold_is_an_error_of_the_script(js: Any, source: str, message: str) -> None:
    with pytest.raises(ScriptError, match=message) as caught:
        js(f"\n\nState.set('x', {source})")
    assert (caught.value.fields["cause"], caught.value.fields["line"]) == ("ValidationError", 3)


def test_values_of_the_language_become_neutral_ones(js: Any) -> None:
    source = """return [
      new Date(0), new Uint8Array([1, 2]), new Uint16Array([258]), new Uint8Array([1, 2, 3, 4]).subarray(1, 3),
      new ArrayBuffer(2), [undefined, null], { a: undefined, b: null }, 1e20, 10n, -0, 'é🦐',
      { toJSON() { return 'own' } }, Object.create(null), new (class { constructor() { this.x = 1 } })(),
      new TypeError('wrong'),
    ]"""
    assert js(source) == [
        "1970-01-01T00:00:00.000Z",
        b"\1\2",
        b"\2\1",
        b"\2\3",
        b"\0\0",
        [None, None],
        {"b": None},
        1e20,
        10,
        -0.0,
        "é🦐",
        "own",
        {},
        {"x": 1},
        {"code": "TypeError", "message": "wrong"},
    ]


def test_integers_beyond_2_53_are_bigints(js: Any) -> None:
    source = "return arguments.map(each => typeof each + ' ' + each)"
    assert js(source, args=[2**53, 2**53 + 1, -(2**63), 5, 2.5]) == [
        "number 9007199254740992",
        "bigint 9007199254740993",
        "bigint -9223372036854775808",
        "number 5",
        "number 2.5",
    ]


def test_bytes_are_uint8arrays_and_cheap(js: Any) -> None:
    assert js(
        "const b = arguments[0]; return [b instanceof Uint8Array, b.length, b[3]]", args=[bytes(range(256)) * 4000]
    ) == [
        True,
        1_024_000,
        3,
    ]


def test_getters_and_proxies_are_asked_as_objects(js: Any) -> None:
    source = """
      let asked = 0
      State.set('p', new Proxy({ a: 1 }, { get(t, k) { asked++; return t[k] } }))
      State.set('g', { get x() { return 'got' } })
      return [State.get('p'), State.get('g'), asked > 0]"""
    assert js(source) == [{"a": 1}, {"x": "got"}, True]
