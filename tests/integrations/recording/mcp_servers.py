"""MCP servers for tests, as programs of their own: `python mcp_servers.py [PORT]` speaks stdio, or HTTP at a port."""

from __future__ import annotations

import asyncio
import sys

from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel

server = MCPServer("desk")
calls = 0


class Sure(BaseModel):
    yes: bool


@server.tool()
async def order(number: int, ctx: Context) -> dict[str, int]:
    """An order, and how many were asked for: what no two calls have in common."""
    global calls
    calls += 1
    call = calls
    await ctx.report_progress(1, 2, "half")
    await asyncio.sleep(0.02 if number % 2 else 0)  # so that answers overtake each other
    await ctx.report_progress(2, 2, "done")
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
    """Ask the user before anything is refunded."""
    answer = await ctx.elicit(f"Refund order {number}?", schema=Sure)
    await ctx.info("asked")
    return answer.action


@server.tool()
async def learn(ctx: Context) -> str:
    """Get another tool, and tell the client."""

    def learned() -> int:
        return 1

    server.add_tool(learned, name=f"learned{calls}")
    await ctx.notify_tools_changed()
    return "learned"


@server.resource("orders://{number}")
def order_page(number: str) -> str:
    return f"order {number}, seen {calls}"


@server.prompt()
def greet(name: str) -> str:
    return f"Greet {name}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("sse" if sys.argv[2:] else "streamable-http", port=int(sys.argv[1]))
    else:
        server.run("stdio")
