"""The grammar of patches: what is understood, and what is said of what is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime.recording.patches.fields import FIELDS, table
from greenroom.runtime.recording.patches.grammar import parse, shown_path
from greenroom.storage.errors import ValidationError


@pytest.mark.parametrize(
    ("text", "target", "operator", "value"),
    [
        ('llm.system+=" Be brief."', "llm.system", "+=", " Be brief."),
        ("llm.system += Be brief. ", "llm.system", "+=", "Be brief."),
        ("llm.model=gpt-x", "llm.model", "=", "gpt-x"),
        ("llm.temperature=0", "llm.temperature", "=", 0),
        ('llm.messages[-1].content="a=b"', "llm.messages[-1].content", "=", "a=b"),
        ("llm.messages.0.content=Hi", "llm.messages[0].content", "=", "Hi"),
        ('llm.messages+={"role": "user", "content": "x"}', "llm.messages", "+=", {"role": "user", "content": "x"}),
        ("del llm.messages[2]", "llm.messages[2]", "del", None),
        ('tool["my.tool"].result=[1]', 'tool["my.tool"].result', "=", [1]),
        ("tool.my-tool.arguments.x=true", "tool.my-tool.arguments.x", "=", True),
        ("http.status=500", "http.status", "=", 500),
        ('response.choices[0].message.content=""', "response.choices[0].message.content", "=", ""),
    ],
)
def test_a_patch_is_a_target_and_a_value_that_is_json_or_text(
    text: str, target: str, operator: str, value: Any
) -> None:
    patch = parse(text)
    assert (patch.target, patch.operator, patch.value, str(patch)) == (target, operator, value, text)


@pytest.mark.parametrize(
    ("text", "position", "told"),
    [
        ("llm.sytem=x", 4, "the nearest is llm.system"),
        ("lm.system=x", 0, "the nearest is llm"),
        ("tool.weather.results=x", 13, "the nearest is tool.result"),
        ("tool.weather=x", 14, "tool.weather.arguments or tool.weather.result"),
        ("tool[0].result=x", 5, "the name of a tool"),
        ("http.stats=1", 5, "the nearest is http.status"),
        ("llm=x", 3, "llm.model"),
        ("llm.system", 10, "= or +="),
        ("llm.system-=x", 10, "= or +="),
        ("llm.system=", 11, "a value is needed"),
        ('llm.system="abc', 11, "begins like JSON"),
        ("llm.messages[x]=1", 13, "a whole number"),
        ("llm.messages[0=1", 14, "a ] is missing"),
        ('llm.messages["a=1', 12, "does not end"),
        ("llm..x=1", 4, "the name of a field"),
        ("", 0, "a field is needed"),
        ("del llm.system=1", 14, "no value"),
    ],
)
def test_what_is_not_understood_is_told_with_its_place(text: str, position: int, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(text)
    assert caught.value.position == position
    assert told in str(caught.value)
    assert f"character {position + 1} of" in str(caught.value)


@given(st.lists(st.one_of(st.text(max_size=9), st.integers(-99, 99)), max_size=6))
def test_a_path_is_read_as_it_is_shown(path: list[str | int]) -> None:
    patch = parse(f"response.x{shown_path(tuple(path))}=1")
    assert patch.path == ("x", *path)


@given(st.text(max_size=40))
def test_no_text_is_more_than_not_understood(text: str) -> None:
    for each in (text, f"llm.system{text}", f"response{text}"):
        assert _position(each) <= len(each)


def _position(text: str) -> int:
    try:
        parse(text)
    except ValidationError as error:
        return int(error.position)
    return 0


def test_the_table_has_every_field() -> None:
    assert all(f"| `{each.path}` |" in table() for each in FIELDS)
