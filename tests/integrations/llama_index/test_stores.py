"""The contracts of LlamaIndex's `BaseChatStore` and `AsyncDBChatStore` (llama-index-core 0.14), each over the
framework's own stores and greenroom's."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    CitableBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import ChatMessage, MessageRole, MockLLM
from llama_index.core.memory import ChatMemoryBuffer, Memory
from llama_index.core.storage.chat_store import SimpleChatStore
from llama_index.core.storage.chat_store.base import BaseChatStore
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

from greenroom.runtime import Runtime, ValidationError
from greenroom.runtime.integrations.llama_index import GreenroomAsyncChatStore, GreenroomChatStore

ACTIVE, ARCHIVED = MessageStatus.ACTIVE, MessageStatus.ARCHIVED


@pytest.fixture(params=["memory", "greenroom"])
def store(request: pytest.FixtureRequest, rt: Runtime) -> BaseChatStore:
    return SimpleChatStore() if request.param == "memory" else GreenroomChatStore(rt)


@pytest.fixture(params=["sql", "greenroom"])
def queue(request: pytest.FixtureRequest, rt: Runtime, tmp_path: Path) -> AsyncDBChatStore:
    if request.param == "sql":
        return SQLAlchemyChatStore("messages", f"sqlite+aiosqlite:///{tmp_path / 'db'}")
    return GreenroomAsyncChatStore(rt)


def said(text: str, role: str = "user") -> ChatMessage:
    return ChatMessage(text, role=MessageRole(role))


OPENAI = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
KINDS = [
    said("hello"),
    said(""),
    ChatMessage(role="user", blocks=[]),
    said("ü € 🌱 \x00 \u2028 end", "system"),
    *[said("of a role", role.value) for role in MessageRole],
    ChatMessage(role="assistant", blocks=[TextBlock(text="a"), TextBlock(text="b")]),
    ChatMessage("with calls", role="assistant", additional_kwargs={"tool_calls": [OPENAI], "refusal": None}),
    ChatMessage("empty calls", role="assistant", additional_kwargs={"tool_calls": []}),
    ChatMessage("42", role="tool", additional_kwargs={"tool_call_id": "c1", "name": "weather"}),
    ChatMessage("42", role="tool", additional_kwargs={"tool_call_id": "c" * 1000, "name": ""}),
    ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="c", tool_name="w", tool_kwargs={"a": [1, {}]})]),
    ChatMessage(
        role="assistant",
        blocks=[
            ToolCallBlock(tool_call_id=None, tool_name="w", tool_kwargs="{broken"),
            TextBlock(text="then"),
            ToolCallBlock(tool_call_id="c2", tool_name="", tool_kwargs={}),
        ],
        additional_kwargs={"tool_calls": [OPENAI]},
    ),
    ChatMessage(
        role="assistant",
        blocks=[ThinkingBlock(content="hm", num_tokens=3, additional_information={"s": "x"}), TextBlock(text="so")],
    ),
    ChatMessage(role="user", blocks=[ImageBlock(image=b"\x89PNG", image_mimetype="image/png"), TextBlock(text="see")]),
    ChatMessage(role="user", blocks=[ImageBlock(url="https://example.com/a.png", detail="low")]),
    ChatMessage(
        role="user", blocks=[AudioBlock(audio=b"abc", format="mp3"), CachePoint(cache_control=CacheControl(type="e"))]
    ),
    ChatMessage(role="user", blocks=[DocumentBlock(data=b"abc", title="t.txt", document_mimetype="text/plain")]),
    ChatMessage(role="user", blocks=[CitableBlock(title="t", source="s", content=[TextBlock(text="cited")])]),
    ChatMessage("numbers", additional_kwargs={"big": 2**70, "f": 0.1, "deep": {"x": [None, True]}}),
    said("x" * 100_000),
]


def dump(message: ChatMessage | None) -> dict[str, Any] | None:
    return message.model_dump(mode="json") if message is not None else None


def dumps(messages: list[ChatMessage] | None) -> list[Any] | None:
    return [dump(each) for each in messages] if messages is not None else None


@pytest.mark.parametrize("message", KINDS, ids=range(len(KINDS)))
def test_a_message_comes_back_as_it_was(store: BaseChatStore, message: ChatMessage) -> None:
    store.add_message("k", message)
    [read] = store.get_messages("k")
    assert dump(read) == dump(message)
    assert read == message


@pytest.mark.parametrize("message", KINDS, ids=range(len(KINDS)))
def test_a_message_comes_back_from_a_queue(queue: AsyncDBChatStore, message: ChatMessage) -> None:
    async def main() -> None:
        await queue.add_message("k", message)
        [read] = await queue.get_messages("k")
        assert dump(read) == dump(message)

    asyncio.run(main())


def test_a_key_from_its_first_message_to_its_deletion(store: BaseChatStore) -> None:
    assert store.get_messages("k") == []
    assert store.delete_messages("k") is None
    assert store.delete_message("k", 0) is None
    assert store.delete_last_message("k") is None
    assert store.get_keys() == []
    messages = [said(str(number)) for number in range(5)]
    store.set_messages("k", list(messages))
    store.add_message("k", said("5"))
    store.add_message("other", said("x"))
    assert store.get_messages("k") == [*messages, said("5")]
    assert store.delete_message("k", 1) == said("1")
    assert store.delete_message("k", 5) is None
    assert store.delete_message("k", -1) == said("5")
    assert store.delete_last_message("k") == said("4")
    with pytest.raises(IndexError):
        store.delete_message("k", -9)
    assert store.get_messages("k") == [messages[0], messages[2], messages[3]]
    assert store.get_keys() == ["k", "other"]
    assert store.delete_messages("k") == [messages[0], messages[2], messages[3]]
    assert store.get_messages("k") == []
    assert store.get_keys() == ["other"]
    store.add_message("k", said("anew"))
    assert store.get_messages("k") == [said("anew")]


def test_a_key_without_messages(store: BaseChatStore) -> None:
    store.set_messages("k", [])
    assert store.get_keys() == ["k"]
    assert store.get_messages("k") == []
    assert store.delete_message("k", 0) is None
    with pytest.raises(IndexError):
        store.delete_last_message("k")
    assert store.delete_messages("k") == []


def test_the_async_twins(store: BaseChatStore) -> None:
    async def main() -> None:
        await store.aset_messages("k", [said("a"), said("b"), said("c")])
        await store.async_add_message("k", said("d"))
        assert await store.aget_messages("k") == [said("a"), said("b"), said("c"), said("d")]
        assert await store.adelete_message("k", 0) == said("a")
        assert await store.adelete_last_message("k") == said("d")
        assert await store.aget_keys() == ["k"]
        assert await store.adelete_messages("k") == [said("b"), said("c")]
        assert await store.aget_keys() == []

    asyncio.run(main())


NAMES = ["", "a", "A", "a:b", "../../x", "sha256:x", "ü🌱", " ", "\x00", "x" * 2000, "x" * 2000 + "y"]


def test_keys_are_any_texts(store: BaseChatStore) -> None:
    for name in NAMES:
        store.add_message(name, said(name))
    assert sorted(store.get_keys()) == sorted(NAMES)
    for name in NAMES:
        assert store.get_messages(name) == [said(name)]


words = st.lists(st.sampled_from("abc"), max_size=6).map(lambda texts: [said(each) for each in texts])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("set_messages"), words),
        st.tuples(st.just("add_message"), st.sampled_from("abc").map(said)),
        st.tuples(st.just("delete_message"), st.integers(0, 6)),
        st.tuples(st.just("delete_messages")),
    ),
    max_size=8,
)


@given(steps=steps)
def test_any_steps_end_in_what_memory_has(rt: Runtime, steps: list[tuple[Any, ...]]) -> None:
    ours, theirs = GreenroomChatStore(rt), SimpleChatStore()
    ours.delete_messages("k")
    for name, *args in steps:
        # Memory keeps the very list that it is given.
        theirs_args = [list(each) if isinstance(each, list) else each for each in args]
        assert getattr(ours, name)("k", *args) == getattr(theirs, name)("k", *theirs_args)
        assert ours.get_messages("k") == theirs.get_messages("k")
        assert ours.get_keys() == theirs.get_keys()


# -- queues


def test_a_queue_answers_as_sql_does(queue: AsyncDBChatStore) -> None:
    async def main() -> None:
        async def texts(status: MessageStatus | None = ACTIVE, **part: int) -> list[str | None]:
            return [each.content for each in await queue.get_messages("k", status, **part)]

        assert await texts() == []
        assert await queue.count_messages("k") == 0
        assert await queue.delete_oldest_messages("k", 3) == []
        assert await queue.archive_oldest_messages("k", 3) == []
        assert await queue.delete_message("k", 10**9) is None
        await queue.delete_messages("k")
        assert await queue.get_keys() == []

        await queue.add_messages("k", [said(str(number)) for number in range(6)])
        await queue.add_message("k", said("old"), ARCHIVED)
        assert await texts() == ["0", "1", "2", "3", "4", "5"]
        assert await texts(ARCHIVED) == ["old"]
        assert await texts(None) == ["0", "1", "2", "3", "4", "5", "old"]
        assert await texts(limit=2) == ["0", "1"]
        assert await texts(limit=2, offset=3) == ["3", "4"]
        assert await texts(offset=5) == ["5"]
        assert await texts(limit=0) == []
        assert (await queue.count_messages("k"), await queue.count_messages("k", None)) == (6, 7)

        assert dumps(await queue.archive_oldest_messages("k", 2)) == dumps([said("0"), said("1")])
        assert dumps(await queue.delete_oldest_messages("k", 1)) == dumps([said("2")])
        assert await texts() == ["3", "4", "5"]
        assert await texts(ARCHIVED) == ["0", "1", "old"]
        await queue.delete_messages("k", ARCHIVED)
        assert await texts(None) == ["3", "4", "5"]
        await queue.set_messages("k", [said("3"), said("x")], ARCHIVED)
        assert await texts(None) == ["3", "x"] == await texts(ARCHIVED)
        await queue.add_message("other", said("y"))
        assert sorted(await queue.get_keys()) == ["k", "other"]
        assert len(await queue.delete_oldest_messages("other", 5)) == 1
        assert await queue.get_keys() == ["k"]
        await queue.delete_messages("k")
        assert await queue.get_keys() == []

    asyncio.run(main())


def test_a_message_of_a_queue_is_deleted_by_its_id(rt: Runtime) -> None:
    async def main() -> None:
        queue = GreenroomAsyncChatStore(rt)
        await queue.add_messages("k", [said("a"), said("b")])
        sequence = rt.session(key="llama_index:k").messages()[0].sequence
        assert await queue.delete_message("k", sequence) == said("a")
        assert await queue.delete_message("k", sequence) is None
        assert await queue.get_messages("k") == [said("b")]

    asyncio.run(main())


# -- with chat engines


def test_a_chat_engine_remembers_after_a_restart(store_path: Path) -> None:
    def engine(store: GreenroomChatStore) -> SimpleChatEngine:
        memory = ChatMemoryBuffer.from_defaults(chat_store=store, chat_store_key="7", token_limit=4000)
        return SimpleChatEngine.from_defaults(llm=MockLLM(), memory=memory)

    first = GreenroomChatStore(store_path)
    engine(first).chat("hi")
    first.close()
    second = GreenroomChatStore(store_path)
    assert "hi" in str(engine(second).chat("what?"))  # the model of the test repeats all that it is given
    assert len(second.get_messages("7")) == 4
    second.close()
    with Runtime.open(store_path) as rt:
        turns = rt.session(key="llama_index:7").messages()
        assert [turn.role for turn in turns] == ["user", "assistant"] * 2
        assert turns[2].text == "what?"


@pytest.mark.parametrize("own", [False, True], ids=["sql", "greenroom"])
def test_memory_archives_what_is_too_much(rt: Runtime, tmp_path: Path, own: bool) -> None:
    async def main() -> None:
        queue: AsyncDBChatStore = GreenroomAsyncChatStore(rt)
        if not own:
            queue = SQLAlchemyChatStore("messages", f"sqlite+aiosqlite:///{tmp_path / 'db'}")
        memory = Memory.from_defaults(session_id="7", chat_store=queue, token_limit=60, token_flush_size=20)
        for number in range(20):
            await memory.aput(said(f"{number} " + "word " * 8, "user" if number % 2 == 0 else "assistant"))
        active, archived = await queue.get_messages("7"), await queue.get_messages("7", ARCHIVED)
        assert active
        assert archived
        assert [str(each.content).split()[0] for each in [*archived, *active]] == [str(number) for number in range(20)]

    asyncio.run(main())


# -- greenroom's own means


def test_messages_are_an_ordinary_conversation(rt: Runtime) -> None:
    store = GreenroomChatStore(rt)
    call = ToolCallBlock(tool_call_id="c1", tool_name="weather", tool_kwargs={"city": "Bern"})
    store.add_message("k", said("weather?"))
    store.add_message("k", ChatMessage(role="assistant", blocks=[call]))
    store.add_message("k", ChatMessage("sunny", role="tool", additional_kwargs={"tool_call_id": "c1"}))
    session = rt.session(key="llama_index:k")
    assert session.messages(format="openai") == [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": [OPENAI]},
        {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
    ]
    assert len(session.debugger().search("sunny")) == 1
    assert "weather?" in str(session.context())


def test_what_the_host_adds_is_read(rt: Runtime) -> None:
    store = GreenroomChatStore(rt)
    store.add_message("k", said("hi"))
    session = rt.session(key="llama_index:k")
    session.edit_message(session.messages()[0].sequence, content="hello")
    session.add_message("assistant", None, tool_calls=[OPENAI])
    session.add_message("tool", "7", tool_call_id="c1")
    session.add_message("critic", [{"type": "text", "text": "no"}, "!", {"type": "image"}])
    read = store.get_messages("k")
    assert read[0] == said("hello")
    assert read[1].blocks == [ToolCallBlock(tool_call_id="c1", tool_name="weather", tool_kwargs={"city": "Bern"})]
    assert read[2] == ChatMessage("7", role="tool", additional_kwargs={"tool_call_id": "c1"})
    assert [block.text for block in read[3].blocks] == ["no", "!", '{"type": "image"}']


def test_a_transcript_that_is_set_again_adds_only_what_is_new(rt: Runtime) -> None:
    store = GreenroomChatStore(rt)
    transcript: list[ChatMessage] = []
    for number in range(50):
        transcript += [said(f"q{number}"), said(f"a{number}", "assistant")]
        store.set_messages("k", transcript)
    session = rt.session(key="llama_index:k")
    assert store.get_messages("k") == transcript
    assert sum(event.type == "message.added" for event in session.events()) == len(transcript)


def test_what_has_no_form_in_json_is_refused_and_changes_nothing(rt: Runtime) -> None:
    store = GreenroomChatStore(rt)
    store.add_message("k", said("before"))
    with pytest.raises(ValidationError, match="message"):
        store.set_messages("k", [said("x"), ChatMessage("y", additional_kwargs={"raw": object()})])
    with pytest.raises(ValidationError, match="key"):
        store.add_message(7, said("x"))  # type: ignore[arg-type]
    assert store.get_messages("k") == [said("before")]


def test_writers_at_the_same_time_lose_nothing(rt: Runtime) -> None:
    async def archive(queue: GreenroomAsyncChatStore) -> None:
        for _ in range(10):
            await queue.archive_oldest_messages("k", 1)

    def write(number: int) -> None:
        if number == 4:
            asyncio.run(archive(GreenroomAsyncChatStore(rt)))
            return
        store = GreenroomChatStore(rt)
        for each in range(30):
            store.add_message("k", said(f"{number}.{each}"))

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(write, range(5)))
    read = [str(each.content) for each in GreenroomChatStore(rt).get_messages("k")]
    for number in range(4):
        assert [each for each in read if each.startswith(f"{number}.")] == [f"{number}.{each}" for each in range(30)]


WRITER = """
import sys
from llama_index.core.llms import ChatMessage
from greenroom.runtime.integrations.llama_index import GreenroomChatStore
store = GreenroomChatStore(sys.argv[1])
transcript = []
for number in range(1_000_000):
    transcript += [ChatMessage(f"q{number}", role="user"), ChatMessage(f"a{number}", role="assistant")]
    store.set_messages("k", transcript)
    print(number, flush=True)
"""


def test_what_was_set_survives_kill_9(store_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(store_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = -1
        for line in writer.stdout:
            acknowledged = int(line)
            if acknowledged >= 20:
                break
        writer.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    store = GreenroomChatStore(store_path)
    read = [each.content for each in store.get_messages("k")]
    store.close()
    assert read == [f"{who}{number}" for number in range(len(read) // 2) for who in "qa"]
    assert len(read) // 2 > acknowledged
