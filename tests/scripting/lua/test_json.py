"""JSON.parse and JSON.stringify."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from greenroom.runtime import Runtime, ScriptError

_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=_values, ascii=st.booleans(), indent=st.sampled_from([None, 2]))
@example(value=-0.0, ascii=False, indent=None)
def test_values_round_trip(shared_runtime: Runtime, value: Any, ascii: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii, indent=indent)
    source = "local v = JSON.parse(...) return v, JSON.stringify(v), JSON.stringify(v, 2)"
    parsed, compact, indented = shared_runtime.run_script(source, args=[text]).value
    for copy in (parsed, json.loads(compact), json.loads(indented)):
        assert copy == value
        assert json.dumps(copy, sort_keys=True) == json.dumps(value, sort_keys=True)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "position 1"),
        ('{"a": 1,\n "b" 2}', "position 15 (line 2, column 6)"),
        ("[1, 2", "position 6"),
        ('"abc', "position 1"),
        ('"\\x"', "position 2"),
        ('"\\ud800"', "position 2"),
        ("[1,]", "position 4"),
        ("{a: 1}", "position 2"),
        ("01", "position 1"),
        ("1 2", "position 3"),
        ("nul", "position 1"),
        ("NaN", "position 1"),
        ('"\n"', "position 2"),
    ],
)
def test_an_error_names_its_position(shared_runtime: Runtime, text: str, where: str) -> None:
    with pytest.raises(ScriptError, match="invalid JSON") as caught:
        shared_runtime.run_script("local v = JSON.parse(...) return v", args=[text])
    assert where in str(caught.value)
    assert caught.value.cause == "ValidationError"


@pytest.mark.parametrize("value", ["print", "0/0", "1/0", "'\\xff'", "{ [{}] = 1 }", "{ coroutine.create(print) }"])
def test_what_json_cannot_hold_is_an_error(shared_runtime: Runtime, value: str) -> None:
    with pytest.raises(ScriptError):
        shared_runtime.run_script(f"local s = JSON.stringify({value}) return s")
