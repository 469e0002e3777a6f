from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from mcp import Client, MCPError

Call = Callable[..., Any]


def _answer(result: Any) -> Any:
    text = result.content[0].text if result.content else ""
    if result.is_error:
        raise AssertionError(text)
    assert json.loads(text) == result.structured_content
    return result.structured_content


@pytest.fixture
def call() -> Call:
    """Calls a tool as a client does, and returns the answer; an error is an AssertionError with its text."""

    def one(served: Any, tool: str, **arguments: Any) -> Any:
        async def main() -> Any:
            async with Client(served) as client:
                return await client.call_tool(tool, arguments)

        return _answer(asyncio.run(main()))

    return one


@pytest.fixture
def error(call: Call) -> Call:
    """Calls a tool that is to fail, and returns what the client is told."""

    def one(served: Any, tool: str, **arguments: Any) -> str:
        with pytest.raises(AssertionError) as raised:
            call(served, tool, **arguments)
        return str(raised.value)

    return one


@pytest.fixture
def read() -> Call:
    """Reads a resource, and returns its contents."""

    def one(served: Any, uri: str) -> Any:
        async def main() -> Any:
            async with Client(served) as client:
                try:
                    return (await client.read_resource(uri)).contents[0]
                except MCPError as error:  # as it is, not in the groups that the client's tasks make of it
                    return error

        answer = asyncio.run(main())
        if isinstance(answer, MCPError):
            raise answer
        return answer

    return one
