"""What programs do with sessions of the package mcp 2.x and later."""

from __future__ import annotations

import asyncio
from typing import Any

import mcp_types as types
import pytest
from mcp import Client, ClientSession, MCPError
from mcp.client.streamable_http import streamable_http_client as over_http

__all__ = ["PROGRAMS", "over_http"]


async def everything(open_server: Any, log: list[Any]) -> None:
    """Use what a session can do, in the present protocol."""

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        log.append(("progress", progress, total, message))

    async def on_message(message: Any) -> None:
        log.append(type(message).__name__)

    async with Client(open_server(), message_handler=on_message) as client:
        log.append(repr(client.session.server_info))
        log.append((await client.list_tools()).model_dump_json())
        log.append((await client.call_tool("order", {"number": 7}, progress_callback=on_progress)).model_dump_json())

        async def one(number: int) -> None:
            log.append((number, (await client.call_tool("order", {"number": number})).model_dump_json()))

        await asyncio.gather(*map(one, range(6)))
        log.append((await client.call_tool("broken", {})).model_dump_json())
        log.append((await client.read_resource("orders://7")).model_dump_json())
        log.append((await client.get_prompt("greet", {"name": "Ada"})).model_dump_json())
        with pytest.raises(MCPError) as caught:
            await client.read_resource("nothing://7")
        log.append((caught.value.code, str(caught.value), caught.value.data))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.call_tool("endless", {})


async def asked(open_server: Any, log: list[Any]) -> None:
    """Answer what the server asks, in the protocol with a handshake."""

    async def on_question(context: Any, question: Any) -> Any:
        log.append(question.message)
        return types.ElicitResult(action="accept", content={"yes": True})

    async def on_log(params: Any) -> None:
        log.append(params.data)

    async with Client(
        open_server(), mode="legacy", elicitation_callback=on_question, logging_callback=on_log
    ) as client:
        log.append(client.session.protocol_version)
        log.append((await client.call_tool("refund", {"number": 7})).model_dump_json())


async def low_level(open_server: Any, log: list[Any]) -> None:
    """Use a session as the package has it, without its client."""
    async with open_server() as (read, write), ClientSession(read, write) as session:
        log.append((await session.initialize()).model_dump_json())
        for number in (1, 2):
            answer = await session.call_tool("order", {"number": number})
            log.append(answer.model_dump_json())
        await session.send_ping()


async def subscribed(open_server: Any, log: list[Any]) -> None:
    """Follow what changes at the server."""

    async def on_message(message: Any) -> None:
        log.append(type(message).__name__)

    async with Client(open_server(), message_handler=on_message) as client:
        async with client.listen(tools_list_changed=True) as events:
            log.append(repr(events.honored))
            for _ in range(2):
                log.append((await client.call_tool("learn", {})).model_dump_json())
                log.append(repr(await anext(events)))
        log.append(len((await client.list_tools()).tools))


PROGRAMS = [everything, asked, low_level, subscribed]
