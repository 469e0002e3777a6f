"""What messages and checkpoints of Agent Framework may carry: it comes back as it was, or it is refused.

What the framework's own `to_dict` leaves out of a message, such as bytes among its properties, no provider gets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from agent_framework import Content, Message, WorkflowCheckpoint, WorkflowCheckpointException

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.agent_framework import GreenroomCheckpointStorage, GreenroomHistoryProvider

from ..values import VALUES, keeps_or_refuses

PLACES: dict[str, tuple[Callable[[Any], Message], Callable[[Any], dict[str, Any]]]] = {
    "properties": (
        lambda value: Message("user", ["a"], additional_properties={"k": value}),
        lambda message: message.additional_properties,
    ),
    "arguments": (
        lambda value: Message("assistant", [Content.from_function_call("i", "f", arguments={"k": value})]),
        lambda message: message.contents[0].arguments,
    ),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("place", PLACES)
def test_a_message_comes_back_or_is_refused(rt: Runtime, place: str, name: str) -> None:
    make, find = PLACES[place]
    provider = GreenroomHistoryProvider(rt)

    async def put(value: Any) -> Any:
        await provider.save_messages("7", [make(value)])
        found = find((await provider.get_messages("7"))[0])
        return found.get("k", value if name in ("bytes", "what has no form") else None)

    keeps_or_refuses(name, put)


@pytest.mark.parametrize("name", VALUES)
def test_a_checkpoint_comes_back_or_is_refused(rt: Runtime, name: str) -> None:
    storage = GreenroomCheckpointStorage(rt)

    async def put(value: Any) -> Any:
        saved = WorkflowCheckpoint(workflow_name="w", graph_signature_hash="h", state={"k": value})
        return (await storage.load(await storage.save(saved))).state["k"]

    keeps_or_refuses(name, put, own=(WorkflowCheckpointException,))
