"""What messages of MCP may carry: it is replayed as it was sent, or it is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mcp.types import JSONRPCNotification, jsonrpc_message_adapter

from greenroom.runtime import Runtime, ValidationError
from greenroom.runtime.integrations.mcp import GreenroomEventStore

from ..values import VALUES


@pytest.mark.parametrize("name", VALUES)
def test_a_message_is_replayed_as_it_was_sent_or_is_refused(rt: Runtime, name: str) -> None:
    store = GreenroomEventStore(rt)
    message = JSONRPCNotification(jsonrpc="2.0", method="m", params={"k": VALUES[name]})

    async def sent() -> list[Any]:
        first = await store.store_event("stream", None)
        try:
            await store.store_event("stream", message)
        except ValidationError:
            return []
        found: list[Any] = []

        async def send(event: Any) -> None:
            found.append(event.message)

        await store.replay_events_after(first, send)
        return found

    for replayed in asyncio.run(sent()):
        assert replayed == jsonrpc_message_adapter.validate_json(message.model_dump_json())
