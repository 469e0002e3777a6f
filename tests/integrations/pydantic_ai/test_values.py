"""What messages of Pydantic AI may carry: it comes back as it was, or it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, ToolCallPart, ToolReturnPart

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.pydantic_ai import GreenroomMessageHistory

from ..values import VALUES, keeps_or_refuses

PLACES: dict[str, tuple[Callable[[Any], ModelMessage], Callable[[Any], Any]]] = {
    "result": (
        lambda value: ModelRequest(parts=[ToolReturnPart("f", value, tool_call_id="i")]),
        lambda part: part.content,
    ),
    "metadata": (
        lambda value: ModelRequest(parts=[ToolReturnPart("f", "a", tool_call_id="i", metadata={"k": value})]),
        lambda part: part.metadata["k"],
    ),
    "arguments": (
        lambda value: ModelResponse(parts=[ToolCallPart("f", {"k": value}, tool_call_id="i")]),
        lambda part: part.args["k"],
    ),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("place", PLACES)
def test_a_message_comes_back_or_is_refused(rt: Runtime, place: str, name: str) -> None:
    make, find = PLACES[place]
    history = GreenroomMessageHistory("7", rt)

    def put(value: Any) -> Any:
        history.add([make(value)])
        return find(history.load()[0].parts[0])

    keeps_or_refuses(name, put)
