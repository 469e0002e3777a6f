"""Calls from an event loop: they do not block it, and a cancelled one has either done nothing or gives its reply."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from greenroom.actors.scheduling.futures import Unfinished, WouldWait
from greenroom.runtime import (
    AsyncRuntime,
    AsyncSession,
    Conflict,
    Durability,
    InvalidOperation,
    OperationTimeout,
    Runtime,
    RuntimeClosed,
    RuntimeConfig,
    SessionStatus,
    messages,
)

from .held import Held

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    return asyncio.run if request.param == "asyncio" else uvloop.run


def test_the_first_example(run: Run, store_path: Path) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open(store_path) as rt:
            session = await rt.create_session("first")
            await session.set("k", {"a": 1})
            assert await session.get("k") == {"a": 1}
        with pytest.raises(RuntimeClosed):
            await session.get("k")

    run(main())
    with Runtime.open(store_path) as again:
        (info,) = again.list_sessions()
        assert again.session(info.id).get("k") == {"a": 1}


def test_what_wants_a_busy_session_leaves_the_loop_to_others(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            busy, other = await rt.create_session(), await rt.create_session()
            await busy.set("n", 0)
            with Held(rt, busy) as held:
                waiting = [asyncio.create_task(busy.set(f"k{n}", n)) for n in range(200)]
                for n in range(100):
                    await other.set("n", n)
                    await asyncio.sleep(0)
                assert not any(each.done() for each in waiting)
                held.release()
                await asyncio.gather(*waiting)
            assert await busy.get("k199") == 199

    run(main())


def test_cancelled_before_it_has_begun_nothing_is_done(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            session = await rt.create_session()
            with Held(rt, session):
                task = asyncio.create_task(session.set("k", 1))
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert await session.get("k") is None

    run(main())


def test_a_timeout_before_it_has_begun(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open(config={"ask_timeout": 0.4}) as rt:
            session = await rt.create_session()
            with Held(rt, session):
                with pytest.raises(OperationTimeout) as caught:
                    await session.set("k", 1)
                assert caught.value.fields["started"] is False
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await session.set("k", 1)
            assert await session.get("k") is None

    run(main())


@pytest.mark.parametrize("durability", ["wal", "fsync", "memory"])
def test_many_tasks_lose_nothing(run: Run, store_path: Path, durability: str) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open(store_path, config={"durability": durability}) as rt:
            sessions = [await rt.create_session() for _ in range(20)]

            async def work(number: int) -> None:
                for step in range(5):
                    await sessions[number % 20].set(f"{number}/{step}", step)

            await asyncio.gather(*(work(number) for number in range(200)))
            for number in range(200):
                for step in range(5):
                    assert await sessions[number % 20].get(f"{number}/{step}") == step

    run(main())


def test_cancelled_at_any_moment_it_is_done_or_not(run: Run) -> None:
    """Without CancelledError the reply is there; with it the variable is not."""

    async def main() -> None:
        async with await AsyncRuntime.open(config={"durability": "fsync"}) as rt:
            session = await rt.create_session()
            done = undone = 0
            for number in range(100):
                task = asyncio.create_task(session.set(f"k{number}", number))
                for _ in range(number % 4):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    undone += 1
                    assert await session.get(f"k{number}") is None
                else:
                    done += 1
                    assert await session.get(f"k{number}") == number
            assert done
            assert undone

    run(main())


def test_a_task_that_had_to_finish_something_is_cancelled_at_its_next_await(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open(config={"durability": "fsync"}) as rt:
            session = await rt.create_session()

            async def work() -> None:
                await session.set("k", 1)
                await asyncio.Event().wait()

            task = asyncio.create_task(work())
            await asyncio.sleep(0)  # the change is made, its sync is under way
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await session.get("k") == 1

    run(main())


def test_hooks_of_the_host_run_off_the_loop(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            session = await rt.create_session()
            threads: list[int] = []

            def look(context: object) -> str:
                threads.append(threading.get_ident())
                return "continue"

            rt.runtime.hooks.register("BeforeStateWrite", look)
            await session.set("k", 1)
            assert threads
            assert threading.get_ident() not in threads

    run(main())


def test_another_loop_is_refused(run: Run, rt: Runtime) -> None:
    async def make() -> AsyncSession:
        return await AsyncRuntime.over(rt).create_session()

    session = run(make())

    async def use() -> None:
        with pytest.raises(InvalidOperation, match="another event loop"):
            await session.get("k")

    run(use())
    assert rt.ask(session.id, messages.GetVariable("k")) is None


@pytest.mark.parametrize(
    "message",
    [
        messages.QueryArtifacts(),
        messages.ListVariables(),
        messages.SaveSession(),
        messages.DeleteSession(),
        messages.StoreArtifact("file", "large", bytes(65 << 10)),
        messages.AddMessages([{"role": "user", "content": "hi"}] * 100),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_may_take_long_is_not_done_in_the_loop(rt: Runtime, message: messages.Message[Any]) -> None:
    session = rt.create_session()
    with pytest.raises(WouldWait):
        rt.core.supervisor.delivery.ask_now(session.id, message)
    assert session.info().status is SessionStatus.ACTIVE
    assert session.messages() == []


@pytest.mark.parametrize("durability", ["wal", "fsync"])
def test_calls_leave_nothing_for_the_garbage_collector_whose_search_would_stall_the_loop(
    run: Run, durability: Durability
) -> None:
    async def refused(session: AsyncSession) -> None:
        with pytest.raises(Conflict):
            await session.set("k", 2, expected_sequence=1 << 40)

    async def queued(rt: AsyncRuntime, session: AsyncSession) -> None:
        with Held(rt, session) as held:
            waiting = asyncio.create_task(session.set("k", 3))
            await asyncio.sleep(0)
            held.release()
            await waiting

    async def main() -> None:
        async with await AsyncRuntime.open(config=RuntimeConfig(durability=durability)) as rt:
            session = await rt.create_session()
            ways: list[Callable[[], Coroutine[Any, Any, object]]] = [
                lambda: session.set("k", 1),
                lambda: session.get("k"),
                lambda: session.add_message("user", "hi"),
                lambda: refused(session),
                lambda: queued(rt, session),
            ]
            for way in ways:
                await way()
                gc.collect()
                gc.disable()
                try:
                    for _ in range(50):
                        await way()
                    assert gc.collect() < 50
                finally:
                    gc.enable()

    run(main())


def test_few_small_turns_are_read_at_once_and_all_others_elsewhere(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session()
        first = session.add_message("user", "hello", metadata={"n": 1})
        session.add_messages([{"role": "assistant", "content": f"answer {number}"} for number in range(100)])
        ask_now = rt.core.supervisor.delivery.ask_now
        assert ask_now(session.id, messages.GetMessages(20)) == session.messages(20)
        with pytest.raises(Unfinished) as many:
            ask_now(session.id, messages.GetMessages())
        assert many.value.reply.finish() == session.messages()
        session.add_message("user", "large" * 5000)
        session.edit_message(first.sequence, content="hello again")
        for message in (messages.GetMessages(1), messages.GetMessages(5, before=first.sequence + 2)):
            with pytest.raises(Unfinished) as large:
                ask_now(session.id, message)
            assert large.value.reply.finish() == session.messages(message.limit, message.before)
