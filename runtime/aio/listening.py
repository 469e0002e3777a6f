"""Events in an event loop: what a subscription receives, and journals that are followed."""

from __future__ import annotations

import asyncio
import collections
import math
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from greenroom.actors.events import Subscription
from greenroom.runtime.handles.reading.follow import Follow
from greenroom.storage.errors import RuntimeClosed, ValidationError
from greenroom.storage.events.model import Event

if TYPE_CHECKING:
    from .bridge import Bridge

__all__ = ["AsyncFollow", "AsyncSubscription"]

_LARGE: Final = 64 << 10
"""Events of more bytes are made on a thread."""
_PAGE: Final = 64


class _Arrivals:
    """Wakes the tasks that wait for a subscription."""

    def __init__(self, bridge: Bridge, subscription: Subscription) -> None:
        self._bridge = bridge
        self._event = asyncio.Event()
        self._told = False
        subscription.on_arrival = self._arrived

    def _arrived(self) -> None:
        """Note that an event has come in, or that none will any more. By any thread, in the turn of a session."""
        if not self._told:
            self._told = True
            self._bridge.post(self._wake)

    def _wake(self) -> None:
        self._told = False
        self._event.set()

    def clear(self) -> None:
        """Wait for what comes from now on. To be called before one looks."""
        self._event.clear()

    async def wait(self, deadline: float | None) -> bool:
        """Wait for an arrival since `clear`, until a time of the loop's clock. Return whether there was one."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


def _deadline(timeout: float | None) -> float | None:
    if timeout is None:
        return None
    if type(timeout) not in (int, float) or not timeout <= math.inf:
        raise ValidationError("timeout: a number of seconds is needed, or None", field="timeout")
    return asyncio.get_running_loop().time() + timeout


def _require_open(bridge: Bridge, made: Subscription | Follow) -> None:
    """Raise RuntimeClosed if nothing would be received any more."""
    try:
        bridge.require_open()
    except RuntimeClosed:
        made.close()
        raise


class AsyncSubscription(AsyncIterator[Event]):
    """Queues the events that match a pattern, from the moment of subscribing on: see `Subscription`.

    Example:
        ```py
        async with rt.events.subscribe("artifact.*") as stored:
            async for event in stored:
                print(event.type)
        ```
    """

    def __init__(self, bridge: Bridge, sync: Subscription) -> None:
        """Use `subscribe` of the events of an AsyncRuntime."""
        _require_open(bridge, sync)
        self.sync: Final = sync
        """The same subscription for code on other threads."""
        self._bridge = bridge
        self._arrivals = _Arrivals(bridge, sync)

    def __repr__(self) -> str:
        return f"<Async{repr(self.sync)[1:]}"

    @property
    def pattern(self) -> str:
        return self.sync.pattern

    @property
    def pending(self) -> int:
        """The number of events in the queue."""
        return self.sync.pending

    @property
    def dropped(self) -> int:
        """The number of events dropped because the queue was full."""
        return self.sync.dropped

    @property
    def failed(self) -> int:
        """The number of events for which the callback raised."""
        return self.sync.failed

    @property
    def closed(self) -> bool:
        """Whether no further event will come in."""
        return self.sync.closed

    async def receive(self, timeout: float | None = None) -> Event | None:
        """Return the oldest event in the queue. Wait for one at most `timeout` seconds (None: without limit). Return
        None if none came in, or none will any more. If the task is cancelled, no event is lost."""
        deadline = _deadline(timeout)
        while True:
            self._arrivals.clear()
            ended = self.sync.closed  # looked at first: what came before the end is still received
            if self.sync.next_size > _LARGE:
                event = await self._bridge.run(self.sync.receive, 0)
            else:
                event = self.sync.receive(0)
            if event is not None:
                return event
            if ended or not await self._arrivals.wait(deadline):
                return None

    async def __anext__(self) -> Event:
        event = await self.receive()
        if event is None:
            raise StopAsyncIteration
        return event

    async def close(self) -> None:
        """Drop the queue and receive nothing more; tasks that wait receive None. Idempotent."""
        self.sync.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sync.close()


class AsyncFollow(AsyncIterator[Event]):
    """Iterates over events as they are journaled: see `Follow`. Waiting takes no thread, and what there is is read on
    threads, page by page.

    Example:
        ```py
        async for event in session.follow():
            print(event.type)
        ```
    """

    def __init__(self, bridge: Bridge, sync: Follow) -> None:
        """Use `follow` of an AsyncSession or AsyncRuntime instead."""
        _require_open(bridge, sync)
        self._bridge = bridge
        self._sync = sync
        self._arrivals = _Arrivals(bridge, sync.subscription)
        _deadline(sync.timeout)  # refuses what is no time
        self._page: collections.deque[tuple[Event, str]] = collections.deque()
        self._cursor = sync.cursor
        self._reading = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Async{repr(self._sync)[1:]}"

    @property
    def cursor(self) -> str:
        """The position after the last event that this has given: see `Follow.cursor`."""
        return self._cursor

    async def __anext__(self) -> Event:
        async with self._reading:
            while not self._page:
                self._arrivals.clear()
                self._page.extend(await self._bridge.run(self._sync.ready, _PAGE))
                if self._page:
                    break
                if self._sync.ended or not await self._arrivals.wait(_deadline(self._sync.timeout)):
                    self._sync.close()
                    raise StopAsyncIteration
            event, self._cursor = self._page.popleft()
            return event

    async def close(self) -> None:
        """Stop following. Idempotent."""
        self._page.clear()
        self._sync.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
