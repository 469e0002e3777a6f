"""What messages and state of Strands may carry: it comes back as it was, or it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.strands import GreenroomSessionRepository

from ..values import VALUES, keeps_or_refuses

PLACES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "a text": (lambda value: [{"text": value}], lambda content: content[0]["text"]),
    "a field": (lambda value: [{"text": "a", "k": value}], lambda content: content[0]["k"]),
    "an input": (
        lambda value: [{"toolUse": {"toolUseId": "i", "name": "f", "input": {"k": value}}}],
        lambda content: content[0]["toolUse"]["input"]["k"],
    ),
}


@pytest.fixture
def repository(rt: Runtime) -> GreenroomSessionRepository:
    made = GreenroomSessionRepository(rt)
    made.create_session(Session(session_id="7", session_type=SessionType.AGENT))
    return made


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("place", PLACES)
def test_a_message_comes_back_or_is_refused(repository: GreenroomSessionRepository, place: str, name: str) -> None:
    make, find = PLACES[place]
    repository.create_agent("7", SessionAgent(agent_id="a", state={}, conversation_manager_state={}))

    def put(value: Any) -> Any:
        message: Any = {"role": "user", "content": make(value)}
        repository.create_message("7", "a", SessionMessage(message=message, message_id=0))
        found = repository.read_message("7", "a", 0)
        assert found is not None
        return find(found.message["content"])

    keeps_or_refuses(name, put)


@pytest.mark.parametrize("name", VALUES)
def test_state_comes_back_or_is_refused(repository: GreenroomSessionRepository, name: str) -> None:
    def put(value: Any) -> Any:
        repository.create_agent("7", SessionAgent(agent_id="a", state={"k": value}, conversation_manager_state={}))
        found = repository.read_agent("7", "a")
        assert found is not None
        return found.state["k"]

    keeps_or_refuses(name, put)
