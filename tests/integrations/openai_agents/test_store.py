"""What greenroom adds: items are turns of a session, and what was acknowledged survives."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, Runner
from agents.extensions.memory import EncryptedSession

from greenroom.runtime import (
    AsyncRuntime,
    InvalidSessionState,
    ResourceLimitExceeded,
    Runtime,
    RuntimeClosed,
    StoreLocked,
    ValidationError,
)
from greenroom.runtime.integrations.openai_agents import GreenroomSession

from .models import FakeModel, answer, call


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def test_items_are_turns(rt: Runtime) -> None:
    async def main() -> None:
        model = FakeModel([call("add", {"a": 1, "b": 2}), answer("It is 3.")])
        agent = Agent(name="a", model=model, tools=[model.tool])
        await Runner.run(agent, "1 + 2?", session=GreenroomSession("u7", rt))

    asyncio.run(main())
    session = rt.session(key="openai_agents:u7")
    assert [(turn.role, turn.text) for turn in session.messages()] == [
        ("user", "1 + 2?"),
        ("assistant", ""),
        ("tool", "3"),
        ("assistant", "It is 3."),
    ]
    sent, asked, result, _ = session.messages(format="openai")
    assert sent == user("1 + 2?")
    assert asked["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
    ]
    assert result["tool_call_id"] == "call_1"
    assert [row.event.type for row in session.timeline()][-1] == "message.added"
    assert session.at(sequence=2).messages[0].text == "1 + 2?"


def test_turns_of_other_means_are_read_as_messages(rt: Runtime) -> None:
    async def main() -> None:
        session = GreenroomSession("id", rt)
        await session.add_items([user("mistaken"), {"role": "user", "content": "x", "id": "1"}])
        turns = rt.session(key=session.key)
        turns.add_message("system", [{"type": "text", "text": "Be brief."}])
        turns.add_message("tool", "42", tool_call_id="c")
        turns.edit_message(turns.messages()[0].sequence, content="corrected")
        turns.edit_message(turns.messages()[1].sequence, content="y")
        items: list[Any] = [
            user("corrected"),
            {"role": "user", "content": "y", "id": "1"},
            {"role": "system", "content": "Be brief."},
            {"role": "assistant", "content": "42"},
        ]
        assert await session.get_items() == items
        assert await session.pop_item() == items[-1]
        assert await session.get_items() == items[:-1]

    asyncio.run(main())


def test_it_takes_an_async_runtime_and_several_loops(rt: Runtime) -> None:
    async def of_async() -> None:
        await GreenroomSession("id", AsyncRuntime.over(rt)).add_items([user("first")])

    asyncio.run(of_async())
    session = GreenroomSession("id", rt)

    async def write(writer: int) -> None:
        for n in range(20):
            await session.add_items([user(f"{writer}/{n}")])
            assert await session.get_items(1)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda writer: asyncio.run(write(writer)), range(4)))
    contents = [item["content"] for item in asyncio.run(session.get_items())]  # type: ignore[typeddict-item]
    assert sorted(contents) == sorted(["first", *(f"{writer}/{n}" for writer in range(4) for n in range(20))])


def test_pops_beside_adds_lose_nothing(rt: Runtime) -> None:
    async def main() -> None:
        session = GreenroomSession("id", rt)
        popped: list[Any] = []

        async def add(writer: int) -> None:
            for n in range(15):
                await session.add_items([user(f"{writer}/{n}")])

        async def pop() -> None:
            popped.extend([await session.pop_item() for _ in range(15)])

        await asyncio.gather(*(add(n) for n in range(3)), *(pop() for _ in range(3)))
        left = await session.get_items()
        every: list[Any] = [*left, *(each for each in popped if each is not None)]
        assert sorted(each["content"] for each in every) == sorted(f"{w}/{n}" for w in range(3) for n in range(15))

    asyncio.run(main())


def test_a_plain_message_costs_no_metadata(rt: Runtime) -> None:
    session = GreenroomSession("id", rt)
    asyncio.run(session.add_items([user("hi")]))
    assert rt.session(key=session.key).messages()[0].metadata == {}


def test_a_store_that_is_opened_again_has_everything(tmp_path: Path) -> None:
    async def main() -> None:
        session = GreenroomSession("id", tmp_path / "s")
        with pytest.raises(StoreLocked):
            GreenroomSession("other", tmp_path / "s")
        await session.add_items([user("a"), user("b")])
        await session.pop_item()
        session.close()
        with pytest.raises(RuntimeClosed):
            await session.get_items()
        again = GreenroomSession("id", tmp_path / "s")
        assert await again.get_items() == [user("a")]
        again.close()
        with Runtime.open(tmp_path / "s", read_only=True) as reading:
            assert await GreenroomSession("id", reading).get_items() == [user("a")]
            assert await GreenroomSession("none", reading).get_items() == []

    asyncio.run(main())


def test_a_deleted_session_begins_anew(rt: Runtime) -> None:
    async def main() -> None:
        session = GreenroomSession("id", rt)
        for n in range(3):
            await session.add_items([user(str(n))])
            assert await session.get_items() == [user(str(n))]
            rt.session(key=session.key).delete()
            if n:
                assert await session.get_items() == []
                assert await session.pop_item() is None
                await session.clear_session()

    asyncio.run(main())


def test_a_session_that_is_not_active_is_read_only(rt: Runtime) -> None:
    async def main() -> None:
        session = GreenroomSession("id", rt)
        await session.add_items([user("a")])
        rt.session(key=session.key).complete()
        for write in (session.add_items([user("b")]), session.pop_item(), session.clear_session()):
            with pytest.raises(InvalidSessionState):
                await write
        assert await session.get_items() == [user("a")]

    asyncio.run(main())


def test_too_large_an_item_changes_nothing(rt: Runtime) -> None:
    async def main() -> None:
        session = GreenroomSession("id", rt)
        with pytest.raises(ResourceLimitExceeded):
            await session.add_items([user("a"), user("x" * (16 << 20))])
        assert await session.get_items() == []
        large = [user("x" * (3 << 20)), {"type": "image_generation_call", "id": "i", "result": "y" * (3 << 20)}]
        await session.add_items(large)
        assert await session.get_items() == large

    asyncio.run(main())


@pytest.mark.parametrize("wrong", [None, 7, b"id", ["id"]])
def test_ids_are_texts(rt: Runtime, wrong: Any) -> None:
    with pytest.raises(ValidationError, match="session_id"):
        GreenroomSession(wrong, rt)


def test_lone_surrogates_are_an_id(rt: Runtime) -> None:
    async def main() -> None:
        for each in ("\ud800", "\udfff"):
            await GreenroomSession(each, rt).add_items([user(ascii(each))])
        assert await GreenroomSession("\ud800", rt).get_items() == [user("'\\ud800'")]
        assert GreenroomSession("\ud800", rt).key.startswith("openai_agents:sha256:")
        assert GreenroomSession(GreenroomSession("\ud800", rt).key[14:], rt).key != GreenroomSession("\ud800", rt).key

    asyncio.run(main())


def test_it_is_usable_below_the_sdks_encryption(rt: Runtime) -> None:
    async def main() -> None:
        inner = GreenroomSession("id", rt)
        session = EncryptedSession("id", inner, encryption_key="a key of at least some length")
        await session.add_items([user("secret")])
        assert await session.get_items() == [user("secret")]
        assert "secret" not in str(await inner.get_items())
        assert await session.pop_item() == user("secret")

    asyncio.run(main())


def test_a_replacement_is_tried_again_when_only_something_else_has_changed(rt: Runtime) -> None:
    async def main() -> None:
        session = GreenroomSession("id", rt)
        await session.add_items([user(str(n)) for n in range(4)])
        turns = rt.session(key=session.key)
        snapshot = await session._get_compaction_snapshot(4)
        turns.set("unrelated", 1)
        assert await snapshot.replace_suffix(2, [user("short")])
        assert await session.get_items() == [user("0"), user("1"), user("short")]
        snapshot = await session._get_compaction_snapshot(2)
        turns.edit_message(turns.messages()[-1].sequence, content="edited")
        assert not await snapshot.replace_suffix(0, [])

    asyncio.run(main())


WRITER = """
import asyncio, sys
from greenroom.runtime import Runtime
from greenroom.runtime.integrations.openai_agents import GreenroomSession

async def main():
    session = GreenroomSession("id", sys.argv[1])
    for n in range(100_000):
        await session.add_items([{"role": "user", "content": f"{n}{half}"} for half in "ab"])
        print(n, flush=True)

asyncio.run(main())
"""


def test_kill_minus_nine_loses_nothing_acknowledged_and_halves_nothing(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "s")], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(50):
        assert writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged = 50 + writer.stdout.read().count("\n")
    writer.wait()
    session = GreenroomSession("id", tmp_path / "s")
    contents = [item["content"] for item in asyncio.run(session.get_items())]  # type: ignore[typeddict-item]
    session.close()
    assert len(contents) // 2 in (acknowledged, acknowledged + 1)
    assert contents == [f"{n}{half}" for n in range(len(contents) // 2) for half in "ab"]
