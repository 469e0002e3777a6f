"""What programs do with sessions of the package mcp 1.x, which many frameworks have."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from mcp import ClientSession, McpError, types
from mcp.client.streamable_http import streamablehttp_client as over_http

__all__ = ["PROGRAMS", "over_http"]


async def everything(open_server: Any, log: list[Any]) -> None:
    """Use what a session can do."""

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        log.append(("progress", progress, total, message))

    async with open_server() as (read, write, *_), ClientSession(read, write) as session:
        log.append(repr(await session.initialize()))
        log.append(repr(await session.list_tools()))
        log.append(repr(await session.list_resource_templates()))
        log.append(repr(await session.list_prompts()))
        log.append(repr(await session.call_tool("order", {"number": 7}, progress_callback=on_progress)))

        async def one(number: int) -> None:
            log.append((number, repr(await session.call_tool("order", {"number": number}))))

        await asyncio.gather(*map(one, range(6)))
        log.append(repr(await session.call_tool("broken", {})))
        log.append(repr(await session.read_resource(types.AnyUrl("orders://7"))))
        log.append(repr(await session.get_prompt("greet", {"name": "Ada"})))
        with pytest.raises(McpError) as caught:
            await session.read_resource(types.AnyUrl("nothing://7"))
        log.append((repr(caught.value), repr(caught.value.error)))
        with pytest.raises(McpError) as late:
            await session.call_tool("endless", {}, read_timeout_seconds=timedelta(seconds=0.2))
        log.append((repr(late.value), repr(late.value.error)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await session.call_tool("endless", {})


async def asked(open_server: Any, log: list[Any]) -> None:
    """Answer what the server asks, and listen to what it tells."""

    async def on_question(context: Any, params: Any) -> Any:
        log.append((context.request_id, repr(params)))
        return types.CreateMessageResult(
            role="assistant", content=types.TextContent(type="text", text="Yes."), model="a-model"
        )

    async def on_log(params: Any) -> None:
        log.append(repr(params))

    async def on_message(message: Any) -> None:
        log.append(type(message).__name__ if isinstance(message, Exception) else repr(message))

    async with (
        open_server() as (read, write, *_),
        ClientSession(
            read, write, sampling_callback=on_question, logging_callback=on_log, message_handler=on_message
        ) as session,
    ):
        await session.initialize()
        log.append(repr(await session.call_tool("refund", {"number": 7})))
        await session.send_ping()


PROGRAMS = [everything, asked]
