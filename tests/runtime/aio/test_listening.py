"""Events in an event loop: subscriptions and journals that are followed, and messages that are streamed."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from greenroom.runtime import AsyncRuntime, Event, InvalidOperation, Runtime, SessionNotFound, ValidationError

from .conftest import Run


def test_a_journal_is_followed_from_its_past_to_what_comes(run: Run, store_path: Path) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open(store_path) as rt:
            session = await rt.create_session()
            for number in range(200):
                await session.set("k", number)
            got: list[int] = []

            async def listen() -> None:
                async for event in session.follow(pattern="variable.*"):
                    got.append(event.sequence)
                    if len(got) == 400:
                        return

            listening = asyncio.create_task(listen())
            while len(got) < 200:
                await asyncio.sleep(0)
            for number in range(200):
                await session.set("k", number)
            await asyncio.wait_for(listening, 60)
            assert got == list(range(2, 402))

    run(main())


def test_following_goes_on_from_a_cursor(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            session = await rt.create_session()
            for number in range(10):
                await session.set("k", number)
            follow = session.follow()
            for _ in range(4):
                await anext(follow)
            assert follow.cursor == "4"
            await follow.close()
            async with session.follow(after=follow.cursor, timeout=0) as rest:
                assert [event.sequence async for event in rest] == list(range(5, 12))

    run(main())


def test_all_sessions_are_followed(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            follow = rt.follow("variable.set")
            sessions = [await rt.create_session() for _ in range(3)]
            for session in sessions:
                await session.set("k", 1)
            assert [(await anext(follow)).session_id for _ in sessions] == [each.id for each in sessions]
            cursor = follow.cursor
            await sessions[0].set("k", 2)
            async with rt.follow("variable.set", after=cursor) as rest:
                assert (await anext(rest)).session_id == sessions[0].id

    run(main())


@pytest.mark.parametrize("end", ["close", "delete", "runtime"])
def test_following_ends_with_what_is_followed(run: Run, end: str) -> None:
    async def main() -> None:
        rt = await AsyncRuntime.open()
        session = await rt.create_session()
        follow = session.follow()
        await anext(follow)
        waiting = asyncio.ensure_future(anext(follow, None))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        if end == "close":
            await follow.close()
        elif end == "delete":
            await rt.run(session.sync.delete)
        else:
            await rt.close()
        while (event := await asyncio.wait_for(waiting, 30)) is not None:
            waiting = asyncio.ensure_future(anext(follow, None))
            assert event.type.startswith("session.")
        await rt.close()

    run(main())


def test_a_cancelled_wait_loses_no_event(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            session = await rt.create_session()
            follow = session.follow(pattern="variable.set")
            subscription = rt.events.subscribe("variable.set", session=session.sync)
            followed: list[int] = []
            received: list[int] = []
            number = 0
            while len(followed) < 50 or len(received) < 50:
                if number < 50:
                    await session.set("k", number)
                    number += 1
                for source, got in ((lambda: anext(follow), followed), (subscription.receive, received)):
                    if len(got) == 50:
                        continue
                    task = asyncio.ensure_future(source())
                    for _ in range(number % 4):
                        await asyncio.sleep(0)
                    task.cancel()
                    try:
                        event = await task
                    except asyncio.CancelledError:
                        continue
                    assert isinstance(event, Event)
                    got.append(event.sequence)
                if number == 50:
                    await asyncio.sleep(0.001)
                    for source, got in ((lambda: anext(follow), followed), (subscription.receive, received)):
                        while len(got) < 50:
                            got.append((await asyncio.wait_for(source(), 30)).sequence)
            assert followed == received == list(range(2, 52))

    run(main())


def test_many_wait_without_threads(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            session = await rt.create_session()
            follows = [session.follow(after=1) for _ in range(200)]
            waiting = [asyncio.ensure_future(anext(each)) for each in follows]
            await asyncio.sleep(0.2)
            before = threading.active_count()
            assert before < 150
            await session.set("k", 1)
            events = await asyncio.wait_for(asyncio.gather(*waiting), 60)
            assert {event.sequence for event in events} == {2}

    run(main())


def test_a_subscription_is_iterated(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            session = await rt.create_session()
            async with rt.events.subscribe("variable.*") as changes:
                assert await changes.receive(0) is None
                assert await changes.receive(0.01) is None
                await session.set("small", 1)
                await session.set("large", "x" * 200_000)
                assert changes.pending == 2
                got = [(await anext(changes)).data["key"], (await anext(changes)).data["key"]]
                assert got == ["small", "large"]
                waiting = asyncio.ensure_future(changes.receive())
                await asyncio.sleep(0)
            assert await asyncio.wait_for(waiting, 30) is None
            assert [each async for each in changes] == []
            with pytest.raises(ValidationError):
                await changes.receive("soon")  # type: ignore[arg-type]

    run(main())


def test_what_came_before_the_end_is_received(run: Run) -> None:
    async def main() -> None:
        rt = await AsyncRuntime.open()
        session = await rt.create_session()
        changes = rt.events.subscribe("variable.*")
        for number in range(10):
            await session.set("k", number)
        await rt.close()
        assert len([event async for event in changes]) == 10

    run(main())


def test_errors_come_at_once(rt: Runtime) -> None:
    async def main() -> None:
        face = AsyncRuntime.over(rt)
        session = await face.create_session()
        await face.run(session.sync.delete)
        with pytest.raises(SessionNotFound):
            session.follow()
        with pytest.raises(ValidationError):
            (await face.create_session()).follow(timeout="soon")  # type: ignore[arg-type]
        with pytest.raises(ValidationError):
            face.events.subscribe("**", 0)
        await face.close()

    asyncio.run(main())


def test_a_message_is_streamed(run: Run, store_path: Path) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open(store_path) as rt:
            session = await rt.create_session()
            words = [f"word{number} " for number in range(2000)]
            async with session.stream_message("assistant") as message:
                assert message.message.partial
                for word in words:
                    await message.write(word)
                message.metadata["tokens"] = len(words)
            assert message.finished
            (turn,) = await rt.run(session.sync.messages)
            assert turn.content == message.text == "".join(words)
            assert turn.metadata == {"tokens": 2000}
            deltas = [event.data["text"] for event in session.sync.events() if event.type == "message.delta"]
            assert "".join(deltas) == "".join(words)[: len("".join(deltas))]
            with pytest.raises(InvalidOperation):
                await message.write("late")

    run(main())


def test_a_stream_whose_task_is_cancelled_leaves_a_partial_message(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            session = await rt.create_session()
            written = asyncio.Event()

            async def answer() -> None:
                async with session.stream_message("assistant") as message:
                    await message.write("so far")
                    written.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(answer())
            await written.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            (turn,) = await rt.run(session.sync.messages)
            assert (turn.content, turn.partial) == ("so far", True)

    run(main())


def test_several_tasks_write_to_one_stream(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            session = await rt.create_session()
            async with session.stream_message("assistant") as message:

                async def write(letter: str) -> None:
                    for _ in range(200):
                        await message.write(letter)
                        await asyncio.sleep(0)

                await asyncio.gather(*(write(letter) for letter in "abcd"))
            (turn,) = await rt.run(session.sync.messages)
            assert sorted(turn.text) == sorted("abcd" * 200)

    run(main())


def test_following_ends_when_nothing_comes_for_a_time(run: Run) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            session = await rt.create_session()
            await session.set("k", 1)
            seen = [event.type async for event in session.follow(timeout=0.01)]
            assert seen == ["session.created", "variable.set"]
            with pytest.raises(ValidationError, match="timeout"):
                session.follow(timeout="soon")  # type: ignore[arg-type]

    run(main())
