"""Histories of Pydantic AI 2: there is no interface for stores of them. The contract is the one that its documentation
gives: what `ModelMessagesTypeAdapter` writes and reads again is what is loaded. So the same test runs over a file of
its JSON, and over greenroom."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai import Agent
from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage

from greenroom.runtime import Runtime, ValidationError
from greenroom.runtime.integrations.pydantic_ai import GreenroomMessageHistory


class Keeper(Protocol):
    def load(self) -> list[ModelMessage]: ...
    def save(self, messages: Sequence[ModelMessage]) -> None: ...


class OnFile:
    """A history as the documentation stores one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> list[ModelMessage]:
        return ModelMessagesTypeAdapter.validate_json(self.path.read_bytes()) if self.path.exists() else []

    def save(self, messages: Sequence[ModelMessage]) -> None:
        self.path.write_bytes(ModelMessagesTypeAdapter.dump_json(list(messages)))


@pytest.fixture(params=["file", "greenroom"])
def history(request: pytest.FixtureRequest, tmp_path: Path, rt: Runtime) -> Keeper:
    return OnFile(tmp_path / "file") if request.param == "file" else GreenroomMessageHistory("s", rt)


def dump(messages: Sequence[ModelMessage]) -> list[Any]:
    written: list[Any] = ModelMessagesTypeAdapter.dump_python(list(messages), mode="json")
    return written


def asked(text: str) -> ModelRequest:
    return ModelRequest(parts=[UserPromptPart(text)])


def said(text: str) -> ModelResponse:
    return ModelResponse(parts=[TextPart(text)])


KINDS: list[ModelMessage] = [
    asked("hello"),
    asked(""),
    asked("ü € 🌱 \x00 \u2028 end"),
    said("well"),
    ModelRequest(parts=[SystemPromptPart("Be kind."), UserPromptPart("hi")], instructions="I", run_id="r"),
    ModelRequest(parts=[ToolReturnPart("w", "sunny", "c1"), UserPromptPart("and?"), SystemPromptPart("late")]),
    ModelRequest(
        parts=[ToolReturnPart("w", {"t": [1, None]}, "c1"), ToolReturnPart("w", None, "c2", outcome="failed")]
    ),
    ModelRequest(parts=[ToolReturnPart("w", "", "c1", metadata={"raw": [1.5]})]),
    ModelRequest(
        parts=[
            UserPromptPart(
                ["see", ImageUrl("https://example.com/a.png"), BinaryContent(b"\0\xff", media_type="image/png")]
            )
        ]
    ),
    ModelRequest(parts=[]),
    ModelResponse(parts=[]),
    ModelResponse(
        parts=[
            ThinkingPart("hm", signature="s"),
            TextPart("a"),
            ToolCallPart("w", {"city": "Bern"}, "c1"),
            TextPart("b"),
        ],
        usage=RequestUsage(input_tokens=5, output_tokens=7, details={"x": 1}),
        model_name="m",
        provider_details={"deep": {"x": [None]}},
        finish_reason="stop",
    ),
    ModelResponse(
        parts=[ToolCallPart("w", '{"broken', "c1"), ToolCallPart("w", None, "c2"), ToolCallPart("w", {}, "c3")]
    ),
    said("x" * 100_000),
]


@pytest.mark.parametrize("message", KINDS, ids=range(len(KINDS)))
def test_a_message_comes_back_as_it_was(history: Keeper, message: ModelMessage) -> None:
    history.save([message])
    assert dump(history.load()) == dump([message])


def test_a_history_is_replaced_by_what_is_saved(history: Keeper) -> None:
    assert history.load() == []
    for messages in (KINDS, KINDS[:4], [*KINDS[:2], *KINDS[5:]], [], KINDS):
        history.save(messages)
        assert dump(history.load()) == dump(messages)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=5), json_values, max_size=3)
texts = st.text(max_size=10)
requests = st.lists(
    st.one_of(
        st.builds(SystemPromptPart, texts),
        st.builds(UserPromptPart, texts | st.lists(texts, max_size=2)),
        st.builds(ToolReturnPart, texts, json_values, texts),
    ),
    max_size=5,
).map(lambda parts: ModelRequest(parts=parts))
responses = st.lists(
    st.one_of(
        st.builds(TextPart, texts),
        st.builds(ThinkingPart, texts),
        st.builds(ToolCallPart, texts, texts | objects | st.none(), texts),
    ),
    max_size=5,
).map(lambda parts: ModelResponse(parts=parts))


@given(messages=st.lists(requests | responses, max_size=4))
def test_any_messages_come_back(rt: Runtime, messages: list[ModelMessage]) -> None:
    history = GreenroomMessageHistory("any", rt)
    again = ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(messages))
    history.save(messages)
    assert dump(history.load()) == dump(again)
    history.clear()
    history.add(messages)
    assert dump(history.load()) == dump(again)


# -- with agents


def model() -> FunctionModel:
    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        last = messages[-1].parts[-1]
        if isinstance(last, ToolReturnPart):
            return said(f"It is {last.content}.")
        if isinstance(last, UserPromptPart) and "weather" in str(last.content):
            return ModelResponse(parts=[ToolCallPart("weather", {"city": "Bern"}, "c1")])
        return said(f"Message {len(messages)}.")

    return FunctionModel(answer)


def test_an_agent_remembers_after_a_restart(store_path: Path) -> None:
    agent = Agent(model(), system_prompt="Be kind.")

    @agent.tool_plain
    def weather(city: str) -> str:
        return f"sunny in {city}"

    async def main() -> None:
        first = GreenroomMessageHistory("7", store_path)
        result = await agent.run("what is the weather?", message_history=await first.aload())
        assert result.output == "It is sunny in Bern."
        await first.asave(result.all_messages())
        first.close()

        second = GreenroomMessageHistory("7", store_path)
        result = await agent.run("hi", message_history=await second.aload())
        assert result.output == "Message 5."
        await second.aadd(result.new_messages())
        assert dump(await second.aload()) == dump(result.all_messages())
        await second.asave(result.all_messages())
        second.close()

    asyncio.run(main())
    with Runtime.open(store_path) as rt:
        session = rt.session(key="pydantic_ai:7")
        assert [(turn.role, turn.text) for turn in session.messages()] == [
            ("system", "Be kind."),
            ("user", "what is the weather?"),
            ("assistant", ""),
            ("tool", "sunny in Bern"),
            ("assistant", "It is sunny in Bern."),
            ("user", "hi"),
            ("assistant", "Message 5."),
        ]
        assert sum(event.type == "message.added" for event in session.events()) == 7


def test_an_agent_of_the_framework_s_own_test_model(history: Keeper) -> None:
    agent = Agent(TestModel())
    for _ in range(3):
        result = agent.run_sync("again", message_history=history.load())
        history.save(result.all_messages())
        assert dump(history.load()) == dump(result.all_messages())


# -- greenroom's own means


def test_messages_are_an_ordinary_conversation(rt: Runtime) -> None:
    history = GreenroomMessageHistory("k", rt)
    call = ModelResponse(parts=[ToolCallPart("weather", {"city": "Bern"}, "c1")])
    history.add([asked("weather?"), call, ModelRequest(parts=[ToolReturnPart("weather", {"sky": "sunny"}, "c1")])])
    session = rt.session(key=history.key)
    function = {"name": "weather", "arguments": '{"city": "Bern"}'}
    assert session.messages(format="openai") == [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
        {"role": "tool", "content": '{"sky": "sunny"}', "tool_call_id": "c1"},
    ]
    assert len(session.debugger().search("sunny")) == 1
    assert "weather?" in str(session.context())


def test_what_the_host_adds_is_read(rt: Runtime) -> None:
    history = GreenroomMessageHistory("k", rt)
    history.add([ModelRequest(parts=[SystemPromptPart("Be kind."), UserPromptPart("hi")])])
    session = rt.session(key=history.key)
    session.edit_message(session.messages()[1].sequence, content="hello")
    session.add_message("assistant", None, tool_calls=[{"id": "c", "function": {"name": "f", "arguments": "{}"}}])
    session.add_message("tool", "7", name="f", tool_call_id="c")
    session.add_message("assistant", "done")
    read = history.load()
    assert [[(type(part), getattr(part, "content", None)) for part in each.parts] for each in read] == [
        [(SystemPromptPart, "Be kind."), (UserPromptPart, "hello")],
        [(ToolCallPart, None)],
        [(ToolReturnPart, "7")],
        [(TextPart, "done")],
    ]
    session.retract_message(session.messages()[0].sequence)
    assert [part.content for part in history.load()[0].parts if isinstance(part, UserPromptPart)] == ["hello"]


NAMES = ["", "a", "A", "a:b", "../../x", "sha256:x", "ü🌱", " ", "\x00", "\ud800", "x" * 2000, "x" * 2000 + "y"]


def test_names_are_any_texts(rt: Runtime) -> None:
    for number, name in enumerate(NAMES):
        GreenroomMessageHistory(name, rt).add([said(str(number))])
    for number, name in enumerate(NAMES):
        assert [part.content for part in GreenroomMessageHistory(name, rt).load()[0].parts] == [str(number)]  # type: ignore[union-attr]


def test_what_has_no_form_in_json_is_refused_and_changes_nothing(rt: Runtime) -> None:
    history = GreenroomMessageHistory("s", rt)
    history.save([said("before")])
    for wrong in ([ModelRequest(parts=[ToolReturnPart("w", object(), "c")])], ["no message"], [7]):
        with pytest.raises(ValidationError, match="messages"):
            history.save(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="name"):
        GreenroomMessageHistory(None, rt)  # type: ignore[arg-type]
    assert len(history.load()) == 1


def test_writers_at_the_same_time_lose_nothing(rt: Runtime) -> None:
    def write(number: int) -> None:
        history = GreenroomMessageHistory("s", rt)
        for each in range(25):
            history.add([asked(f"{number}.{each}"), said(f"{number}.{each}")])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    read: list[Any] = [each.parts[0].content for each in GreenroomMessageHistory("s", rt).load()]  # type: ignore[union-attr]
    assert read[::2] == read[1::2]
    for number in range(4):
        assert [each for each in read[::2] if each.startswith(f"{number}.")] == [f"{number}.{i}" for i in range(25)]


WRITER = """
import sys
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart
from greenroom.runtime.integrations.pydantic_ai import GreenroomMessageHistory
history, messages = GreenroomMessageHistory("s", sys.argv[1]), []
for number in range(1_000_000):
    messages += [ModelRequest(parts=[UserPromptPart(f"q{number}")]), ModelResponse(parts=[TextPart(f"a{number}")])]
    history.save(messages)
    print(number, flush=True)
"""


def test_what_was_saved_survives_kill_9(store_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(store_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = -1
        for line in writer.stdout:
            acknowledged = int(line)
            if acknowledged >= 20:
                break
        writer.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    history = GreenroomMessageHistory("s", store_path)
    read = [each.parts[0].content for each in history.load()]  # type: ignore[union-attr]
    history.close()
    assert read == [f"{who}{number}" for number in range(len(read) // 2) for who in "qa"]
    assert len(read) // 2 > acknowledged
