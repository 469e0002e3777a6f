"""What ADK's events and state may carry: it comes back as it was, or it is refused and nothing is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.memory.memory_entry import MemoryEntry
from google.genai import types

from greenroom.runtime import GreenroomError, Runtime
from greenroom.runtime.integrations.adk import GreenroomMemoryService, GreenroomSessionService

from ..values import VALUES, keeps_or_refuses

APP: dict[str, Any] = {"app_name": "app", "user_id": "user"}


def _of_agent(part: types.Part) -> Event:
    return Event(author="agent", content=types.Content(role="model", parts=[part]))


def _part(event: Event) -> types.Part:
    assert event.content is not None
    assert event.content.parts is not None
    return event.content.parts[0]


PLACES: dict[str, tuple[Callable[[Any], Event], Callable[[Event], Any]]] = {
    "state": (
        lambda value: Event(author="agent", actions=EventActions(state_delta={"k": value})),
        lambda event: event.actions.state_delta["k"],
    ),
    "arguments": (
        lambda value: _of_agent(types.Part(function_call=types.FunctionCall(name="f", args={"k": value}))),
        lambda event: _part(event).function_call.args["k"],  # type: ignore[union-attr,index]
    ),
    "response": (
        lambda value: _of_agent(types.Part(function_response=types.FunctionResponse(name="f", response={"k": value}))),
        lambda event: _part(event).function_response.response["k"],  # type: ignore[union-attr,index]
    ),
    "metadata": (
        lambda value: Event(author="agent", custom_metadata={"k": value}),
        lambda event: event.custom_metadata["k"],  # type: ignore[index]
    ),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("place", PLACES)
def test_an_event_comes_back_or_changes_nothing(rt: Runtime, place: str, name: str) -> None:
    service = GreenroomSessionService(rt)
    make, find = PLACES[place]

    async def put(value: Any) -> Any:
        session = await service.create_session(**APP)
        event = make(value)
        try:
            await service.append_event(session, event)
        except GreenroomError:
            assert session.events == []
            assert "k" not in session.state
            again = await service.get_session(**APP, session_id=session.id)
            assert again is not None
            assert again.events == []
            assert "k" not in again.state
            await service.append_event(session, Event(author="user"))  # and the session is as good as before
            raise
        again = await service.get_session(**APP, session_id=session.id)
        assert again is not None
        if place == "state":
            assert repr(again.state["k"]) == repr(find(again.events[0]))
        return find(again.events[0])

    keeps_or_refuses(name, put)


@pytest.mark.parametrize("name", VALUES)
def test_first_state_comes_back_or_is_refused(rt: Runtime, name: str) -> None:
    service = GreenroomSessionService(rt)

    async def put(value: Any) -> Any:
        made = await service.create_session(**APP, state={"k": value})
        again = await service.get_session(**APP, session_id=made.id)
        assert again is not None
        return again.state["k"]

    keeps_or_refuses(name, put)


@pytest.mark.parametrize("name", VALUES)
def test_memory_comes_back_or_is_refused(rt: Runtime, name: str) -> None:
    service = GreenroomMemoryService(rt)

    async def put(value: Any) -> Any:
        said = types.Content(role="user", parts=[types.Part(text="tea")])
        await service.add_memory(**APP, memories=[MemoryEntry(content=said, custom_metadata={"k": value})])
        found = await service.search_memory(**APP, query="tea")
        return found.memories[0].custom_metadata["k"]

    keeps_or_refuses(name, put)
