"""What has changed in a request is told as people think of it."""

from __future__ import annotations

import json
from typing import Any

from greenroom.runtime.cassettes.changes import changes_between


def chat(**fields: Any) -> dict[str, Any]:
    body = {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "You are a clerk.\nRefund within 14 days."},
            {"role": "user", "content": "Refund order 7."},
        ],
        **fields,
    }
    return {
        "method": "POST",
        "url": "https://api.openai.com/v1/chat/completions",
        "headers": [],
        "body": json.dumps(body).encode(),
    }


def changed(a: dict[str, Any], b: dict[str, Any]) -> str:
    return "\n".join(changes_between("http", a, b))


def test_nothing_is_said_of_requests_that_are_the_same() -> None:
    assert changed(chat(), chat()) == ""


def test_another_model_and_other_parameters() -> None:
    assert changed(chat(temperature=0), chat(model="gpt-5", temperature=1, top_p=0.5)) == (
        "model:\n- gpt-4o\n+ gpt-5\ntemperature:\n- 0\n+ 1\ntop_p: new\n+ 0.5"
    )


def test_another_line_of_the_system_prompt() -> None:
    other = [{"role": "system", "content": "You are a clerk.\nRefund within 30 days."}, chat_messages()[1]]
    assert changed(chat(), chat(messages=other)) == "system:\n- Refund within 14 days.\n+ Refund within 30 days."


def chat_messages() -> list[Any]:
    messages: list[Any] = json.loads(chat()["body"])["messages"]
    return messages


def test_a_message_that_came_in_between_does_not_change_the_others() -> None:
    tail = [{"role": "assistant", "content": "Which kettle?"}, {"role": "user", "content": "The red one."}]
    new = {"role": "user", "content": "Please."}
    a = chat(messages=[*chat_messages(), *tail])
    b = chat(messages=[*chat_messages(), new, *tail])
    assert changed(a, b) == "message 2 (user): new\n+ Please."
    assert changed(b, a) == "message 2 (user): gone\n- Please."


def test_arguments_and_results_of_tools() -> None:
    def called(city: str, result: str) -> list[Any]:
        call = {
            "id": "c1",
            "type": "function",
            "function": {"name": "weather", "arguments": json.dumps({"city": city})},
        }
        return [
            *chat_messages(),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": result},
        ]

    assert changed(chat(messages=called("Oslo", "cold")), chat(messages=called("Rome", "warm"))) == (
        'message 2 (assistant):\n- calls weather({"city": "Oslo"})\n+ calls weather({"city": "Rome"})\n'
        "message 3 (tool):\n- result of c1: cold\n+ result of c1: warm"
    )


def test_tools_that_are_offered() -> None:
    def tool(name: str, about: str) -> dict[str, Any]:
        return {"type": "function", "function": {"name": name, "description": about}}

    a = chat(tools=[tool("weather", "The weather."), tool("refund", "Refunds.")])
    b = chat(tools=[tool("weather", "The weather now."), tool("search", "Finds.")])
    assert changed(a, b) == (
        "tool refund: no longer offered\ntool search: offered now\n"
        "tool weather.function.description:\n- The weather.\n+ The weather now."
    )


def test_of_a_long_line_what_lies_around_the_change_is_shown() -> None:
    text = "word " * 100
    lines = changed(
        chat(messages=[{"role": "user", "content": text + "old " + text}]),
        chat(messages=[{"role": "user", "content": text + "new " + text}]),
    ).splitlines()
    assert lines[0] == "message 1 (user):"
    assert all(len(line) < 170 for line in lines)
    assert "old" in lines[1]
    assert "new" in lines[2]


def test_other_requests_are_told_by_url_and_body() -> None:
    a = {"method": "POST", "url": "https://x.test/a", "headers": [], "body": b'{"q": {"n": 1}, "l": [1, 2]}'}
    b = {"method": "POST", "url": "https://x.test/b", "headers": [], "body": b'{"q": {"n": 2}, "l": [1]}'}
    assert (
        changed(a, b) == "url:\n- https://x.test/a\n+ https://x.test/b\nbody.q.n:\n- 1\n+ 2\nbody.l:\n- [1, 2]\n+ [1]"
    )
    assert changed({**a, "body": b"\xff"}, {**a, "body": b"\xff\xfe"}) == "body:\n- <1 bytes>\n+ <2 bytes>"


def test_arguments_of_a_tool_of_the_program() -> None:
    assert changes_between("tool", {"arguments": {"city": "Oslo"}}, {"arguments": {"city": "Rome"}}) == [
        "arguments.city:",
        "- Oslo",
        "+ Rome",
    ]


def test_a_long_list_of_changes_is_cut() -> None:
    a = {"arguments": {f"n{at}": at for at in range(200)}}
    lines = changes_between("tool", a, {"arguments": {f"n{at}": -1 for at in range(200)}})
    assert len(lines) == 61
    assert lines[-1].startswith("… and ")
