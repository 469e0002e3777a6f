"""The contract of ADK's `BaseMemoryService`, held by ADK's own service in memory and by greenroom's alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from google.adk.events.event import Event
from google.adk.memory.base_memory_service import BaseMemoryService
from google.adk.memory.in_memory_memory_service import InMemoryMemoryService
from google.adk.memory.memory_entry import MemoryEntry
from google.adk.sessions.session import Session
from google.genai import types

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.adk import GreenroomMemoryService

USER: dict[str, Any] = {"app_name": "app", "user_id": "user"}


@pytest.fixture(params=["greenroom", "memory"])
def service(request: pytest.FixtureRequest, rt: Runtime) -> BaseMemoryService:
    return GreenroomMemoryService(rt) if request.param == "greenroom" else InMemoryMemoryService()


def run(steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(steps())


def said(text: str, id: str) -> Event:
    content = types.Content(role="user", parts=[types.Part(text=text)])
    return Event(author="user", content=content, id=id, timestamp=1_800_000_000.0)


async def found(service: BaseMemoryService, query: str, **names: Any) -> list[str | None]:
    response = await service.search_memory(**{**USER, **names}, query=query)
    return [each.id for each in response.memories]


def test_what_has_most_of_the_words_comes_first(service: BaseMemoryService) -> None:
    events = [
        said("The cat sat on the mat.", "1"),
        said("A dog chased the cat around.", "2"),
        said("Python is a language", "3"),
        said("私はPythonを使う", "4"),
        Event(author="agent", id="5"),
    ]

    async def steps() -> None:
        await service.add_session_to_memory(Session(id="s", **USER, events=events))
        assert await found(service, "cat") == ["1", "2"]
        assert await found(service, "dog CAT") == ["2", "1"]
        assert await found(service, "python") == ["3", "4"]
        assert await found(service, "使う") == ["4"]
        assert await found(service, "thon") == []
        assert await found(service, "ca") == []
        assert await found(service, "") == []
        assert await found(service, "?!") == []
        assert await found(service, "cat", user_id="another") == []
        assert await found(service, "cat", app_name="b") == []
        (memory,) = (await service.search_memory(**USER, query="mat")).memories
        assert memory.content == events[0].content
        assert memory.author == "user"
        assert memory.timestamp is not None
        assert memory.timestamp.startswith("2027-01-1")

    run(steps)


def test_a_session_added_again_replaces_what_it_was(service: BaseMemoryService) -> None:
    async def steps() -> None:
        one, two, three = said("apple", "1"), said("apple pie", "2"), said("apple cake", "3")
        await service.add_session_to_memory(Session(id="s", **USER, events=[one, two]))
        await service.add_session_to_memory(Session(id="t", **USER, events=[three]))
        await service.add_session_to_memory(Session(id="s", **USER, events=[two]))
        assert sorted(map(str, await found(service, "apple"))) == ["2", "3"]

    run(steps)


def test_an_event_that_says_something_else_now_is_remembered_so(service: BaseMemoryService) -> None:
    async def steps() -> None:
        await service.add_session_to_memory(Session(id="s", **USER, events=[said("old pear", "1")]))
        await service.add_session_to_memory(Session(id="s", **USER, events=[said("new pear", "1")]))
        assert await found(service, "old") == []
        assert await found(service, "new") == ["1"]

    run(steps)


def test_sessions_may_have_events_with_the_same_id(service: BaseMemoryService) -> None:
    async def steps() -> None:
        await service.add_session_to_memory(Session(id="s", **USER, events=[said("fig", "1")]))
        await service.add_session_to_memory(Session(id="t", **USER, events=[said("fig too", "1")]))
        assert await found(service, "fig") == ["1", "1"]
        await service.add_session_to_memory(Session(id="s", **USER))
        assert await found(service, "fig") == ["1"]
        await service.delete_memory(**USER, memory_id="1")
        assert await found(service, "fig") == []

    run(steps)


@pytest.mark.parametrize("name", ["a/b", "ü日本", "x" * 900, "\x01\n", "a:b", "half \ud800"])
def test_any_text_is_a_name_and_a_memory(service: BaseMemoryService, name: str) -> None:
    async def steps() -> None:
        names = {"app_name": name, "user_id": name}
        await service.add_events_to_memory(**names, session_id=name, events=[said(f"kiwi {name}", name)])
        assert await found(service, "kiwi", **names) == [name]
        assert await found(service, "x" * 9000, **names) == []
        await service.delete_memory(**names, memory_id=name)
        assert await found(service, "kiwi", **names) == []

    run(steps)


def test_a_session_added_again_stores_nothing(rt: Runtime) -> None:
    async def steps() -> None:
        service = GreenroomMemoryService(rt)
        session = Session(id="s", **USER, events=[said(f"plum {n}", str(n)) for n in range(20)])
        await service.add_session_to_memory(session)
        home = rt.session(key='adk:memory:["app","user"]')
        before = [info.id for info in home.query_artifacts(limit=None)]
        await service.add_session_to_memory(session)
        assert [info.id for info in home.query_artifacts(limit=None)] == before
        assert len(before) == 20

    run(steps)


def test_events_are_added_once(service: BaseMemoryService) -> None:
    async def steps() -> None:
        await service.add_events_to_memory(**USER, events=[said("apple", "1"), said("apple", "1")], session_id="s")
        await service.add_events_to_memory(**USER, events=[said("apple", "1"), said("apple pie", "2")], session_id="s")
        assert await found(service, "apple") == ["1", "2"]

    run(steps)


def test_ten_at_most(service: BaseMemoryService) -> None:
    async def steps() -> None:
        await service.add_events_to_memory(**USER, events=[said(f"apple {n}", str(n)) for n in range(30)])
        assert await found(service, "apple") == [str(n) for n in range(10)]

    run(steps)


def test_what_is_forgotten_does_not_come_back(service: BaseMemoryService) -> None:
    async def steps() -> None:
        session = Session(id="s", **USER, events=[said("apple", "1"), said("apple", "2")])
        await service.add_session_to_memory(session)
        await service.delete_memory(**USER, memory_id="1")
        await service.delete_memory(**USER, memory_id="1")
        await service.delete_memory(**USER, memory_id="none")
        await service.delete_memory(**USER)
        await service.delete_memory(app_name="none", user_id="none", memory_id="1")
        assert await found(service, "apple") == ["2"]
        await service.add_session_to_memory(session)
        assert await found(service, "apple") == ["2"]

    run(steps)


# -- greenroom's own


def test_memories_of_the_hosts_own(rt: Runtime) -> None:
    async def steps() -> None:
        service = GreenroomMemoryService(rt)
        content = types.Content(parts=[types.Part(text="likes apples")])
        await service.add_memory(
            **USER,
            memories=[MemoryEntry(content=content), MemoryEntry(id="x\n" * 200, content=content)],
            custom_metadata={"from": "host"},
        )
        memories = (await service.search_memory(**USER, query="apples")).memories
        assert len(memories) == 2
        assert all(each.content == content and each.custom_metadata == {"from": "host"} for each in memories)
        assert all(each.id for each in memories)

    run(steps)
    assert rt.verify().problems == []
