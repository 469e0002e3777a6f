"""What messages of LangChain may carry: it comes back as it was, or it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.langchain import GreenroomChatMessageHistory

from ..values import VALUES, keeps_or_refuses

PLACES: dict[str, tuple[Callable[[Any], BaseMessage], Callable[[Any], Any]]] = {
    "keywords": (lambda value: AIMessage("a", additional_kwargs={"k": value}), lambda it: it.additional_kwargs["k"]),
    "metadata": (lambda value: AIMessage("a", response_metadata={"k": value}), lambda it: it.response_metadata["k"]),
    "content": (lambda value: HumanMessage([{"type": "x", "k": value}]), lambda it: it.content[0]["k"]),
    "arguments": (
        lambda value: AIMessage("a", tool_calls=[{"name": "f", "args": {"k": value}, "id": "i"}]),
        lambda it: it.tool_calls[0]["args"]["k"],
    ),
    "artifact": (lambda value: ToolMessage("r", tool_call_id="i", artifact=value), lambda it: it.artifact),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("place", PLACES)
def test_a_message_comes_back_or_is_refused(rt: Runtime, place: str, name: str) -> None:
    make, find = PLACES[place]
    history = GreenroomChatMessageHistory("7", rt)

    def put(value: Any) -> Any:
        history.add_messages([make(value)])
        return find(history.messages[0])

    keeps_or_refuses(name, put)
