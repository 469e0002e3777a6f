"""The contract of `langchain_core.chat_history.BaseChatMessageHistory` (langchain-core 1.8), over the framework's own
history and greenroom's. langchain-tests has no standard tests for histories; the implementation that the interface's
documentation gives as its example, on a file, is the third side."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.chat_history import BaseChatMessageHistory, InMemoryChatMessageHistory
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
    messages_from_dict,
    messages_to_dict,
)
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory

from greenroom.runtime import AsyncRuntime, Runtime, ValidationError
from greenroom.runtime.integrations.langchain import GreenroomChatMessageHistory

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainDeprecationWarning")


class OnFile(BaseChatMessageHistory):
    """A history as the interface's documentation describes one."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        return messages_from_dict(json.loads(self.path.read_text())) if self.path.exists() else []

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        self.path.write_text(json.dumps(messages_to_dict([*self.messages, *messages])))

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)


@pytest.fixture(params=["memory", "file", "greenroom"])
def history(request: pytest.FixtureRequest, tmp_path: Path, rt: Runtime) -> BaseChatMessageHistory:
    made: dict[str, Callable[[], BaseChatMessageHistory]] = {
        "memory": InMemoryChatMessageHistory,
        "file": lambda: OnFile(tmp_path / "file"),
        "greenroom": lambda: GreenroomChatMessageHistory("s", rt),
    }
    return made[request.param]()


CALLS = [{"name": "weather", "args": {"city": "Bern", "days": [1, 2.5, None]}, "id": "c1", "type": "tool_call"}]
KINDS: list[BaseMessage] = [
    HumanMessage("hello"),
    HumanMessage(""),
    HumanMessage("ü € 🌱 \x00 \u2028 end", name="eve", id="m1"),
    HumanMessage(["a", {"type": "text", "text": "b"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]),
    HumanMessage([]),
    SystemMessage("Be brief.", additional_kwargs={"cache": {"ttl": 5}}),
    AIMessage("well", response_metadata={"model": "m", "logprobs": None}, additional_kwargs={"refusal": None}),
    AIMessage("", tool_calls=CALLS),
    AIMessage("", tool_calls=[*CALLS, {"name": "time", "args": {}, "id": None, "type": "tool_call"}]),
    AIMessage(
        "", invalid_tool_calls=[{"name": "w", "args": "{", "id": "c", "error": "e", "type": "invalid_tool_call"}]
    ),
    AIMessage(
        [
            {"type": "text", "text": "see"},
            {"type": "tool_use", "id": "c1", "name": "weather", "input": CALLS[0]["args"]},
        ],
        tool_calls=CALLS,
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    ),
    AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Sunny."}]),
    AIMessageChunk("piece", tool_call_chunks=[{"name": "w", "args": '{"a', "id": "c", "index": 0}]),
    ToolMessage("sunny", tool_call_id="c1", name="weather", artifact={"raw": [1, {"x": None}]}),
    ToolMessage("broken", tool_call_id="c1", status="error"),
    ToolMessage([{"type": "text", "text": "in parts"}], tool_call_id=""),
    ToolMessage("long id", tool_call_id="c" * 1000),
    FunctionMessage("42", name="f"),
    ChatMessage("as a critic", role="critic"),
    ChatMessage("as a user", role="user"),
    ChatMessage("no role", role=""),
    ChatMessage("long role", role="r" * 1000),
    RemoveMessage("m1"),
    HumanMessage("numbers", additional_kwargs={"big": 2**70, "f": 0.1, "inf": float("inf"), "-": -0.0}),
    HumanMessage("fields of its own", extra_field={"x": 1}, artifact=None, tool_calls=[], status="success"),
    HumanMessage("x" * 100_000, name="n" * 1000),
]


@pytest.mark.parametrize("message", KINDS, ids=range(len(KINDS)))
def test_a_message_comes_back_as_it_was(history: BaseChatMessageHistory, message: BaseMessage) -> None:
    history.add_messages([message])
    [read] = history.messages
    assert type(read) is type(message)
    assert message_to_dict(read) == message_to_dict(message)
    assert read == message


def test_all_kinds_come_back_in_order(history: BaseChatMessageHistory) -> None:
    history.add_messages(KINDS)
    history.add_message(HumanMessage("more"))
    assert history.messages == [*KINDS, HumanMessage("more")]


def test_words_are_added_as_messages(history: BaseChatMessageHistory) -> None:
    history.add_user_message("hi")
    history.add_ai_message("hello")
    history.add_user_message(HumanMessage("again"))
    history.add_ai_message(AIMessage("yes"))
    assert history.messages == [HumanMessage("hi"), AIMessage("hello"), HumanMessage("again"), AIMessage("yes")]
    assert str(history) == "Human: hi\nAI: hello\nHuman: again\nAI: yes"


def test_clearing(history: BaseChatMessageHistory) -> None:
    assert history.messages == []
    history.clear()
    history.add_messages(KINDS)
    history.clear()
    assert history.messages == []
    history.add_messages([])
    assert history.messages == []
    history.add_user_message("anew")
    assert history.messages == [HumanMessage("anew")]


def test_the_async_twins(history: BaseChatMessageHistory) -> None:
    async def main() -> None:
        await history.aadd_messages([HumanMessage("a"), AIMessage("b")])
        assert await history.aget_messages() == [HumanMessage("a"), AIMessage("b")] == history.messages
        await history.aclear()
        assert await history.aget_messages() == []

    asyncio.run(main())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=5), json_values, max_size=3)
content = st.text(max_size=20) | st.lists(st.text(max_size=5) | objects, max_size=3)
call = st.builds(
    lambda name, args, id: {"name": name, "args": args, "id": id, "type": "tool_call"},
    st.text(max_size=5),
    objects,
    st.none() | st.text(max_size=5),
)
messages = st.one_of(
    st.builds(HumanMessage, content, name=st.none() | st.text(max_size=5), response_metadata=objects),
    st.builds(AIMessage, content, tool_calls=st.lists(call, max_size=2), id=st.none() | st.text(max_size=5)),
    st.builds(ToolMessage, content, tool_call_id=st.text(max_size=5), artifact=json_values),
    st.builds(ChatMessage, content, role=st.text(max_size=5)),
)


@given(messages=st.lists(messages, max_size=4))
def test_any_messages_come_back(rt: Runtime, messages: list[BaseMessage]) -> None:
    history = GreenroomChatMessageHistory(str(rt.count_sessions()), rt)
    history.add_messages(messages)
    assert history.messages == messages
    assert history.last(1) == messages[-1:]


# -- with chains


def test_a_chain_remembers_after_a_restart(store_path: Path) -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "Be kind."), MessagesPlaceholder("past"), ("user", "{said}")])

    def chain(history: BaseChatMessageHistory, *answers: str) -> Any:
        model = GenericFakeChatModel(messages=iter([AIMessage(each) for each in answers]))
        return RunnableWithMessageHistory(
            prompt | model, lambda _: history, input_messages_key="said", history_messages_key="past"
        )

    config: Any = {"configurable": {"session_id": "7"}}
    first = GreenroomChatMessageHistory("7", store_path)
    assert chain(first, "hello").invoke({"said": "hi"}, config).content == "hello"
    first.close()

    second = GreenroomChatMessageHistory("7", store_path)
    assert asyncio.run(chain(second, "as I said").ainvoke({"said": "what?"}, config)).content == "as I said"
    assert [each.content for each in second.messages] == ["hi", "hello", "what?", "as I said"]
    second.close()
    with Runtime.open(store_path) as rt:
        said = [(turn.role, turn.text) for turn in rt.session(key="langchain:7").messages()]
        assert said == [("user", "hi"), ("assistant", "hello"), ("user", "what?"), ("assistant", "as I said")]


# -- greenroom's own means


def test_a_history_is_an_ordinary_conversation(rt: Runtime) -> None:
    history = GreenroomChatMessageHistory("chat", rt)
    history.add_messages(
        [HumanMessage("weather?"), AIMessage("", tool_calls=CALLS), ToolMessage("sunny", tool_call_id="c1")]
    )
    session = rt.session(key=history.key)
    arguments = '{"city": "Bern", "days": [1, 2.5, null]}'
    assert session.messages(format="openai") == [
        {"role": "user", "content": "weather?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": arguments}}],
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
    ]
    assert len(session.debugger().search("sunny")) == 1
    assert "weather?" in str(session.context())
    assert [row.event.type for row in session.timeline()].count("message.added") == 3


def test_what_the_host_adds_is_read(rt: Runtime) -> None:
    history = GreenroomChatMessageHistory("s", rt)
    history.add_user_message("hi")
    session = rt.session(key="langchain:s")
    session.edit_message(session.messages()[0].sequence, content="hello")
    session.add_message("system", "Be kind.", name="host")
    session.add_message("assistant", None, tool_calls=[{"id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}}])
    session.add_message("tool", "7", tool_call_id="c")
    session.add_message("tool", "without an id")
    session.add_message("function", "8")
    session.add_message("critic", [{"type": "text", "text": "no"}])
    assert history.messages == [
        HumanMessage("hello"),
        SystemMessage("Be kind.", name="host"),
        AIMessage("", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c", "type": "tool_call"}]),
        ToolMessage("7", tool_call_id="c"),
        ToolMessage("without an id", tool_call_id=""),
        FunctionMessage("8", name=""),
        ChatMessage([{"type": "text", "text": "no"}], role="critic"),
    ]


def test_both_faces_of_a_runtime(rt: Runtime) -> None:
    async def main() -> None:
        history = GreenroomChatMessageHistory("s", AsyncRuntime.over(rt))
        await history.aadd_messages([HumanMessage("x")])
        assert GreenroomChatMessageHistory("s", rt).messages == [HumanMessage("x")]

    asyncio.run(main())


NAMES = ["", "a", "A", "a:b", "../../x", "sha256:x", "ü🌱", " ", "\x00", "\ud800", "x" * 2000, "x" * 2000 + "y"]


def test_sessions_are_apart_whatever_their_names(rt: Runtime) -> None:
    for number, name in enumerate(NAMES):
        GreenroomChatMessageHistory(name, rt).add_user_message(str(number))
    for number, name in enumerate(NAMES):
        assert GreenroomChatMessageHistory(name, rt).messages == [HumanMessage(str(number))]


class Own(HumanMessage):
    type: Any = "own"


@pytest.mark.parametrize(
    "message", [ToolMessage("x", tool_call_id="c", artifact=object()), Own("x")], ids=["no form in JSON", "own type"]
)
def test_what_could_not_be_read_back_is_refused_and_changes_nothing(rt: Runtime, message: BaseMessage) -> None:
    history = GreenroomChatMessageHistory("s", rt)
    history.add_user_message("before")
    with pytest.raises(ValidationError, match="messages"):
        history.add_messages([HumanMessage("with it"), message])
    assert history.messages == [HumanMessage("before")]


@pytest.mark.parametrize("wrong", [None, 7, b"s"])
def test_an_id_that_is_no_text_is_refused(rt: Runtime, wrong: Any) -> None:
    with pytest.raises(ValidationError, match="session_id"):
        GreenroomChatMessageHistory(wrong, rt)


def test_writers_at_the_same_time_lose_nothing(rt: Runtime) -> None:
    def write(number: int) -> None:
        history = GreenroomChatMessageHistory("s", rt)
        for each in range(50):
            history.add_messages([HumanMessage(f"{number}.{each}"), AIMessage(f"{number}.{each}")])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    read = [each.content for each in GreenroomChatMessageHistory("s", rt).messages]
    assert read[::2] == read[1::2]
    for number in range(4):
        assert [each for each in read[::2] if str(each).startswith(f"{number}.")] == [
            f"{number}.{i}" for i in range(50)
        ]


WRITER = """
import sys
from langchain_core.messages import AIMessage, HumanMessage
from greenroom.runtime.integrations.langchain import GreenroomChatMessageHistory
history = GreenroomChatMessageHistory("s", sys.argv[1])
for number in range(1_000_000):
    history.add_messages([HumanMessage(f"q{number}"), AIMessage(f"a{number}")])
    print(number, flush=True)
"""


def test_what_was_added_survives_kill_9(store_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(store_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = -1
        for line in writer.stdout:
            acknowledged = int(line)
            if acknowledged >= 50:
                break
        writer.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    history = GreenroomChatMessageHistory("s", store_path)
    read = [each.content for each in history.messages]
    history.close()
    assert read == [f"{who}{number}" for number in range(len(read) // 2) for who in "qa"]
    assert len(read) // 2 > acknowledged
