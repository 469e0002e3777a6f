"""The contract of `agent_framework.HistoryProvider` (agent-framework-core 1.23), over the framework's own providers and
greenroom's: what one gives back, the others give back. And what greenroom itself shows of such a history."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from agent_framework import (
    Agent,
    AgentSession,
    BaseChatClient,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    FileHistoryProvider,
    FunctionInvocationLayer,
    HistoryProvider,
    InMemoryHistoryProvider,
    Message,
    ResponseStream,
)
from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime import Runtime, ValidationError
from greenroom.runtime.integrations.agent_framework import GreenroomHistoryProvider


class Side:
    """One provider, with the state that the framework hands to it for each session."""

    def __init__(self, provider: HistoryProvider) -> None:
        self.provider = provider
        self.states: dict[str | None, dict[str, Any]] = {}

    def save(self, messages: Sequence[Message], session: str | None = "s") -> None:
        state = self.states.setdefault(session, {})
        asyncio.run(self.provider.save_messages(session, messages, state=state))

    def load(self, session: str | None = "s") -> list[dict[str, Any]]:
        state = self.states.setdefault(session, {})
        return [each.to_dict() for each in asyncio.run(self.provider.get_messages(session, state=state))]


@pytest.fixture(params=["memory", "file", "greenroom"])
def side(request: pytest.FixtureRequest, tmp_path: Path, rt: Runtime) -> Side:
    made: dict[str, Callable[[], HistoryProvider]] = {
        "memory": InMemoryHistoryProvider,
        "file": lambda: FileHistoryProvider(tmp_path / "files"),
        "greenroom": lambda: GreenroomHistoryProvider(rt),
    }
    return Side(made[request.param]())


CALL = Content.from_function_call("c1", "weather", arguments='{"city": "Bern"}')
KINDS = [
    Message("user", ["hello"]),
    Message("user", []),
    Message("user", [""]),
    Message("system", ["You are brief."], author_name="host", message_id="m-1", additional_properties={"a": [1, None]}),
    Message("assistant", ["let me see", CALL]),
    Message("assistant", [CALL, "then", Content.from_function_call("c2", "time", arguments={"zone": {"x": 1}})]),
    Message("assistant", [CALL]),
    Message("tool", [Content.from_function_result("c1", result="sunny")]),
    Message("tool", [Content.from_function_result("c1", result={"sun": [1, 2]})]),
    Message("tool", [Content.from_function_result("c1", result="a"), Content.from_function_result("c2", result="")]),
    Message("assistant", [Content.from_text_reasoning(text="hm"), "Sunny."]),
    Message("user", ["look:", Content.from_data(b"\x00\xff", media_type="image/png")]),
    Message("user", [Content.from_uri("https://example.com/a.png", media_type="image/png")]),
    Message("critic", ["of a role of my own"], author_name=""),
    Message("user", ["x"], author_name="n" * 1000),
    Message("r" * 1000, ["x"]),
    Message("", ["x"]),
    Message("user", ["ü € 🌱 \x00 \u2028 end"], additional_properties={"ü": "🌱"}),
    Message("user", ["big"], additional_properties={"n": 2**60, "f": 0.1}),
    Message("user", [Content.from_text("cited", annotations=[{"type": "citation", "title": "t", "url": "u"}])]),
    Message("user", ["x" * 100_000]),
]


@pytest.mark.parametrize("message", KINDS, ids=range(len(KINDS)))
def test_a_message_comes_back_as_it_was(side: Side, message: Message) -> None:
    side.save([message])
    assert side.load() == [message.to_dict()]


def test_all_kinds_come_back_in_order(side: Side) -> None:
    side.save(KINDS)
    side.save([Message("user", ["more"])])
    assert side.load() == [each.to_dict() for each in [*KINDS, Message("user", ["more"])]]


def test_numbers_that_json_does_not_have_come_back(side: Side) -> None:
    side.save([Message("user", ["x"], additional_properties={"score": float("inf"), "deep": [float("-inf")]})])
    assert side.load()[0]["additional_properties"] == {"score": float("inf"), "deep": [float("-inf")]}


def test_an_unknown_session_is_empty_and_nothing_is_saved_of_nothing(side: Side) -> None:
    assert side.load() == []
    side.save([])
    assert side.load() == []


SESSIONS = [
    "a",
    "A",
    "a:b",
    "a/b",
    "../../etc/passwd",
    "%3A",
    "sha256:x",
    "ü🌱",
    " ",
    "\x00",
    "~a",
    "default2",
]


def test_sessions_are_apart_whatever_their_names(side: Side) -> None:
    for number, name in enumerate(SESSIONS):
        side.save([Message("user", [str(number)])], name)
    for number, name in enumerate(SESSIONS):
        assert [each["contents"][0]["text"] for each in side.load(name)] == [str(number)]


def test_names_longer_than_a_file_can_have_are_apart_too(rt: Runtime) -> None:
    side = Side(GreenroomHistoryProvider(rt))
    for last in "ab":
        side.save([Message("user", [last])], "x" * 2000 + last)
        side.save([Message("user", [last])], "\ud800" + last)
    for last in "ab":
        for name in ("x" * 2000 + last, "\ud800" + last):
            assert [each["contents"][0]["text"] for each in side.load(name)] == [last]


@pytest.mark.parametrize("made", ["file", "greenroom"])
def test_no_id_is_the_default_session(made: str, rt: Runtime, tmp_path: Path) -> None:
    provider = FileHistoryProvider(tmp_path) if made == "file" else GreenroomHistoryProvider(rt)
    side = Side(provider)
    side.save([Message("user", ["x"])], None)
    assert side.load("default") == side.load("") == side.load(None) != []


texts = st.sampled_from(["a", "b", "c"])
said = st.builds(
    lambda role, text, id: Message(role, [text], message_id=id),
    st.sampled_from(["user", "assistant"]),
    texts,
    st.sampled_from([None, None, "1", "2"]),
)


@given(saves=st.lists(st.lists(said, max_size=5), max_size=5))
def test_what_is_given_again_is_skipped_as_the_framework_skips_it(rt: Runtime, saves: list[list[Message]]) -> None:
    theirs = Side(InMemoryHistoryProvider())
    ours = Side(GreenroomHistoryProvider(rt))
    session = str(rt.count_sessions())
    for messages in saves:
        theirs.save(messages, session)
        ours.save(messages, session)
        assert ours.load(session) == theirs.load(session)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
contents = st.one_of(
    st.text(max_size=20).map(Content.from_text),
    st.builds(
        lambda id, name, arguments: Content.from_function_call(id, name, arguments=arguments),
        st.text(max_size=5),
        st.text(max_size=5),
        st.none() | st.text(max_size=10) | st.dictionaries(st.text(max_size=5), json_values, max_size=3),
    ),
    st.builds(lambda id, result: Content.from_function_result(id, result=result), st.text(max_size=5), json_values),
    st.text(max_size=10).map(lambda text: Content.from_text_reasoning(text=text)),
)


@given(
    role=st.text(max_size=10),
    parts=st.lists(contents, max_size=5),
    name=st.none() | st.text(max_size=5),
    more=st.dictionaries(st.text(max_size=5), json_values, max_size=3),
)
def test_any_message_comes_back(
    rt: Runtime, role: str, parts: list[Content], name: str | None, more: dict[str, Any]
) -> None:
    side = Side(GreenroomHistoryProvider(rt))
    message = Message(role, parts, author_name=name, additional_properties=more)
    side.save([message], session := str(rt.count_sessions()))
    assert side.load(session) == [message.to_dict()]


@pytest.mark.parametrize("made", ["memory", "file", "greenroom"])
def test_excluded_messages_are_left_out_when_asked(made: str, rt: Runtime, tmp_path: Path) -> None:
    provider: HistoryProvider
    if made == "memory":
        provider = InMemoryHistoryProvider(skip_excluded=True)
    elif made == "file":
        provider = FileHistoryProvider(tmp_path, skip_excluded=True)
    else:
        provider = GreenroomHistoryProvider(rt, skip_excluded=True)
    side = Side(provider)
    side.save([Message("user", ["a"], additional_properties={"_excluded": True}), Message("user", ["b"])])
    assert [each["contents"][0]["text"] for each in side.load()] == ["b"]


# -- a real agent


class Client(FunctionInvocationLayer[Any], BaseChatClient[Any]):  # type: ignore[misc]
    """A model that calls the tool, then says what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[str]] = []

    def _inner_get_response(
        self, *, messages: Sequence[Message], stream: bool, options: Mapping[str, Any], **kwargs: Any
    ) -> Awaitable[ChatResponse[Any]] | ResponseStream[ChatResponseUpdate, ChatResponse[Any]]:
        self.seen.append([each.text for each in messages if each.role == "user"])

        async def answer() -> ChatResponse[Any]:
            if messages[-1].role == "user" and "weather" in messages[-1].text:
                return ChatResponse(messages=[Message("assistant", [CALL])])
            results = [part.result for each in messages for part in each.contents if part.type == "function_result"]
            return ChatResponse(messages=[Message("assistant", [f"It is {results[-1] if results else 'well'}."])])

        return answer()


def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


def run(provider: HistoryProvider, said: list[str], client: Client) -> list[str]:
    async def main() -> list[str]:
        agent = Agent(client=client, tools=[weather], context_providers=[provider])
        session = AgentSession(session_id="chat")
        return [(await agent.run(each, session=session)).text for each in said]

    return asyncio.run(main())


def test_an_agent_remembers_after_a_restart(store_path: Path) -> None:
    first = GreenroomHistoryProvider(store_path)
    assert run(first, ["hi", "what is the weather?"], Client()) == ["It is well.", "It is sunny in Bern."]
    first.close()

    second, client = GreenroomHistoryProvider(store_path), Client()
    run(second, ["and now?"], client)
    assert client.seen == [["hi", "what is the weather?", "and now?"]]
    second.close()

    with Runtime.open(store_path) as rt:
        turns = rt.session(key="agent_framework:greenroom:chat").messages()
        assert [(each.role, each.text) for each in turns] == [
            ("user", "hi"),
            ("assistant", "It is well."),
            ("user", "what is the weather?"),
            ("assistant", ""),
            ("tool", "sunny in Bern"),
            ("assistant", "It is sunny in Bern."),
            ("user", "and now?"),
            ("assistant", "It is sunny in Bern."),
        ]


# -- greenroom's own means


def test_a_history_is_an_ordinary_conversation(rt: Runtime) -> None:
    provider = GreenroomHistoryProvider(rt)
    Side(provider).save(
        [
            Message("user", ["what is the weather?"]),
            Message("assistant", [CALL]),
            Message("tool", [Content.from_function_result("c1", result="sunny")]),
            Message("assistant", ["A quokka smiles."]),
        ],
        "chat",
    )
    session = rt.session(key=provider.key("chat"))
    assert session.messages(format="openai") == [
        {"role": "user", "content": "what is the weather?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
            ],
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
        {"role": "assistant", "content": "A quokka smiles."},
    ]
    assert session.messages(format="anthropic")[-2] == {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "sunny"}],
    }
    assert [info.id for info in rt.list_sessions(key_prefix="agent_framework:").items] == [session.id]
    assert len(session.debugger().search("quokka")) == 1
    assert "sunny" in str(session.context())
    assert [row.event.type for row in session.timeline()].count("message.added") == 4


def test_what_the_host_adds_is_read_by_the_agent(rt: Runtime) -> None:
    side = Side(GreenroomHistoryProvider(rt))
    side.save([Message("user", ["hi"])])
    session = rt.session(key="agent_framework:greenroom:s")
    session.add_message("system", "Be kind.", name="host")
    session.add_message("tool", "7", tool_call_id="c9")
    session.edit_message(session.messages()[0].sequence, content="hello")
    read = asyncio.run(side.provider.get_messages("s"))
    assert [(each.role, each.text, each.author_name) for each in read[:2]] == [
        ("user", "hello", None),
        ("system", "Be kind.", "host"),
    ]
    assert (read[2].contents[0].call_id, read[2].contents[0].result) == ("c9", "7")


def test_two_sources_of_one_session_are_apart(rt: Runtime) -> None:
    one, other = GreenroomHistoryProvider(rt, source_id="a:b"), GreenroomHistoryProvider(rt, source_id="a")
    asyncio.run(one.save_messages("c", [Message("user", ["x"])]))
    assert asyncio.run(other.get_messages("b:c")) == []


def test_nothing_grows_with_the_square_of_the_conversation(rt: Runtime) -> None:
    side = Side(GreenroomHistoryProvider(rt))
    transcript: list[Message] = []
    for number in range(60):
        transcript += [Message("user", [f"question {number}"]), Message("assistant", [f"answer {number}"])]
        side.save(transcript)
    session = rt.session(key="agent_framework:greenroom:s")
    assert len(session.messages()) == len(transcript) == sum(e.type == "message.added" for e in session.events())


def test_writers_at_the_same_time_lose_nothing(rt: Runtime) -> None:
    sides = [Side(GreenroomHistoryProvider(rt)) for _ in range(4)]

    def write(number: int) -> None:
        for each in range(25):
            sides[number].save([Message("assistant", [f"{number}.{each}"])])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    read = [each["contents"][0]["text"] for each in sides[0].load()]
    for number in range(4):
        assert [each for each in read if each.startswith(f"{number}.")] == [f"{number}.{each}" for each in range(25)]


def test_what_has_no_form_in_json_is_refused_and_changes_nothing(rt: Runtime) -> None:
    side = Side(GreenroomHistoryProvider(rt))
    message = Message("user", ["x"])
    message.additional_properties = {1: {2: 3}, "nan": float("nan")}
    side.save([message])  # the framework itself makes texts of such keys
    assert len(side.load()) == 1
    with pytest.raises(ValidationError):
        GreenroomHistoryProvider(7)  # type: ignore[arg-type]


WRITER = """
import asyncio, sys
from agent_framework import Message
from greenroom.runtime.integrations.agent_framework import GreenroomHistoryProvider
async def main():
    provider = GreenroomHistoryProvider(sys.argv[1])
    for number in range(100_000):
        await provider.save_messages("s", [Message("user", [f"q{number}"]), Message("assistant", [f"a{number}"])])
        print(number, flush=True)
asyncio.run(main())
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
    provider = GreenroomHistoryProvider(store_path)
    read = [each["contents"][0]["text"] for each in Side(provider).load()]
    provider.close()
    assert len(read) % 2 == 0, "a write is done whole or not at all"
    assert read == [f"{who}{number}" for number in range(len(read) // 2) for who in "qa"]
    assert len(read) // 2 > acknowledged
