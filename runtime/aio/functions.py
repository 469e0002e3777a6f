"""Coroutine functions of the host: they run in the event loop that they were given in."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Final, TypeVar

from greenroom.storage.errors import InvalidOperation

__all__ = ["in_loop"]

T = TypeVar("T")

_PLAIN: Final = frozenset({str, bytes, int, float, bool, type(None), list, tuple})
_MOST_WAITING: Final = 16
"""The pieces of a generator that wait for whoever takes them."""
_LOOK: Final = 1.0
"""Seconds between looks at whether the loop still runs."""


def in_loop(given: Any, loop: asyncio.AbstractEventLoop) -> Any:
    """Return a function that runs a coroutine function, or an async generator function, in a loop, whatever loop it is
    awaited in. The awaiting task's context goes with it, and its cancellation.

    In a dict the values are replaced. Anything else is returned as it is.
    """
    if type(given) in _PLAIN:
        return given
    if type(given) is dict:
        if any(callable(each) for each in given.values()):
            return {key: in_loop(each, loop) for key, each in given.items()}
        return given
    if not callable(given) or inspect.isclass(given):
        return given
    called = given if inspect.isroutine(given) or isinstance(given, functools.partial) else type(given).__call__
    if inspect.iscoroutinefunction(called):
        return _awaited(given, loop)
    if inspect.isasyncgenfunction(called):
        return _iterated(given, loop)
    return given


def _awaited(fn: Callable[..., Coroutine[Any, Any, T]], loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
    @functools.wraps(fn)
    async def elsewhere(*args: Any, **options: Any) -> T:
        if asyncio.get_running_loop() is loop:
            return await fn(*args, **options)
        return await _there(fn(*args, **options), loop)

    return elsewhere


def _iterated(fn: Callable[..., AsyncGenerator[T, None]], loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
    @functools.wraps(fn)
    async def elsewhere(*args: Any, **options: Any) -> AsyncIterator[T]:
        async with aclosing(fn(*args, **options)) as source:
            if asyncio.get_running_loop() is loop:
                async for piece in source:
                    yield piece
                return
            pump = _Pump(source)
            pumping = asyncio.ensure_future(_there(pump.run(), loop))
            try:
                while piece_or_end := await _there(pump.take(), loop):
                    yield piece_or_end[0]
                await pumping
            finally:
                pumping.cancel()

    return elsewhere


class _Pump:
    """Takes the pieces of an async generator in one task of its loop, in which all of the generator runs."""

    def __init__(self, source: AsyncGenerator[Any, None]) -> None:
        self._source = source
        self._pieces: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self._room = asyncio.Semaphore(_MOST_WAITING)

    async def run(self) -> None:
        """Take all pieces."""
        try:
            async with aclosing(self._source):
                async for piece in self._source:
                    await self._room.acquire()
                    self._pieces.put_nowait((piece,))
        finally:
            self._pieces.put_nowait(())

    async def take(self) -> tuple[Any, ...]:
        """Return the next piece as a tuple of one; an empty one at the end."""
        taken = await self._pieces.get()
        self._room.release()
        return taken


async def _there(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """Run a coroutine in another loop. Raises InvalidOperation if that loop has ended, or ends meanwhile."""
    contained = _without_exit(work)
    try:
        future = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(contained, loop))
    except RuntimeError as error:
        contained.close()
        work.close()
        raise _loop_ended() from error
    try:
        while not (await asyncio.wait((future,), timeout=_LOOK))[0]:
            if loop.is_closed():
                raise _loop_ended()
        exit, result = future.result()
        if exit is not None:
            raise exit
        return result  # type: ignore[return-value]
    finally:
        future.cancel()


async def _without_exit(work: Coroutine[Any, Any, T]) -> tuple[SystemExit | None, T | None]:
    """Await a coroutine, and return its result. A SystemExit is returned, too: raised in a task it would end the loop
    of the host, and only the call may fail."""
    try:
        return None, await work
    except SystemExit as error:
        return error, None


def _loop_ended() -> InvalidOperation:
    return InvalidOperation(
        "this coroutine function belongs to an event loop that has ended: register it in the loop that runs"
    )
