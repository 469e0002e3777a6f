"""A model for real agents, which answers what it is told to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from agents import Model, ModelResponse, Usage, function_tool
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)


def answer(text: str) -> Any:
    part = ResponseOutputText(text=text, type="output_text", annotations=[])
    return ResponseOutputMessage(id="msg_1", content=[part], role="assistant", status="completed", type="message")


def call(name: str, arguments: dict[str, Any]) -> Any:
    return ResponseFunctionToolCall(name=name, arguments=json.dumps(arguments), call_id="call_1", type="function_call")


@function_tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class FakeModel(Model):
    """Gives its answers one after the other, and remembers what it was asked."""

    tool = add

    def __init__(self, answers: list[Any]) -> None:
        self.answers = list(answers)
        self.inputs: list[list[Any]] = []

    async def get_response(self, system_instructions: Any, input: Any, *rest: Any, **options: Any) -> ModelResponse:
        self.inputs.append(list(input) if not isinstance(input, str) else [input])
        return ModelResponse(output=[self.answers.pop(0)], usage=Usage(), response_id="resp_1")

    async def stream_response(
        self, system_instructions: Any, input: Any, *rest: Any, **options: Any
    ) -> AsyncIterator[Any]:  # type: ignore[override]
        output = (await self.get_response(system_instructions, input)).output
        response = Response(
            id="resp_1",
            created_at=0,
            model="fake",
            object="response",
            output=output,
            tool_choice="none",
            tools=[],
            parallel_tool_calls=False,
        )
        yield ResponseCompletedEvent(type="response.completed", response=response, sequence_number=0)
