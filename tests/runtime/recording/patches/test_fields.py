"""Every field that a patch can name, in the format of every provider: the examples of the table are run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from greenroom.runtime.recording.patches.answers import answer_of, format_of_crossing
from greenroom.runtime.recording.patches.bodies import request_of
from greenroom.runtime.recording.patches.edit import document, patches_between
from greenroom.runtime.recording.patches.fields import FIELDS, Field
from greenroom.runtime.recording.patches.grammar import parse
from greenroom.runtime.recording.patches.plan import Plan, plan
from greenroom.runtime.recording.patches.requests import RequestChanges
from greenroom.runtime.recording.tape.model import Asked, Crossing
from greenroom.storage.errors import ValidationError

from .recorded import ANTHROPIC, BEDROCK, CHAT, GEMINI, PROVIDERS, RESPONSES, Provider

_NOT = {
    "chat": ("llm.top_k",),
    "responses": ("llm.top_k", "llm.stop", "llm.seed"),
    "anthropic": ("llm.seed",),
    "bedrock invoke": ("llm.seed",),
    "gemini": (),
    "bedrock": ("llm.seed",),
}
"""What a provider's requests do not have."""
_AT = {"response.tool_calls[N].arguments": 1, "tool.NAME.arguments": 1, "tool.NAME.result": 2}
"""The step that an example is about, if not the last one for an answer, or the first call for a request."""


def _planned(texts: Sequence[str], steps: list[Crossing], at: int) -> Plan:
    return plan([parse(each) for each in texts], steps, at)


def _call(changes: RequestChanges, step: Crossing) -> Any:
    """Return the JSON that a call of a fork has, and where it goes."""
    changed = changes(Asked(step.kind, step.name, step.input)) or {}
    return json.loads(changed.get("body") or step.input["body"]), changed.get("url", step.input["url"])


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda each: each.name)
@pytest.mark.parametrize("field", FIELDS, ids=lambda each: each.path)
def test_the_example_of_the_table_changes_what_it_says(field: Field, provider: Provider, streamed: bool) -> None:
    steps = provider.steps(streamed)
    at = _AT.get(field.path, 3 if field.of == "answer" else 0)
    if field.path in _NOT[provider.name]:
        with pytest.raises(ValidationError, match=f"requests have no {field.path[4:]}"):
            _planned([field.example], steps, at)
        return
    found = _planned([field.example], steps, at)
    if found.answer is not None:
        before = steps[at - 1]
        assert found.answer.outcome != before.outcome
        assert found.answer.input == before.input
        return
    changes = RequestChanges(found.requests)
    changed = [changes(Asked(step.kind, step.name, step.input)) for step in steps[at:]]
    assert any(changed)
    assert changes.applied[field.example] >= 1


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda each: each.name)
def test_a_patched_stream_adds_up_to_the_patched_answer(provider: Provider) -> None:
    whole, streamed = provider.steps(), provider.steps(streamed=True)
    for at, text in (
        (3, 'response.text="No."'),
        (3, 'response.text+=" Really."'),
        (3, 'response.tool_calls=[{"name": "weather", "arguments": {"city": "Oslo"}}]'),
        (1, 'response.tool_calls[0].arguments.city="Oslo"'),
        (1, 'tool.weather.arguments.city="Oslo"'),
        (1, "del response.tool_calls"),
    ):
        one, other = (_planned([text], steps, at).answer for steps in (whole, streamed))
        assert one is not None
        assert other is not None
        assert answer_of(other) == answer_of(one)
        assert len(other.outcome["chunks"]) == len(other.outcome["gaps"])
        assert len(other.outcome["chunks"]) <= len(streamed[at - 1].outcome["chunks"])
        assert len(other.ticks) <= 1 + len(other.outcome["chunks"])
        length = sum(map(len, other.outcome["chunks"]))
        assert ["content-length", str(length)] in other.outcome["headers"]


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda each: each.name)
def test_an_answer_as_a_stream_and_back_is_the_same(provider: Provider) -> None:
    for step, answer in zip(provider.steps(streamed=True)[::2], (provider.asks_tool, provider.says), strict=True):
        assert answer_of(step) == answer


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda each: each.name)
def test_what_the_model_wants_to_call_is_the_same_in_every_format(provider: Provider) -> None:
    steps = provider.steps()
    answer = _planned(['response.tool_calls[0].arguments.city="Oslo"', "response.tool_calls[0].name=place"], steps, 1)
    assert answer.answer is not None
    format = format_of_crossing(answer.answer)
    assert format is not None
    (call,) = format.calls(answer_of(answer.answer))
    assert (call.name, call.arguments) == ("place", {"city": "Oslo"})


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda each: each.name)
def test_a_changed_conversation_stays_changed_while_the_program_still_sends_the_old_one(provider: Provider) -> None:
    steps = provider.steps()
    format = format_of_crossing(steps[0])
    assert format is not None
    texts = ["llm.messages[-1].content=And in Oslo?", 'llm.messages+={"role": "assistant", "content": "Hm."}']
    changes = RequestChanges([parse(each) for each in texts])
    first, _ = _call(changes, steps[0])
    second, _ = _call(changes, steps[2])
    old = format.messages(provider.asked)
    said = format.messages(first)
    assert len(said) == len(old) + 1
    assert "Oslo" in json.dumps(said[-2])
    assert said[-1] == format.message("assistant", "Hm.")
    assert format.messages(second) == said + format.messages(provider.asked_again)[len(old) :]
    other = {**provider.asked, format.conversation: [format.message("user", "Something else")]}
    assert _call(changes, provider.crossing(4, other, provider.says))[0] == other


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda each: each.name)
def test_a_result_that_the_model_is_told_can_be_changed_without_a_step_of_its_own(provider: Provider) -> None:
    model_calls = provider.steps()[::2]
    changes = RequestChanges(_planned(["tool.weather.result.temp=-5"], model_calls, 1).requests)
    body, _ = _call(changes, model_calls[1])
    assert "-5" in json.dumps(body)
    assert "21" not in json.dumps(body)
    changes = RequestChanges(_planned(["tool.weather.result=unknown"], model_calls, 1).requests)
    body, _ = _call(changes, model_calls[1])
    assert "unknown" in json.dumps(body)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda each: each.name)
def test_the_system_prompt_can_be_added_to_replaced_and_taken_away(provider: Provider) -> None:
    step = provider.steps()[0]
    for text, told in (("llm.system+= Be brief.", "Be kind.Be brief."), ("llm.system=Be rude.", "Be rude.")):
        changed, _ = _call(RequestChanges([parse(text)]), step)
        assert told in json.dumps(changed)
    gone, _ = _call(RequestChanges([parse("del llm.system")]), step)
    assert "Be kind." not in json.dumps(gone)


def test_the_model_is_changed_where_the_provider_has_it() -> None:
    for provider in (CHAT, RESPONSES, ANTHROPIC):
        body, url = _call(RequestChanges([parse("llm.model=m2")]), provider.steps()[0])
        assert (body["model"], url) == ("m2", provider.url)
    for provider in (GEMINI, BEDROCK):
        body, url = _call(RequestChanges([parse("llm.model=m2")]), provider.steps()[0])
        assert url == provider.url.replace("m1", "m2")
        assert body == provider.asked


@pytest.mark.parametrize(
    ("texts", "at", "told"),
    [
        (["response.text=x"], 0, "no step is replayed"),
        (["response.text=x"], 2, "step 2 is no HTTP call but a tool call"),
        (["response.choices[3]=x"], 3, "response.choices is a list of 1"),
        (["response.chioces[0].finish_reason=x"], 3, "the nearest is response.choices"),
        (["response.choices[0].message.content.x=1"], 3, "is a text and has no field 'x'"),
        (["llm.messages[9].content=x"], 0, "llm.messages is a list of 2"),
        (["llm.model.x=1", "llm.temperature+=hot"], 0, "patch"),
        (["tool.wether.result=1"], 2, "no tool wether: its tools are weather"),
        (["http.status=7"], 3, "from 100 to 599"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_runs(texts: list[str], at: int, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _planned(texts, CHAT.steps(), at)
    assert told in str(caught.value)


def test_the_arguments_of_a_tool_of_the_program_are_changed_at_its_next_call() -> None:
    steps = CHAT.steps()
    found = _planned(["tool.weather.arguments.city=Oslo"], steps, 0)
    changes = RequestChanges(found.requests)
    asked = Asked("tool", "weather", {"arguments": {"city": "Rome", "unit": "C"}})
    assert changes(asked) == {"arguments": {"city": "Oslo", "unit": "C"}}
    assert changes(asked) is None


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda each: each.name)
def test_what_was_edited_becomes_patches(provider: Provider) -> None:
    steps = provider.steps()
    before = document(steps[::2], 1)
    assert before["answer"]["body"] == provider.asks_tool
    after = json.loads(json.dumps(before).replace("Rome", "Oslo"))
    after["answer"]["status"] = 201
    patches = patches_between(before, after, steps[::2], 1)
    found = plan(patches, steps[::2], 1)
    assert found.answer is not None
    assert found.answer.outcome["status"] == 201
    assert "Oslo" in json.dumps(answer_of(found.answer))
    body, _ = _call(RequestChanges(found.requests), steps[2])
    assert "Rome" not in json.dumps(body)
    assert request_of(steps[2].input) == provider.asked_again


def test_what_is_edited_can_gain_and_lose_fields() -> None:
    steps = CHAT.steps()
    before = document(steps, 0)
    body = {**before["request"]["body"], "temperature": 0.5}
    del body["tool_choice"]
    body["messages"] = body["messages"][1:]
    texts = [str(each) for each in patches_between(before, {"request": {"body": body}}, steps, 0)]
    assert sorted(texts) == [
        "del llm.tool_choice",
        'llm.messages=[{"role": "user", "content": "Weather in Rome?"}]',
        "llm.temperature=0.5",
    ]
    with pytest.raises(ValidationError, match="must have request"):
        patches_between(before, {}, steps, 0)


@pytest.mark.parametrize(
    ("kind", "outcome", "text", "value"),
    [
        ("tool", {"value": {"temp": 21}, "marks": []}, "tool.weather.result.temp=30", {"temp": 30}),
        ("tool", {"value": '{"temp": 21}'}, "tool.weather.result.temp=30", '{"temp": 30}'),
        ("tool", {"error": {"name": "OSError"}}, "tool.weather.result=fine", "fine"),
        ("tool", {"items": ["a", "b"], "value": None}, "tool.weather.result=[]", []),
        (
            "mcp",
            {"value": {"content": [{"type": "text", "text": '{"temp": 21}'}]}},
            "tool.weather.result.temp=30",
            '{"temp": 30}',
        ),
        (
            "mcp",
            {"value": {"content": [], "structuredContent": {"temp": 21}}},
            "tool.weather.result.temp=30",
            {"temp": 30},
        ),
    ],
)
def test_the_result_of_a_tool_is_changed_as_it_was_recorded(
    kind: str, outcome: dict[str, Any], text: str, value: Any
) -> None:
    name = "weather" if kind == "tool" else "server/weather"
    step = Crossing(1, kind, name, "a.py:1 in f", "main", {"arguments": {}}, outcome, 1)
    found = _planned([text], [step], 1).answer
    assert found is not None
    assert found.outcome.get("value") == value
    assert "error" not in found.outcome
