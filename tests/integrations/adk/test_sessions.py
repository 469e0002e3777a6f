"""The contract of ADK's `BaseSessionService`, held by ADK's own services and by greenroom's alike."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions.base_session_service import BaseSessionService, GetSessionConfig
from google.adk.sessions.in_memory_session_service import InMemorySessionService
from google.adk.sessions.session import Session
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai import types

from greenroom.runtime import AsyncRuntime, Runtime, ValidationError
from greenroom.runtime.integrations.adk import GreenroomSessionService

APP: dict[str, Any] = {"app_name": "app", "user_id": "user"}


@pytest.fixture(params=["greenroom", "memory", "sqlite"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseSessionService]:
    if request.param == "memory":
        yield InMemorySessionService()
    elif request.param == "sqlite":
        yield SqliteSessionService(str(tmp_path / "adk.db"))
    else:
        service = GreenroomSessionService(tmp_path / "store")
        yield service
        service.close()


@pytest.fixture
def ours(rt: Runtime) -> GreenroomSessionService:
    return GreenroomSessionService(rt)


def said(text: str, author: str = "user", **fields: Any) -> Event:
    role = "user" if author == "user" else "model"
    return Event(author=author, content=types.Content(role=role, parts=[types.Part(text=text)]), **fields)


def changing(**delta: Any) -> Event:
    return Event(author="agent", actions=EventActions(state_delta={k.replace("__", ":"): v for k, v in delta.items()}))


def run(steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(steps())


def test_a_session_comes_back_with_events_and_state(service: BaseSessionService) -> None:
    async def steps() -> None:
        session = await service.create_session(**APP, session_id="s", state={"a": 1, "n": None})
        assert (session.id, session.state, session.events) == ("s", {"a": 1, "n": None}, [])
        await service.append_event(session, said("hello", invocation_id="i1"))
        await service.append_event(session, said("hi there", "agent"))
        await service.append_event(session, changing(a=2, b={"deep": [1, None]}, n=None))
        again = await service.get_session(**APP, session_id="s")
        assert again is not None
        assert again.state == session.state == {"a": 2, "b": {"deep": [1, None]}, "n": None}
        assert again.events == session.events
        assert again.last_update_time == session.last_update_time
        assert [event.content.parts[0].text for event in again.events[:2]] == ["hello", "hi there"]  # type: ignore[union-attr,index]

    run(steps)


def test_ids_are_stripped_made_and_unique(service: BaseSessionService) -> None:
    async def steps() -> None:
        session = await service.create_session(**APP, session_id="  s ")
        assert session.id == "s"
        assert await service.get_session(**APP, session_id="s") is not None
        for taken in ("s", " s  "):
            with pytest.raises(AlreadyExistsError):
                await service.create_session(**APP, session_id=taken)
        made = {(await service.create_session(**APP)).id for _ in range(3)}
        made.add((await service.create_session(**APP, session_id="   ")).id)
        assert len(made) == 4
        assert all(made)
        assert await service.get_session(**APP, session_id="other") is None
        assert await service.get_session(app_name="other", user_id="user", session_id="s") is None

    run(steps)


def test_state_is_shared_by_its_prefix(service: BaseSessionService) -> None:
    async def steps() -> None:
        one = await service.create_session(**APP, session_id="1", state={"app:x": 1, "user:y": 2, "z": 3, "temp:t": 4})
        assert {key: one.state[key] for key in ("app:x", "user:y", "z")} == {"app:x": 1, "user:y": 2, "z": 3}
        await service.append_event(one, changing(app__x=10, user__y=20, z=30, temp__t=40))
        assert one.state["temp:t"] == 40
        same = await service.create_session(**APP, session_id="2")
        assert same.state == {"app:x": 10, "user:y": 20}
        other = await service.create_session(app_name="app", user_id="another", session_id="3")
        assert other.state == {"app:x": 10}
        assert (await service.create_session(app_name="b", user_id="user")).state == {}
        assert await service.get_user_state(**APP) == {"y": 20}
        assert await service.get_user_state(app_name="app", user_id="nobody") == {}
        again = await service.get_session(**APP, session_id="1")
        assert again is not None
        assert again.state == {"app:x": 10, "user:y": 20, "z": 30}
        assert all("temp:t" not in event.actions.state_delta for event in again.events)

    run(steps)


def test_partial_events_are_not_stored(service: BaseSessionService) -> None:
    async def steps() -> None:
        session = await service.create_session(**APP, session_id="s")
        await service.append_event(session, said("hal", "agent", partial=True))
        assert session.events == []
        again = await service.get_session(**APP, session_id="s")
        assert again is not None
        assert again.events == []

    run(steps)


def test_the_newest_events(service: BaseSessionService) -> None:
    async def steps() -> None:
        session = await service.create_session(**APP, session_id="s")
        start = session.last_update_time
        for number in range(10):
            await service.append_event(session, said(str(number), timestamp=start + 1 + number))

        async def texts(**config: Any) -> list[str]:
            found = await service.get_session(**APP, session_id="s", config=GetSessionConfig(**config))
            assert found is not None
            return [event.content.parts[0].text for event in found.events]  # type: ignore[union-attr,index,misc]

        assert await texts(num_recent_events=3) == ["7", "8", "9"]
        assert await texts(num_recent_events=0) == []
        assert await texts(num_recent_events=99) == [str(number) for number in range(10)]
        assert await texts(after_timestamp=start + 8) == ["7", "8", "9"]
        assert await texts(after_timestamp=start + 8, num_recent_events=2) == ["8", "9"]
        assert await texts(after_timestamp=start + 100) == []

    run(steps)


def test_sessions_are_listed_without_events_oldest_first(service: BaseSessionService) -> None:
    async def steps() -> None:
        for name in ("a", "b", "c"):
            await service.create_session(**APP, session_id=name, state={"n": name})
        await service.create_session(app_name="app", user_id="another", session_id="d")
        await service.create_session(app_name="b", user_id="user", session_id="e")
        a = await service.get_session(**APP, session_id="a")
        assert a is not None
        await service.append_event(a, said("last"))
        found = (await service.list_sessions(**APP)).sessions
        assert [(each.id, each.events, each.state) for each in found] == [
            ("b", [], {"n": "b"}),
            ("c", [], {"n": "c"}),
            ("a", [], {"n": "a"}),
        ]
        assert {each.id for each in (await service.list_sessions(app_name="app")).sessions} == {"a", "b", "c", "d"}
        assert (await service.list_sessions(app_name="none")).sessions == []

    run(steps)


def test_a_deleted_session_is_gone_and_takes_no_events(service: BaseSessionService) -> None:
    async def steps() -> None:
        session = await service.create_session(**APP, session_id="s", state={"user:y": 1})
        await service.delete_session(**APP, session_id="s")
        await service.delete_session(**APP, session_id="s")
        assert await service.get_session(**APP, session_id="s") is None
        assert (await service.list_sessions(**APP)).sessions == []
        with pytest.raises(ValueError, match="not found"):
            await service.append_event(session, said("too late"))
        again = await service.create_session(**APP, session_id="s")
        assert again.events == []
        assert again.state == {"user:y": 1}

    run(steps)


@pytest.mark.parametrize("name", ["a/b", "ü日本", 'q"[,]', "x" * 300, "\x01\n", "..", "a:b"])
def test_any_text_is_a_name(service: BaseSessionService, name: str) -> None:
    async def steps() -> None:
        made = await service.create_session(
            app_name=name, user_id=name, session_id=name, state={"app:x": 1, "user:y": 2}
        )
        await service.append_event(made, said("hi"))
        again = await service.get_session(app_name=name, user_id=name, session_id=name)
        assert again is not None
        assert again.events == made.events
        assert again.state == {"app:x": 1, "user:y": 2}
        assert [each.id for each in (await service.list_sessions(app_name=name)).sessions] == [made.id]

    run(steps)


def test_events_come_back_exactly(service: BaseSessionService) -> None:
    parts = [
        types.Part(text="thinking", thought=True),
        types.Part(function_call=types.FunctionCall(id="1", name="f", args={"a": [1, {"b": None}]})),
        types.Part(function_response=types.FunctionResponse(id="1", name="f", response={"r": "x" * 10_000})),
        types.Part(inline_data=types.Blob(data=bytes(range(256)), mime_type="image/png")),
        types.Part(text="", thought_signature=b"\xff\x00"),
    ]
    events = [
        Event(author="agent", content=types.Content(role="model", parts=parts), invocation_id="i", branch="a.b"),
        Event(author="agent", content=types.Content(role="user", parts=parts[2:3])),
        Event(author="agent", content=types.Content(parts=[])),
        Event(author="agent", error_code="500", error_message="no", custom_metadata={"k": [1]}),
        Event(author="user", content=types.Content(parts=[types.Part(text="")])),
        Event(author="a" * 300, turn_complete=True, long_running_tool_ids={"1"}),
    ]

    async def steps() -> None:
        session = await service.create_session(**APP, session_id="s")
        for event in events:
            await service.append_event(session, event)
        again = await service.get_session(**APP, session_id="s")
        assert again is not None
        assert [each.model_dump(exclude_none=True) for each in again.events] == [
            each.model_dump(exclude_none=True) for each in session.events
        ]

    run(steps)


# -- greenroom's own


def test_half_a_character_is_kept(ours: GreenroomSessionService) -> None:
    async def steps() -> None:
        names = {"app_name": "a\ud800", "user_id": "u\ud800"}
        made = await ours.create_session(**names, session_id="s\ud800")
        await ours.append_event(made, said("half \ud800"))
        again = await ours.get_session(**names, session_id="s\ud800")
        assert again is not None
        assert again.events == made.events
        assert [each.id for each in (await ours.list_sessions(**names)).sessions] == [made.id]

    run(steps)


def test_keys_of_the_service_are_refused_and_not_shown(ours: GreenroomSessionService) -> None:
    async def steps() -> None:
        with pytest.raises(ValidationError, match="the service's own"):
            await ours.create_session(**APP, session_id="s", state={"greenroom:adk": 1})
        session = await ours.create_session(**APP, session_id="s")
        assert session.state == {}
        with pytest.raises(ValidationError, match="the service's own"):
            await ours.append_event(session, changing(greenroom__x=1))
        assert session.events == []

    run(steps)


def test_a_stale_writer_is_refused_and_changes_nothing(ours: GreenroomSessionService) -> None:
    async def steps() -> None:
        await ours.create_session(**APP, session_id="s")
        one, two = [await ours.get_session(**APP, session_id="s") for _ in range(2)]
        assert one is not None
        assert two is not None
        await ours.append_event(one, said("first"))
        with pytest.raises(ValueError, match="was written to since"):
            await ours.append_event(two, changing(a=1, app__b=2))
        assert (two.events, two.state) == ([], {})
        fresh = await ours.get_session(**APP, session_id="s")
        assert fresh is not None
        assert [len(fresh.events), fresh.state] == [1, {}]
        await ours.append_event(fresh, said("second"))
        by_hand = Session(id="s", app_name="app", user_id="user", last_update_time=0.0)
        with pytest.raises(ValueError, match="was written to since"):
            await ours.append_event(by_hand, said("third"))

    run(steps)


def test_an_event_delivered_again_is_stored_once(ours: GreenroomSessionService) -> None:
    async def steps() -> None:
        session = await ours.create_session(**APP, session_id="s")
        before = session.model_copy(deep=True)
        event = said("once")
        await ours.append_event(session, event)
        await ours.append_event(session, event)
        await ours.append_event(before, event.model_copy(deep=True))  # the reply was lost
        await ours.append_event(before, said("next"))
        again = await ours.get_session(**APP, session_id="s")
        assert again is not None
        assert len(again.events) == 2

    run(steps)


def test_it_is_an_ordinary_session(rt: Runtime, ours: GreenroomSessionService) -> None:
    async def steps() -> None:
        session = await ours.create_session(**APP, session_id="s", state={"a": 1})
        await ours.append_event(session, said("hello"))
        await ours.append_event(session, said("hi", "agent"))

    run(steps)
    session = rt.session(key='adk:["app","user","s"]')
    assert [(turn.role, turn.content) for turn in session.messages()] == [("user", "hello"), ("assistant", "hi")]
    assert session.get("a") == 1
    assert rt.replay(session).identical
    assert rt.verify().problems == []


def test_other_turns_of_the_session_are_no_events(rt: Runtime, ours: GreenroomSessionService) -> None:
    async def steps() -> None:
        session = await ours.create_session(**APP, session_id="s")
        rt.session(key='adk:["app","user","s"]').add_message("user", "by another way")
        await ours.append_event(session, said("hello"))
        again = await ours.get_session(**APP, session_id="s", config=GetSessionConfig(num_recent_events=5))
        assert again is not None
        assert len(again.events) == 1

    run(steps)


def test_over_an_async_runtime() -> None:
    async def steps() -> None:
        async with await AsyncRuntime.open() as rt:
            service = GreenroomSessionService(rt)
            session = await service.create_session(**APP)
            await service.append_event(session, said("hi"))
            service.close()
            assert len(rt.runtime.list_sessions()) == 1

    run(steps)


def test_two_writers_at_once_lose_nothing(ours: GreenroomSessionService) -> None:
    async def steps() -> None:
        await ours.create_session(**APP, session_id="s")

        async def write(name: str) -> None:
            for number in range(10):
                while True:
                    session = await ours.get_session(**APP, session_id="s")
                    assert session is not None
                    try:
                        await ours.append_event(session, said(f"{name}{number}"))
                        break
                    except ValueError:
                        continue

        await asyncio.gather(*(write(name) for name in "abc"))
        session = await ours.get_session(**APP, session_id="s")
        assert session is not None
        texts = [event.content.parts[0].text for event in session.events]  # type: ignore[union-attr,index]
        assert sorted(texts) == sorted(f"{name}{number}" for name in "abc" for number in range(10))  # type: ignore[type-var]

    run(steps)


WRITER = """
import asyncio, sys
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from greenroom.runtime.integrations.adk import GreenroomSessionService

async def main():
    service = GreenroomSessionService(sys.argv[1])
    session = await service.create_session(app_name="app", user_id="user", session_id="s")
    for number in range(100_000):
        delta = {"n": number, "app:n": number, "user:n": number}
        await service.append_event(session, Event(author="agent", actions=EventActions(state_delta=delta)))
        print(number, flush=True)

asyncio.run(main())
"""


def test_killed_while_it_writes_events_and_state_agree(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "store")], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    told = [int(next(child.stdout)) for _ in range(100)][-1]
    os.kill(child.pid, signal.SIGKILL)
    told = max([told, *(int(line) for line in child.stdout.read().split("\n")[:-1] if line)])
    child.wait()
    service = GreenroomSessionService(tmp_path / "store")

    async def steps() -> None:
        session = await service.get_session(**APP, session_id="s")
        assert session is not None
        last = len(session.events) - 1
        assert last >= told
        assert session.state == {"n": last, "app:n": last, "user:n": last}
        assert json.loads(session.events[-1].model_dump_json())["actions"]["state_delta"]["n"] == last

    run(steps)
    service.close()
