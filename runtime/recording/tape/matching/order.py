"""The order in which recorded outcomes are handed to the program: that in which it got them when it was recorded."""

from __future__ import annotations

import heapq
import itertools
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from ..lanes import TASK
from ..model import Crossing

if TYPE_CHECKING:
    import asyncio

__all__ = ["Order"]

_LOOK: Final = 0.05
"""Seconds after which a waiting thread looks again: answers that the program dropped wake nobody."""
_LONGEST_LOOK: Final = 1.0
_SHORTEST: Final = 0.02


class Order:
    """Knows which tick of a tape is next.

    A tick waits for all smaller ones of other lanes: of calls that have begun, and of those that are about to. It does
    not wait for its own lane, which does one thing after the other. A lane that does not do what it did is waited for
    only so long; from then on nobody waits for what it left out.
    """

    def __init__(self, crossings: Sequence[Crossing], patience: float, *, of_worker: bool = False) -> None:
        """Make the order of the crossings of one process. The tasks of a pool's worker count as one lane: it does one
        after the other, and each may be done by another worker now."""
        self._patience = patience
        self._changed = threading.Condition(threading.RLock())
        self._lane_of = [
            TASK if of_worker and crossing.lane.startswith(TASK) else crossing.lane for crossing in crossings
        ]
        self._ticks = [[crossing.began, *crossing.ticks] for crossing in crossings]
        self._done = [[False] * len(ticks) for ticks in self._ticks]
        self._lanes: dict[str, list[tuple[int, int, int]]] = {}
        for at, ticks in enumerate(self._ticks):
            lane = self._lanes.setdefault(self._lane_of[at], [])
            lane.extend((tick, at, position) for position, tick in enumerate(ticks))
        for lane in self._lanes.values():
            lane.sort(reverse=True)
        self._next = [(lane[-1][0], name) for name, lane in self._lanes.items()]
        heapq.heapify(self._next)
        self._wakers: list[tuple[int, int, Callable[[], None]]] = []
        """A heap of the tasks that wait: tick, a number, how to wake them."""
        self._woken: set[int] = set()
        """The numbers of those in the heap that no longer wait."""
        self._numbers = itertools.count()
        self._dropped: deque[int] = deque()
        self._thread_of: dict[str, int] = {}

    def begin(self, at: int) -> None:
        """Note that a crossing has begun. Those behind the last are of other processes, and have no order here."""
        if at >= len(self._ticks):
            return
        with self._changed:
            self._thread_of[self._lane_of[at]] = threading.get_ident()
            self._mark(at, 0)

    def drop(self, at: int) -> None:
        """Note that the program asks for no more of a crossing. Takes no lock: a garbage collector may call it."""
        if at < len(self._ticks):
            self._dropped.append(at)

    def wait(self, at: int, position: int) -> str | None:
        """Wait until it is the turn of a tick, and take it. Returns the lane that it was not given the time to wait
        for, if there was one."""
        if at >= len(self._ticks) or position >= len(self._ticks[at]):
            return None
        with self._changed:
            late = self._blocking(at, position)
            if late is not None:
                late = self._wait_as_thread(at, position)
            self._mark(at, position)
        return late

    async def wait_async(self, at: int, position: int) -> str | None:
        """Do the same without holding the event loop."""
        if at >= len(self._ticks) or position >= len(self._ticks[at]):
            return None
        with self._changed:
            if self._blocking(at, position) is None:
                self._mark(at, position)
                return None
        until = monotonic() + self._patience
        look = _LOOK
        while True:
            wait, wake = _waiter()
            with self._changed:
                late = self._blocking(at, position)
                if late is None or monotonic() >= until:
                    if late is not None:
                        self._give_up(at, position)
                    self._mark(at, position)
                    return late
                number = next(self._numbers)
                heapq.heappush(self._wakers, (self._ticks[at][position], number, wake))
            try:
                await wait(min(look, max(0.0, until - monotonic())))
            finally:
                with self._changed:
                    self._woken.add(number)
            look = min(2 * look, _LONGEST_LOOK)

    def _wait_as_thread(self, at: int, position: int) -> str | None:
        until = monotonic() + self._patience
        in_loop = _loop() is not None
        while (late := self._blocking(at, position)) is not None:
            left = until - monotonic()
            if left <= 0 or (in_loop and self._thread_of.get(late, threading.get_ident()) == threading.get_ident()):
                if left <= 0:  # a call that holds its event loop cannot wait for other tasks of it
                    self._give_up(at, position)
                return late
            self._changed.wait(min(_LOOK, left))
        return None

    def _blocking(self, at: int, position: int) -> str | None:
        """Return a lane that has to get something before this tick."""
        while self._dropped:
            dropped = self._dropped.popleft()
            for place in range(len(self._done[dropped])):
                self._mark(dropped, place)
        tick, own = self._ticks[at][position], self._lane_of[at]
        put_back: list[tuple[int, str]] = []
        found = None
        while self._next:
            first, name = self._next[0]
            lane = self._lanes[name]
            while lane and self._done[lane[-1][1]][lane[-1][2]]:
                lane.pop()
            if not lane:
                heapq.heappop(self._next)
            elif lane[-1][0] != first:
                heapq.heapreplace(self._next, (lane[-1][0], name))
            elif name == own:
                put_back.append(heapq.heappop(self._next))
            else:
                found = name if first < tick else None
                break
        for each in put_back:
            heapq.heappush(self._next, each)
        return found

    def _mark(self, at: int, position: int) -> None:
        """Note that a tick was taken, and wake whoever may be next."""
        done = self._done[at]
        if done[position]:
            return
        done[position] = True
        self._changed.notify_all()
        while self._wakers:  # only the first can be next: the others wait for it
            _, number, wake = self._wakers[0]
            if number not in self._woken:
                wake()
                return
            heapq.heappop(self._wakers)
            self._woken.discard(number)

    def _give_up(self, at: int, position: int) -> None:
        """Have nobody wait any more for what should have come before this tick."""
        tick, own = self._ticks[at][position], self._lane_of[at]
        for name, lane in self._lanes.items():
            if name != own:
                for earlier, of, place in lane:
                    if earlier < tick:
                        self._mark(of, place)
        self._patience = max(self._patience / 2, _SHORTEST)


def _waiter() -> tuple[Callable[[float], Awaitable[None]], Callable[[], None]]:
    """Return how to wait for a while in the running event loop, and how to end that from any thread."""
    loop = _loop()
    if loop is None:
        trio = _trio()
        if trio is None:
            raise RuntimeError("greenroom replays asynchronous calls in event loops of asyncio and trio only")
        return _trio_waiter(trio)
    future: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not future.done():
            future.set_result(None)

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(end)
        except RuntimeError:  # the loop is closed
            return

    async def wait(seconds: float) -> None:
        timer = loop.call_later(seconds, end)
        try:
            await future
        finally:
            timer.cancel()

    return wait, wake


def _loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread. asyncio is not imported for that."""
    module: Any = sys.modules.get("asyncio")
    found: asyncio.AbstractEventLoop | None = module._get_running_loop() if module is not None else None
    return found


def _trio() -> Any:
    """Return trio if the running code is a task of it."""
    trio = sys.modules.get("trio")
    if trio is None:
        return None
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return None
    return trio


def _trio_waiter(trio: Any) -> tuple[Callable[[float], Awaitable[None]], Callable[[], None]]:
    event, token = trio.Event(), trio.lowlevel.current_trio_token()

    def wake() -> None:
        try:
            token.run_sync_soon(event.set)
        except trio.RunFinishedError:
            return

    async def wait(seconds: float) -> None:
        with trio.move_on_after(seconds):
            await event.wait()

    return wait, wake
