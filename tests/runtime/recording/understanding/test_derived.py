"""A recorded run has the conversation and the calls of any other session, each once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import InvalidSessionState, Runtime, Session
from greenroom.runtime.recording.understanding.derived import Understanding, understand

from .runs import START, Run, conversation, events, result, says, user


@pytest.fixture
def s(rt: Runtime) -> Session:
    return rt.create_session()


def agent(run: Run) -> None:
    """Record an agent that looks up the weather."""
    messages = [user("The weather in Rome?")]
    messages = run.chat(messages, says(None, ("c1", "weather", {"city": "Rome"})), temperature=0)
    messages = run.chat([*messages, result("c1", "sunny")], says("It is sunny."))
    run.chat([*messages, user("Thanks!")], says("You are welcome."))


def test_a_growing_conversation_is_added_once(s: Session) -> None:
    agent(Run(s))
    assert understand(s) == 3
    assert conversation(s) == [
        ("user", "The weather in Rome?"),
        ("assistant", ""),
        ("tool", "sunny"),
        ("assistant", "It is sunny."),
        ("user", "Thanks!"),
        ("assistant", "You are welcome."),
    ]
    calls = s.messages()[1].tool_calls
    assert isinstance(calls, list)
    assert calls[0]["id"] == "c1"  # type: ignore[index, call-overload]


def test_calls_have_usage_and_cost_and_name_their_crossing(s: Session) -> None:
    agent(Run(s))
    understand(s)
    crossings = [event.sequence for event in s.events() if event.type == "recording.crossing"]
    called, returned = events(s, "agent.called"), events(s, "agent.returned")
    assert [each["crossing"] for each in called] == crossings
    assert [each["crossing"] for each in returned] == crossings
    first = called[0]
    assert (first["name"], first["model"], first["provider"]) == ("gpt-4o", "gpt-4o", "openai")
    assert (first["system_prompt"], first["parameters"]) == ("Be brief.", {"temperature": 0})
    assert (first["place"], first["time"]) == ("agent.py:1 in step", START + 10**9)
    ended = returned[0]
    assert (ended["success"], ended["duration"], ended["finish_reason"]) == (True, 0.25, "stop")
    assert ended["usage"] == {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
    assert ended["cost_microusd"] == 350
    assert ended["result"]["data"]["tool_calls"] == [{"id": "c1", "name": "weather", "arguments": {"city": "Rome"}}]
    assert returned[1]["result"]["text"] == "It is sunny."


def test_a_tool_whose_result_is_sent_back_was_called(s: Session) -> None:
    agent(Run(s))
    understand(s)
    (called,), (returned,) = events(s, "tool.called"), events(s, "tool.returned")
    assert (called["name"], called["input"], called["tool_call"]) == ("weather", {"city": "Rome"}, "c1")
    assert (returned["success"], returned["result"]) == (True, "sunny")


def test_a_tool_that_crossed_a_boundary_is_told_once(s: Session) -> None:
    run = Run(s)
    messages = run.chat([user("Rome?")], says(None, ("c1", "weather", {"city": "Rome"})))
    run.tool("weather", {"city": "Rome"}, value="sunny")
    run.chat([*messages, result("c1", "sunny")], says("It is sunny."))
    understand(s)
    (called,), (returned,) = events(s, "tool.called"), events(s, "tool.returned")
    assert (called["name"], called["input"], returned["result"]) == ("weather", {"city": "Rome"}, "sunny")
    assert returned["duration"] == 0.25
    assert events(s, "agent.called")[1]["results"] == [called["crossing"]]


def test_a_tool_that_raised_is_a_call_that_failed(s: Session) -> None:
    run = Run(s)
    run.tool("charge", {"cents": 5}, error={"module": "builtins", "name": "ValueError", "args": [], "text": "no"})
    given = {"server": "shop", "method": "tools/call", "arguments": {"id": 1}}
    run.crossing("mcp", "shop/find", given, {"value": {"content": [], "isError": True}})
    run.crossing("mcp", "tools/list shop", {"server": "shop", "method": "tools/list"}, {"value": {"tools": []}})
    understand(s)
    first, second = events(s, "tool.returned")
    assert (first["success"], first["error"]) == (False, {"code": "ValueError", "message": "no"})
    assert (second["name"], second["success"]) == ("shop/find", False)


def test_an_error_and_its_retry_add_the_question_once(s: Session) -> None:
    run = Run(s)
    run.chat([user("Rome?")], None)
    run.chat([user("Rome?")], says("A city."))
    understand(s)
    assert conversation(s) == [("user", "Rome?"), ("assistant", "A city.")]
    failed, answered = events(s, "agent.returned")
    assert (failed["success"], failed["error"]) == (
        False,
        {"code": "rate_limit", "message": "slow down", "status": "429"},
    )
    assert "cost_microusd" not in failed
    assert answered["success"]


def test_agents_beside_each_other_do_not_mix(s: Session) -> None:
    run = Run(s)
    one, two = [user("Question of the first")], [user("Question of the second")]
    for turn in range(4):
        one = run.chat(one, says(f"first {turn}"))
        two = run.chat(two, says(f"second {turn}"))
        one, two = [*one, user(f"more of the first {turn}")], [*two, user(f"more of the second {turn}")]
    understand(s)
    assert all("second" not in text for _, text in conversation(s))
    assert len(s.messages()) == 8
    called = events(s, "agent.called")
    assert [each["thread"] for each in called] == [1, 2] * 4
    assert [each["content"] for each in called[5]["input"]["messages"]] == [
        "Question of the second", "second 0", "more of the second 0", "second 1", "more of the second 1",
    ]  # fmt: skip
    assert called[4]["input"] is None  # it is the conversation of the session


def test_the_longest_conversation_becomes_the_sessions(s: Session) -> None:
    run = Run(s)
    run.chat([user("Give this talk a title")], says("Weather"))
    messages = [user("The weather?")]
    for turn in range(4):
        messages = [*run.chat(messages, says(f"answer {turn}")), user(f"question {turn}")]
    understand(s)
    assert conversation(s)[0] == ("user", "The weather?")
    assert conversation(s)[-1] == ("assistant", "answer 3")
    assert len(s.messages()) == 8


def test_a_second_answer_takes_the_place_of_the_first_once_it_goes_on(s: Session) -> None:
    run = Run(s)
    begin = [user("Tell a joke")]
    run.chat(begin, says("A bad one"))
    better = run.chat(begin, says("A good one"))
    run.chat([*better, user("Another")], says("An old one"))
    understand(s)
    assert [text for _, text in conversation(s)] == ["Tell a joke", "A good one", "Another", "An old one"]


def test_a_conversation_that_is_cut_short_goes_on(s: Session) -> None:
    run = Run(s)
    messages: list[dict[str, Any]] = []
    for turn in range(8):
        messages = run.chat([*messages, user(f"question {turn}")], says(f"answer {turn}"))
        messages = messages[-4:]  # a sliding window
    understand(s)
    assert [text for _, text in conversation(s)] == [
        text for turn in range(8) for text in (f"question {turn}", f"answer {turn}")
    ]
    assert len(events(s, "agent.called")[-1]["input"]["messages"]) == 5


def test_a_conversation_that_is_summed_up_goes_on(s: Session) -> None:
    run = Run(s)
    messages: list[dict[str, Any]] = []
    for turn in range(5):
        messages = run.chat([*messages, user(f"question {turn}")], says(f"answer {turn}"))
    messages = run.chat([user("So far: five questions."), *messages[-4:], user("question 5")], says("answer 5"))
    run.chat([*messages, user("question 6")], says("answer 6"))
    understand(s)
    assert [text for _, text in conversation(s)] == [
        text for turn in range(7) for text in (f"question {turn}", f"answer {turn}")
    ]


def test_results_that_are_cleared_later_change_nothing(s: Session) -> None:
    run = Run(s)
    messages = [user("Read both files")]
    messages = run.chat(messages, says(None, ("c1", "read", {"file": "a"})))
    messages = run.chat([*messages, result("c1", "long text of a")], says(None, ("c2", "read", {"file": "b"})))
    cleared = [{**each, "content": "[cleared]"} if each["role"] == "tool" else each for each in messages]
    run.chat([*cleared, result("c2", "long text of b")], says("Both read."))
    understand(s)
    assert [text for role, text in conversation(s) if role == "tool"] == ["long text of a", "long text of b"]
    assert [each["tool_call"] for each in events(s, "tool.called")] == ["c1", "c2"]
    assert events(s, "agent.called")[2]["input"]["messages"][2]["content"] == "[cleared]"


def test_what_is_understood_again_is_told_once(s: Session) -> None:
    run = Run(s)
    agent(run)
    understand(s)
    before = [event.id for event in s.events()]
    assert understand(s) == 0
    assert [event.id for event in s.events()] == before


def test_a_recording_is_followed_while_it_grows(s: Session) -> None:
    run, following = Run(s), Understanding(s)
    messages: list[dict[str, Any]] = []
    for turn in range(5):
        messages = run.chat([*messages, user(f"question {turn}")], says(f"answer {turn}"))
        assert following.go_on() == 1
        assert following.go_on() == 0
        if turn == 2:
            following = Understanding(s)
    assert len(s.messages()) == 10
    assert all(each["thread"] == 1 for each in events(s, "agent.called"))


def test_a_second_recording_goes_on_with_the_conversation(s: Session) -> None:
    messages = Run(s).chat([user("Hello")], says("Hi"))
    understand(s)
    Run(s).chat([*messages, user("And now?")], says("Now this"))
    assert understand(s) == 1
    assert [text for _, text in conversation(s)] == ["Hello", "Hi", "And now?", "Now this"]


def test_turns_that_the_host_has_added_stay_and_are_not_doubled(s: Session) -> None:
    s.add_message("user", "Hello")
    run = Run(s)
    messages = run.chat([user("Hello")], says("Hi"))
    s.add_message("assistant", "Hi")
    understand(s)
    s.add_message("user", "And now?")
    run.chat([*messages, user("And now?")], says("Now this"))
    other = [user("Something else")]
    for turn in range(8):
        other = [*run.chat(other, says(f"answer {turn}")), user(f"question {turn}")]
    understand(s)
    assert [text for _, text in conversation(s)] == ["Hello", "Hi", "And now?", "Now this"]


def test_a_session_that_has_ended_takes_nothing_more(s: Session) -> None:
    agent(Run(s))
    s.complete()
    with pytest.raises(InvalidSessionState):
        understand(s)
    assert Understanding(s, quiet=True).go_on() == 0


def test_a_budget_that_is_used_up_stops_no_understanding(store_path: Path) -> None:
    with Runtime.open(store_path, config={"policies": {"resources": {"max_tokens": 120}}}) as rt:
        s = rt.create_session()
        agent(Run(s))
        assert understand(s) == 3


def test_prices_may_be_ones_own(store_path: Path, tmp_path: Path) -> None:
    table = tmp_path / "prices.json"
    table.write_text('{"gpt-4o": {"input": 1, "output": 2}}', "utf-8")
    with Runtime.open(store_path, config={"prices": table}) as rt:
        by_setting, by_call = rt.create_session(), rt.create_session()
        for session in (by_setting, by_call):
            Run(session).chat([user("Rome?")], says("A city."))
        understand(by_setting)
        understand(by_call, prices={"gpt-4o": {"input": 3, "output": 3}})
        assert events(by_setting, "agent.returned")[0]["cost_microusd"] == 120
        assert events(by_call, "agent.returned")[0]["cost_microusd"] == 330


def test_conversations_that_the_provider_keeps_are_followed_by_their_responses(s: Session) -> None:
    run = Run(s)

    def respond(number: int, text: str, previous: str | None, reply: str) -> str:
        asked = {"model": "gpt-4o", "input": text, "previous_response_id": previous, "instructions": "Be brief."}
        part = {"type": "output_text", "text": reply, "annotations": []}
        item = {"type": "message", "id": f"msg_{number}", "role": "assistant", "content": [part]}
        answer = {"id": f"resp_{number}", "object": "response", "status": "completed", "output": [item]}
        run.http("https://api.openai.com/v1/responses", asked, answer)
        return f"resp_{number}"

    first = respond(1, "Hello", None, "Hi")
    second = respond(2, "And now?", first, "Now this")
    understand(s)
    respond(3, "And then?", second, "Then that")
    understand(s)
    assert [text for _, text in conversation(s)] == ["Hello", "Hi", "And now?", "Now this", "And then?", "Then that"]
    assert all(each["input"] is None for each in events(s, "agent.called"))


def test_anthropics_blocks_are_the_same_turn_wherever_the_cache_is_marked(s: Session) -> None:
    run = Run(s)
    url = "https://api.anthropic.com/v1/messages"
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}},
    ]

    def message(content: list[dict[str, Any]]) -> dict[str, Any]:
        return {"type": "message", "role": "assistant", "id": "m", "model": "claude-sonnet-4-5", "content": content}

    mark = {"cache_control": {"type": "ephemeral"}}
    text: dict[str, Any] = {"type": "text", "text": "Rome?"}
    given: list[dict[str, Any]] = [{"role": "user", "content": [{**text, **mark}]}]
    run.http(url, {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": given}, message(blocks))
    answer = {"type": "tool_result", "tool_use_id": "t1", "content": "sunny", **mark}
    given = [{"role": "user", "content": "Rome?"}, {"role": "assistant", "content": blocks[1:]}]
    given.append({"role": "user", "content": [answer]})
    said = [{"type": "text", "text": "It is sunny."}]
    run.http(url, {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": given}, message(said))
    understand(s)
    assert [turn.role for turn in s.messages()] == ["user", "assistant", "user", "assistant"]
    exported = s.messages(format="openai")
    assert [each["role"] for each in exported] == ["user", "assistant", "tool", "assistant"]
    (called,) = events(s, "tool.called")
    assert (called["name"], called["input"]) == ("weather", {"city": "Rome"})


def test_gemini_names_tools_without_ids(s: Session) -> None:
    run = Run(s)
    url = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
    call = {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Rome"}}}]}
    given: list[dict[str, Any]] = [{"role": "user", "parts": [{"text": "Rome?"}]}]
    run.http(url, {"contents": given}, {"candidates": [{"content": call, "finishReason": "STOP"}]})
    answer = {"functionResponse": {"name": "weather", "response": {"sky": "sunny"}}}
    given = [*given, call, {"role": "user", "parts": [answer]}]
    reply = {"role": "model", "parts": [{"text": "It is sunny."}]}
    run.http(url, {"contents": given}, {"candidates": [{"content": reply, "finishReason": "STOP"}]})
    run.http(url, {"contents": given}, {"candidates": [{"content": reply, "finishReason": "STOP"}]})
    understand(s)
    assert [turn.role for turn in s.messages()] == ["user", "assistant", "tool", "assistant"]
    (called,), (returned,) = events(s, "tool.called"), events(s, "tool.returned")
    assert (called["name"], called["input"], returned["result"]) == ("weather", {"city": "Rome"}, {"sky": "sunny"})
