"""An MCP server as a program of its own, whatever the version of `mcp`: `python server.py [PORT [sse]]` speaks stdio,
or HTTP at a port."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

WORDS = sys.argv[1:]
SPOKEN = "stdio" if not WORDS else "sse" if WORDS[1:] else "streamable-http"

try:
    from mcp.server.mcpserver import Context, MCPServer

    server: Any = MCPServer("desk")
    IS_NEWER = True
except ImportError:  # mcp 1.x
    from mcp.server.fastmcp import Context, FastMCP

    server = FastMCP("desk", port=int(WORDS[0]) if WORDS else 8000, log_level="ERROR")
    IS_NEWER = False

calls = 0


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


@server.resource("orders://{number}")
def order_page(number: str) -> str:
    return f"order {number}, seen {calls}"


@server.prompt()
def greet(name: str) -> str:
    return f"Greet {name}, {calls}"


if IS_NEWER:
    from pydantic import BaseModel

    class Sure(BaseModel):
        yes: bool

    @server.tool()
    async def refund(number: int, ctx: Context) -> str:
        """Ask the user before anything is refunded."""
        answer = await ctx.elicit(f"Refund order {number}?", schema=Sure)
        await ctx.info("asked")
        return str(answer.action)

    @server.tool()
    async def learn(ctx: Context) -> str:
        """Get another tool, and tell the client."""

        def learned() -> int:
            return 1

        server.add_tool(learned, name=f"learned{calls}")
        await ctx.notify_tools_changed()
        return "learned"

else:
    from mcp.types import SamplingMessage, TextContent

    @server.tool()
    async def refund(number: int, ctx: Context) -> str:
        """Ask the client's model before anything is refunded."""
        question = SamplingMessage(role="user", content=TextContent(type="text", text=f"Refund order {number}?"))
        answer = await ctx.session.create_message([question], max_tokens=10)
        await ctx.info("asked")
        await ctx.session.send_tool_list_changed()
        return f"{answer.model}: {answer.content}"


if __name__ == "__main__":
    server.run(SPOKEN, **({"port": int(WORDS[0])} if WORDS and IS_NEWER else {}))
