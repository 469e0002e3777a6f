"""Calls that wait for coroutines of the loop do not keep those from being served."""

from __future__ import annotations

import asyncio

from greenroom.runtime import AsyncRuntime


def test_tools_that_ask_for_threads_of_their_own() -> None:
    """More calls wait for their coroutines than there are threads for other work, and each coroutine needs one."""

    async def main() -> None:
        async with await AsyncRuntime.open(config={"max_elastic_threads": 200}) as rt:
            sessions = [await rt.create_session() for _ in range(2)]
            begun = asyncio.Event()
            count = 0

            async def tool(n: int) -> int:
                nonlocal count
                count += 1
                if count == 80:
                    begun.set()
                await begun.wait()
                return len(await rt.list_sessions()) + n  # it sees its own session

            await rt.tools.register("tool", tool)
            found = await asyncio.gather(*(sessions[n % 2].call_tool("tool", {"n": n}) for n in range(80)))
            assert found == [1 + n for n in range(80)]

    asyncio.run(main())
