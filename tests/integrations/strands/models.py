"""A model for real agents, which answers what it is told to."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from typing import Any

from strands import tool
from strands.models import Model


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def call(name: str, arguments: dict[str, Any]) -> list[Any]:
    return [
        {"contentBlockStart": {"start": {"toolUse": {"name": name, "toolUseId": "call_1"}}}},
        {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(arguments)}}}},
        {"contentBlockStop": {}},
        {"messageStop": {"stopReason": "tool_use"}},
    ]


def answer(text: str) -> list[Any]:
    return [
        {"contentBlockStart": {"start": {}}},
        {"contentBlockDelta": {"delta": {"text": text}}},
        {"contentBlockStop": {}},
        {"messageStop": {"stopReason": "end_turn"}},
    ]


class FakeModel(Model):
    """Gives its answers one after the other, and remembers what it was asked."""

    def __init__(self, answers: list[list[Any]]) -> None:
        self.answers = list(answers)
        self.inputs: list[list[Any]] = []

    def update_config(self, **model_config: Any) -> None: ...

    def get_config(self) -> Any:
        return {}

    def structured_output(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError

    async def stream(self, messages: Any, *args: Any, **options: Any) -> AsyncIterator[Any]:
        self.inputs.append(copy.deepcopy(messages))
        yield {"messageStart": {"role": "assistant"}}
        for event in self.answers.pop(0):
            yield event
