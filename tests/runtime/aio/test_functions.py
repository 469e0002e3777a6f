"""Coroutine functions run in the loop that registered them: tools, agents, hooks and subscribers."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    AccessDenied,
    AsyncRuntime,
    CallContext,
    CallFailed,
    HookCancelled,
    HookResult,
    OperationTimeout,
    Runtime,
)

from .conftest import Run


def test_a_tool_runs_in_the_loop_and_uses_the_session(run: Run, store_path: Path) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open(store_path) as rt:
            session = await rt.create_session()
            seen: list[Any] = []

            async def weather(city: str, context: CallContext, days: int = 1) -> dict[str, Any]:
                "The weather of a city."
                seen.extend([threading.get_ident(), asyncio.get_running_loop(), context.session_id])
                await session.set("city", city)
                await asyncio.sleep(0)
                return {"city": city, "days": days}

            tool = await rt.run(rt.runtime.tools.register, "weather", weather)
            assert tool.description == "The weather of a city."
            assert list(tool.schema["properties"]) == ["city", "days"]
            got = await rt.run(session.sync.call_tool, "weather", {"city": "Berlin"})
            assert got == {"city": "Berlin", "days": 1}
            assert seen == [threading.get_ident(), asyncio.get_running_loop(), session.id]
            assert await session.get("city") == "Berlin"

    run(main())


class Counting:
    """An object that is called like a coroutine function."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    async def __call__(self, n: int) -> int:
        self.threads.append(threading.get_ident())
        return n + 1

    async def method(self, n: int) -> int:
        return await self(n)


def test_all_kinds_of_coroutine_functions_run_in_the_loop(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            each = Counting()
            for name, fn in {"object": each, "method": each.method, "partial": functools.partial(each.method)}.items():
                await rt.run(rt.runtime.tools.register, name, fn, {"type": "object", "properties": {"n": {}}})
                assert await rt.run(rt.runtime.tools.call, name, {"n": 1}) == 2
            assert each.threads == [threading.get_ident()] * 3

    run(main())


def test_a_plain_function_does_not_run_in_the_loop(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:

            def where() -> int:
                return threading.get_ident()

            await rt.run(rt.runtime.tools.register, "where", where)
            assert await rt.run(rt.runtime.tools.call, "where", {}) != threading.get_ident()

    run(main())


def test_a_tool_that_hangs_is_cancelled_at_its_timeout(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            ended = asyncio.Event()

            async def hang() -> None:
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.set()

            await rt.run(rt.runtime.tools.register, "hang", hang, timeout=0.05)
            with pytest.raises(OperationTimeout):
                await rt.run(rt.runtime.tools.call, "hang", {})
            await asyncio.wait_for(ended.wait(), 30)

    run(main())


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), asyncio.CancelledError()])
def test_what_a_tool_raises_fails_its_call_only(run: Run, error: BaseException) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:

            async def fail() -> None:
                raise error

            await rt.run(rt.runtime.tools.register, "fail", fail)
            with pytest.raises(CallFailed) as failed:
                await rt.run(rt.runtime.tools.call, "fail", {})
            assert failed.value.error == type(error).__name__

    run(main())


def test_an_agent_streams_from_the_loop_in_one_task(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            pieces: list[str] = []
            tasks: set[Any] = set()

            async def model(input: str) -> AsyncIterator[str]:
                async with asyncio.timeout(30):  # must be left in the task that entered it
                    for word in input.split():
                        tasks.add(asyncio.current_task())
                        yield word
                        await asyncio.sleep(0)

            async def on_piece(piece: str) -> None:
                assert threading.get_ident() == here
                pieces.append(piece)

            here = threading.get_ident()
            session = await rt.create_session()
            await rt.run(rt.runtime.agents.register, "fake/", model)
            words = " ".join(map(str, range(100)))
            reply = await rt.run(session.sync.call_agent, "fake/one", words, on_piece=on_piece)
            assert pieces == words.split()
            assert reply.text == "".join(pieces)
            assert len(tasks) == 1

    run(main())


def test_an_agent_whose_reply_nobody_wants_any_more_is_ended(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            ended = asyncio.Event()

            async def model(input: str) -> AsyncIterator[str]:
                try:
                    while True:
                        yield "x"
                finally:
                    ended.set()

            async def enough(piece: str) -> bool:
                return False

            await rt.run(rt.runtime.agents.register, "fake/", model)
            reply = await rt.run(rt.runtime.agents.call, "fake/one", "go", on_piece=enough)
            assert set(reply.text) == {"x"}
            await asyncio.wait_for(ended.wait(), 30)

    run(main())


def test_an_agent_that_fails_in_the_middle_fails_its_call(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:

            async def model(input: str) -> AsyncIterator[str]:
                yield "x"
                raise LookupError("gone")

            await rt.run(rt.runtime.agents.register, "fake/", model)
            with pytest.raises(CallFailed, match="LookupError: gone"):
                await rt.run(rt.runtime.agents.call, "fake/one", "go")

    run(main())


def test_a_hook_runs_in_the_loop_and_may_refuse(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            threads = []

            async def no_secrets(context: Any) -> HookResult | None:
                threads.append(threading.get_ident())
                await asyncio.sleep(0)
                return HookResult.cancel("secret") if context.data["key"] == "password" else None

            await rt.run(rt.runtime.hooks.register, "BeforeStateWrite", no_secrets)
            session = await rt.create_session()
            await session.set("name", "Ada")
            with pytest.raises(HookCancelled, match="secret"):
                await session.set("password", "1234")
            assert set(threads) == {threading.get_ident()}
            assert await session.get("password") is None

    run(main())


def test_a_subscriber_runs_in_the_loop_one_event_after_the_other(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            session = await rt.create_session()
            got: list[Any] = []
            all_there = asyncio.Event()

            async def changed(event: Any) -> None:
                assert threading.get_ident() == here
                await asyncio.sleep(0)
                got.append(event.data["key"])
                if len(got) == 20:
                    all_there.set()
                if len(got) == 5:
                    raise ValueError("only this one")

            here = threading.get_ident()
            subscription = rt.events.subscribe("variable.set", callback=changed)
            for number in range(20):
                await session.set(f"k{number}", number)
            await asyncio.wait_for(all_there.wait(), 30)
            assert got == [f"k{number}" for number in range(20)]
            assert subscription.failed == 1

    run(main())


def test_coroutine_functions_of_a_runtime_without_a_loop_are_awaited(rt: Runtime) -> None:
    got: list[str] = []
    there = threading.Event()

    async def changed(event: Any) -> None:
        await asyncio.sleep(0)
        got.append(event.type)
        there.set()

    rt.events.subscribe("variable.set", callback=changed)
    rt.create_session().set("k", 1)
    assert there.wait(30)
    assert got == ["variable.set"]


def test_a_function_of_a_loop_that_has_ended_says_so(rt: Runtime) -> None:
    async def register() -> None:
        async def tool() -> int:
            return 1

        async def hook(context: Any) -> None:
            return None

        face = AsyncRuntime.over(rt)
        await face.run(rt.tools.register, "tool", tool)
        await face.close()

    asyncio.run(register())
    with pytest.raises(Exception, match="register it in the loop that runs"):
        rt.tools.call("tool", {})


def test_a_loop_that_ends_during_a_call_ends_the_call(rt: Runtime) -> None:
    begun = threading.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def register() -> None:
        await AsyncRuntime.over(rt).run(rt.tools.register, "hang", hang)
        await asyncio.to_thread(begun.wait, 30)

    failures: list[BaseException] = []

    def call() -> None:
        try:
            rt.tools.call("hang", {})
        except BaseException as error:
            failures.append(error)

    serving = threading.Thread(target=lambda: asyncio.run(register()))
    serving.start()
    while not rt.tools.exists("hang"):
        threading.Event().wait(0.01)
    calling = threading.Thread(target=call)
    calling.start()
    for thread in (serving, calling):
        thread.join(30)
    assert [type(each) for each in failures] == [CallFailed]


def test_a_function_acts_for_the_session_it_was_called_by(run: Run) -> None:
    """What a tool does in the loop, it does with the rights of its session."""

    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            caller, other = await rt.create_session(), await rt.create_session()
            await other.set("k", 1)

            async def steal(context: CallContext) -> Any:
                return await other.get("k")

            await rt.run(rt.runtime.tools.register, "steal", steal)
            with pytest.raises(AccessDenied):
                await rt.run(caller.sync.call_tool, "steal", {})

    run(main())
