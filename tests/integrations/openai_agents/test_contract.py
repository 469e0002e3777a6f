"""The documented contract of the Agents SDK's `Session` protocol, and what its SQLiteSession does beyond the words.

Each test runs on SQLiteSession and on GreenroomSession. The SDK ships no tests for sessions.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from typing import Any

import pytest
from agents import Agent, OpenAIResponsesCompactionSession, Runner, SessionSettings
from agents.memory import Session
from hypothesis import given
from hypothesis import strategies as st

from .conftest import Make
from .models import FakeModel, answer, call

ITEMS: list[Any] = [
    {"role": "user", "content": "hi"},
    {"content": "the other way round", "role": "user"},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "see"}, {"type": "input_image"}]},
    {
        "id": "msg_1",
        "content": [{"annotations": [], "text": "Hello", "type": "output_text", "logprobs": []}],
        "role": "assistant",
        "status": "completed",
        "type": "message",
        "phase": None,
    },
    {"arguments": '{"a":1}', "call_id": "call_1", "name": "add", "type": "function_call", "id": "fc_1"},
    {"call_id": "call_1", "output": "2", "type": "function_call_output"},
    {"type": "function_call_output", "output": [{"type": "input_text", "text": "2"}], "call_id": "call_1"},
    {"type": "function_call_output", "output": {"not": "a list"}, "call_id": "call_1"},
    {"type": "function_call", "call_id": "c" * 300, "name": "", "arguments": ""},
    {"id": "rs_1", "summary": [{"text": "thinking", "type": "summary_text"}], "type": "reasoning"},
    {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "x" * 70_000},
    {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}},
    {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"},
    {"type": "item_reference", "id": "msg_1"},
    {"__enc__": 1, "v": 1, "kid": "hkdf-v1", "payload": "gAAAA"},
    {"role": "user", "content": None},
    {"role": "user", "content": {"a": 1}},
    {"role": "", "content": "no role"},
    {"role": "r" * 100, "content": "a long role"},
    {"role": "user", "content": "é\x00\ud800😀", "openai_agents": "whole"},
    {"role": "user", "content": [[], None, 1.0, -0.0, 10**30, {"": {}}]},
    {"role": 7, "content": "x", "type": ["message"]},
    {"number": math.inf},
    {"role": "user", "content": [[[[[[{"a": [[[[]]]]}]]]]]]},
    {"type": "message"},
    {},
    [],
    "text",
    None,
    0,
]


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def exact(items: list[Any]) -> list[str]:
    return [json.dumps(item) for item in items]


def test_it_is_a_session(make: Make) -> None:
    session = make("id")
    assert isinstance(session, Session)
    assert session.session_id == "id"
    assert session.session_settings == SessionSettings()


def test_items_come_back_byte_for_byte(make: Make) -> None:
    async def main() -> None:
        session = make("id")
        items = [*ITEMS, {"deep": nested(400)}]
        await session.add_items(items)
        assert exact(await session.get_items()) == exact(items)
        assert exact(await make("id").get_items()) == exact(items)
        popped = [await session.pop_item() for _ in items]
        assert exact(popped[::-1]) == exact(items)
        assert await session.pop_item() is None
        assert await session.get_items() == []

    asyncio.run(main())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["role", "content", "type", "call_id", "name", "arguments", "output", "id", "openai_agents", "status"]
)
LIKELY = st.sampled_from(["message", "function_call", "function_call_output", "reasoning", "user", "assistant", "tool"])


@given(st.lists(st.dictionaries(FIELDS, LIKELY | st.text(max_size=5) | JSON, max_size=7) | JSON, max_size=12))
def test_any_json_comes_back_byte_for_byte(make: Make, items: list[Any]) -> None:
    async def main() -> None:
        session = make("any")
        await session.clear_session()
        await session.add_items(items)
        assert exact(await session.get_items()) == exact(items)

    asyncio.run(main())


def test_what_json_makes_of_values_is_stored(make: Make) -> None:
    async def main() -> None:
        session = make("id")
        content: list[Any] = [{"type": "input_text", "text": "x"}]
        await session.add_items([{"role": "user", "content": content, 1: (True, None)}])
        content.clear()
        kept = {"role": "user", "content": [{"type": "input_text", "text": "x"}], "1": [True, None]}
        (item,) = await session.get_items()
        assert item == kept
        item["content"] = "changed by the reader"
        assert await session.get_items() == [kept]

    asyncio.run(main())


@pytest.mark.parametrize("wrong", [b"bytes", object(), {1, 2}, {"content": b"x"}, {(1, 2): 3}])
def test_one_wrong_item_changes_nothing(make: Make, wrong: object) -> None:
    async def main() -> None:
        session = make("id")
        await session.add_items([{"role": "user", "content": "first"}])
        with pytest.raises((TypeError, ValueError)):
            await session.add_items([{"role": "user", "content": "second"}, wrong])
        assert await session.get_items() == [{"role": "user", "content": "first"}]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("limit", "of_settings", "expected"),
    [
        (None, None, 5),
        (2, None, 2),
        (99, None, 5),
        (0, None, 0),
        (-1, None, 5),
        (None, 3, 3),
        (4, 3, 4),
        (2**31 - 1, 3, 5),
        (0, 3, 0),
        (None, 0, 0),
    ],
)
def test_limits(make: Make, limit: int | None, of_settings: int | None, expected: int) -> None:
    async def main() -> None:
        session = make("id", session_settings=SessionSettings(limit=of_settings))
        assert await session.get_items(limit) == []
        await session.add_items([{"role": "user", "content": str(n)} for n in range(5)])
        items = await session.get_items(limit=limit)
        assert [item["content"] for item in items] == [str(n) for n in range(5)][5 - expected :]

    asyncio.run(main())


def test_settings_may_be_a_dict(make: Make) -> None:
    assert make("id", session_settings={"limit": 2}).session_settings == SessionSettings(limit=2)


def test_nothing_on_nothing(make: Make) -> None:
    async def main() -> None:
        session = make("new")
        assert await session.pop_item() is None
        await session.clear_session()
        await session.add_items([])
        assert await session.get_items() == []
        await session.add_items([{"role": "user", "content": "1"}])
        await session.clear_session()
        assert await session.get_items() == []
        await session.add_items([{"role": "user", "content": "2"}])
        assert await session.get_items() == [{"role": "user", "content": "2"}]

    asyncio.run(main())


IDS = ["", " ", "a/b", "a", "A", "a:b", "é", "e\u0301", "../x", "x" * 5000, "x" * 5001, "\x00", "😀", "%00", "sha256:"]


def test_ids_of_any_characters_are_apart(make: Make) -> None:
    async def main() -> None:
        for each in IDS:
            await make(each).add_items([{"role": "user", "content": each}])
        for each in IDS:
            assert await make(each).get_items() == [{"role": "user", "content": each}]

    asyncio.run(main())


def test_ten_thousand_items(make: Make) -> None:
    async def main() -> None:
        session = make("many")
        items = [{"role": "user", "content": str(n)} for n in range(10_001)]
        await session.add_items(items)
        assert await session.get_items() == items
        assert await session.get_items(limit=20) == items[-20:]
        await session.clear_session()
        assert await session.get_items() == []

    asyncio.run(main())


def test_concurrent_writers_lose_nothing_and_keep_batches_together(make: Make) -> None:
    async def main() -> None:
        session, other = make("busy"), make("busy")

        async def write(writer: int) -> None:
            for n in range(10):
                pair = [{"role": "user", "content": f"{writer}/{n}/{half}"} for half in "ab"]
                await (session if n % 2 else other).add_items(pair)

        await asyncio.gather(*(write(each) for each in range(8)))
        contents = [item["content"] for item in await session.get_items()]
        assert len(contents) == len(set(contents)) == 160
        assert all(a[:-1] == b[:-1] for a, b in zip(contents[::2], contents[1::2], strict=True))
        for writer in range(8):
            own = [each for each in contents if each.startswith(f"{writer}/")]
            assert own == sorted(own)

    asyncio.run(main())


def test_concurrent_pops_share_nothing(make: Make) -> None:
    async def main() -> None:
        session = make("id")
        await session.add_items([{"role": "user", "content": str(n)} for n in range(20)])
        popped = await asyncio.gather(*(session.pop_item() for _ in range(30)))
        assert sorted(int(each["content"]) for each in popped if each) == list(range(20))
        assert popped.count(None) == 10

    asyncio.run(main())


def test_a_cancelled_write_is_done_or_not_when_the_await_ends(make: Make) -> None:
    async def main() -> None:
        session = make("id")
        for n in range(20):
            task = asyncio.ensure_future(session.add_items([{"role": "user", "content": str(n)}]))
            for _ in range(n % 4):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            seen = await session.get_items()
            await asyncio.sleep(0.001)
            assert await session.get_items() == seen

    asyncio.run(main())


# -- with the SDK's own Runner


def test_a_runner_continues_the_conversation(make: Make) -> None:
    async def main() -> None:
        model = FakeModel([call("add", {"a": 1, "b": 2}), answer("3"), answer("still 3")])
        agent = Agent(name="a", model=model, tools=[model.tool])
        first = await Runner.run(agent, "1 + 2?", session=make("id"))
        assert first.final_output == "3"
        second = await Runner.run(agent, "sure?", session=make("id"))
        assert second.final_output == "still 3"
        stored = await make("id").get_items()
        kinds = [item.get("type", item.get("role")) for item in stored]
        assert kinds == ["user", "function_call", "function_call_output", "message", "user", "message"]
        assert model.inputs[-1][:4] == stored[:4]  # the whole of it was given to the model
        assert stored[2]["output"] == "3"

    asyncio.run(main())


def test_a_runner_takes_a_session_limit(make: Make) -> None:
    async def main() -> None:
        model = FakeModel([answer(str(n)) for n in range(4)])
        agent = Agent(name="a", model=model)
        session = make("id", session_settings={"limit": 2})
        for n in range(4):
            await Runner.run(agent, f"q{n}", session=session)
        assert [item["content"] for item in model.inputs[-1] if item["role"] == "user"] == ["q2", "q3"]
        assert len(await session.get_items(limit=100)) == 8

    asyncio.run(main())


def test_a_streamed_run_is_kept(make: Make) -> None:
    async def main() -> None:
        model = FakeModel([answer("streamed")])
        result = Runner.run_streamed(Agent(name="a", model=model), "q", session=make("id"))
        async for _ in result.stream_events():
            pass
        assert [item["role"] for item in await make("id").get_items()] == ["user", "assistant"]

    asyncio.run(main())


class Responses:
    """Stands for OpenAI's client: it compacts what it is given into one item."""

    def __init__(self) -> None:
        self.responses = self
        self.given: list[list[Any]] = []

    async def compact(self, **request: Any) -> Any:
        self.given.append(request["input"])

        class Compacted:
            output = ({"type": "compaction", "id": "cmp", "encrypted_content": "short"},)
            usage = None

        return Compacted()


def compacting(session: Any, client: Responses, **options: Any) -> OpenAIResponsesCompactionSession:
    return OpenAIResponsesCompactionSession("id", session, client=client, **options)  # type: ignore[arg-type]


def test_manual_compaction_replaces_everything(make: Make) -> None:
    async def main() -> None:
        client, inner = Responses(), make("id")
        session = compacting(inner, client)
        await session.add_items([{"role": "user", "content": str(n)} for n in range(5)])
        await session.run_compaction({"force": True, "compaction_mode": "input"})
        assert len(client.given[0]) == 5
        assert [item["type"] for item in await inner.get_items()] == ["compaction"]

    asyncio.run(main())


def test_a_runner_compacts_the_newest_items_and_keeps_the_older_ones(make: Make) -> None:
    async def main() -> None:
        client, inner = Responses(), make("id", session_settings={"limit": 4})
        older = [{"role": "user", "content": f"old {n}"} for n in range(6)]
        await inner.add_items(older)
        session = compacting(
            inner,
            client,
            compaction_mode="input",
            should_trigger_compaction=lambda seen: len(seen["session_items"]) > 3,
        )
        agent = Agent(name="a", model=FakeModel([answer("a")]))
        await Runner.run(agent, "q", session=session)
        assert len(client.given) == 1
        left = await inner.get_items(limit=100)
        assert left[-1]["type"] == "compaction"
        assert left[:-1] == older[: len(left) - 1]
        assert len(left) < 8

    asyncio.run(main())


def test_what_is_no_longer_the_newest_is_not_replaced(make: Make) -> None:
    async def main() -> None:
        session = make("id")
        await session.add_items([{"role": "user", "content": str(n)} for n in range(5)])
        new: list[Any] = [{"role": "user", "content": "new"}]
        snapshot = await session._get_compaction_snapshot(3)
        assert ([item["content"] for item in snapshot.items], snapshot.complete) == (["2", "3", "4"], False)
        assert not await snapshot.replace_suffix(3, new)
        assert await snapshot.replace_suffix(1, new)
        assert [item["content"] for item in await session.get_items()] == ["0", "1", "2", "new"]
        assert not await snapshot.replace_suffix(1, new)

        whole = await session._get_compaction_snapshot(4)
        assert whole.complete
        await session.add_items(new)
        assert not await whole.replace_suffix(0, [])
        whole = await session._get_compaction_snapshot(5)
        assert await whole.replace_suffix(0, [])
        assert await session.get_items() == []

    asyncio.run(main())
