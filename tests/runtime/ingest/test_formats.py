"""What counts as a conversation, and how its turns come out."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.runtime.ingest.formats import conversation_of
from greenroom.runtime.ingest.records import Turn, UnknownRecord

CALLS = [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]


def turns(*messages: dict[str, Any]) -> list[Turn]:
    return conversation_of({"messages": list(messages)}).turns


def test_openai_fields_go_where_they_belong_and_others_to_metadata() -> None:
    first, second, third = turns(
        {"role": "user", "content": "hi", "name": "ada", "weight": 0},
        {"role": "assistant", "content": None, "tool_calls": CALLS},
        {"role": "tool", "content": "found", "tool_call_id": "call_1"},
    )
    assert (first.role, first.content, first.name, first.metadata) == ("user", "hi", "ada", {"weight": 0})
    assert (second.content, second.tool_calls, second.text) == (None, CALLS, "")
    assert (third.tool_call_id, third.text, third.metadata) == ("call_1", "found", {})


def test_the_text_of_parts_is_their_texts_and_nothing_else() -> None:
    parts = [
        {"type": "text", "text": "a\n"},
        {"type": "image_url", "image_url": {"url": "x"}},
        "b",
        {"text": "c"},
    ]
    (turn,) = turns({"role": "user", "content": parts})
    assert turn.content == parts
    assert turn.text == "a\nbc"


def test_other_keys_of_the_record_are_kept() -> None:
    conversation = conversation_of({"messages": [{"role": "user", "content": ""}], "tools": [1], "id": "x"})
    assert (conversation.format, conversation.extra) == ("openai-chat", {"tools": [1], "id": "x"})


def test_a_bare_list_is_openai_chat() -> None:
    assert conversation_of([{"role": "user", "content": "x"}]).format == "openai-chat"


@pytest.mark.parametrize(
    ("speaker", "role"),
    [
        ("human", "user"),
        ("gpt", "assistant"),
        ("GPT", "assistant"),
        ("system", "system"),
        ("observation", "tool"),
        ("function-response", "tool"),
        ("function_call", "assistant"),
        ("narrator", "narrator"),
    ],
)
def test_sharegpt_speakers_become_roles(speaker: str, role: str) -> None:
    conversation = conversation_of({"conversations": [{"from": speaker, "value": " x "}]})
    assert conversation.format == "sharegpt"
    (turn,) = conversation.turns
    assert (turn.role, turn.content) == (role, " x ")
    assert turn.metadata == ({} if role == speaker else {"from": speaker})


def test_swe_agent_history_is_the_conversation_and_its_ids_are_tool_call_ids() -> None:
    conversation = conversation_of(
        {
            "environment": "env",
            "trajectory": [{"action": "ls"}],
            "history": [
                {"role": "assistant", "content": "t", "thought": "t", "agent": "main", "tool_calls": CALLS},
                {"role": "tool", "content": [{"type": "text", "text": "out"}], "tool_call_ids": ["call_1"]},
            ],
        }
    )
    assert conversation.format == "swe-agent"
    assert conversation.extra == {
        "environment": "env",
        "trajectory": [{"action": "ls"}],
    }  # it is no step of this history
    assert conversation.turns[0].metadata == {"thought": "t", "agent": "main"}
    assert (conversation.turns[1].tool_call_id, conversation.turns[1].text) == ("call_1", "out")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "no conversation"),
        ({"messages": "hello"}, "no conversation"),
        ({"mapping": {}}, "no conversation"),
        ({"role": "user", "content": "x"}, "single message"),
        ({"messages": []}, "no messages"),
        ([], "no messages"),
        ({"messages": ["x", "y"]}, "message 0 is not an object"),
        ({"messages": [{"content": "x"}]}, "message 0 has no role"),
        ({"messages": [{"role": 7, "content": "x"}]}, "message 0 has no role"),
        ({"conversations": [{"from": None, "value": "x"}]}, "message 0 does not say who"),
    ],
)
def test_what_is_no_conversation_is_refused_with_the_place(value: Any, words: str) -> None:
    with pytest.raises(UnknownRecord, match=words):
        conversation_of(value)
