"""An MCP server of the package `mcp` 1.x, as a program of its own: `python mcp_servers_older.py [PORT [sse]]` speaks
stdio, or HTTP at a port."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from mcp.server.fastmcp import Context, FastMCP
from mcp.types import SamplingMessage, TextContent

server: FastMCP[Any] = FastMCP("desk", port=int(sys.argv[1]) if sys.argv[1:] else 8000, log_level="ERROR")
calls = 0


@server.tool()
async def order(number: int, ctx: Context) -> dict[str, int]:
    """An order, and how many were asked for: what no two calls have in common."""
    global calls
    calls += 1
    call = calls
    await ctx.report_progress(1, 2)
    await asyncio.sleep(0.02 if number % 2 else 0)  # so that answers overtake each other
    await ctx.report_progress(2, 2)
    return {"number": number, "call": call}


@server.tool()
async def broken() -> str:
    raise ValueError("broken")


@server.tool()
async def endless() -> str:
    await asyncio.Event().wait()
    return ""


@server.tool()
async def refund(number: int, ctx: Context) -> str:
    """Ask the client's model before anything is refunded."""
    question = SamplingMessage(role="user", content=TextContent(type="text", text=f"Refund order {number}?"))
    answer = await ctx.session.create_message([question], max_tokens=10)
    await ctx.info("asked")
    await ctx.session.send_tool_list_changed()
    return f"{answer.model}: {answer.content}"


@server.resource("orders://{number}")
def order_page(number: str) -> str:
    return f"order {number}, seen {calls}"


@server.prompt()
def greet(name: str) -> str:
    return f"Greet {name}, {calls}"


if __name__ == "__main__":
    server.run("stdio" if not sys.argv[1:] else "sse" if sys.argv[2:] else "streamable-http")
