"""Results of other threads on their way into an event loop."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable
from typing import Any, Final

from greenroom.actors.scheduling.futures import DeferredReply, PooledFuture, TellReceipt
from greenroom.storage.errors import OperationTimeout

__all__ = ["Arrival", "Arrivals"]


class Arrivals:
    """Calls functions in an event loop for other threads: one wake-up for all that are there, in portions that leave
    the loop to others in between."""

    PORTION: Final = 100

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: Final = loop
        self._waiting: collections.deque[Callable[[], object]] = collections.deque()
        self._awake = False

    def post(self, arrived: Callable[[], object]) -> None:
        """Have the loop call a function soon. From any thread. Does nothing once the loop is closed."""
        self._waiting.append(arrived)
        if not self._awake:
            self._awake = True
            try:
                self.loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                self._waiting.clear()  # the loop is closed: nobody waits there

    def _deliver(self) -> None:
        self._awake = False  # first: what comes from now on wakes the loop again
        waiting = self._waiting
        for _ in range(min(len(waiting), self.PORTION)):
            waiting.popleft()()
        if waiting and not self._awake:
            self._awake = True
            self.loop.call_soon(self._deliver)


class Arrival(TellReceipt):
    """The reply to one message or call, awaited in an event loop.

    It can stand in an envelope as the sender's future. `defer` takes a reply that has to be worked out.
    """

    def __init__(
        self,
        arrivals: Arrivals,
        defer: Callable[[DeferredReply, Arrival], None],
        discard: Callable[[Any], None],
    ) -> None:
        super().__init__(_nothing, discard)
        self._arrivals = arrivals
        self._defer = defer
        self._waiter: asyncio.Future[None] | None = None
        self._here = False
        """Whether the loop knows that there is an answer."""
        self._late = False

    # -- by any thread

    def set(self, value: Any = None) -> None:
        if type(value) is DeferredReply:
            self._defer(value, self)
            return
        PooledFuture.set(self, value)
        self._arrivals.post(self._arrived)

    def set_exception(self, exc_info: Any = None) -> None:
        if self.message is not None:
            self._discard(self.message)
        PooledFuture.set_exception(self, exc_info)
        self._arrivals.post(self._arrived)

    # -- in the loop

    def _arrived(self) -> None:
        self._here = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _time_is_up(self) -> None:
        self._late = True
        self._wake()

    async def reply(self, timeout: float | None = None, *, abandon: bool = False) -> Any:
        """Wait for the reply, at most `timeout` seconds. Raises what the message ended with, and OperationTimeout.

        If the task is cancelled before the message is begun, it is not begun, and CancelledError is raised. If it has
        begun, the reply is waited for and returned, and then the task is cancelled again, unless whoever asked for it
        has withdrawn that meanwhile, as `asyncio.timeout` does at its end. With `abandon`, CancelledError is raised at
        once in either case, and what has begun goes on.
        """
        loop = self._arrivals.loop
        timer = loop.call_later(timeout, self._time_is_up) if timeout is not None and timeout != float("inf") else None
        cancelled = 0
        task = asyncio.current_task()
        try:
            while not self._here:
                if self._late:
                    begun = self.give_up()
                    raise OperationTimeout(
                        f"no answer within {timeout:g} s; "
                        + ("the operation had begun and may still take effect" if begun else "nothing was done"),
                        timeout=timeout,
                        started=begun,
                    )
                self._waiter = loop.create_future()
                try:
                    await self._waiter
                except asyncio.CancelledError:
                    if not self.give_up() or abandon or task is None:
                        raise
                    cancelled = task.cancelling()
        finally:
            if timer is not None:
                timer.cancel()
            if cancelled:
                assert task is not None
                loop.call_soon(_cancel_again, task, cancelled)
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # a frame that keeps what it raised is left for the garbage collector, which stalls the loop
        return self._value


def _nothing(handled: Callable[[], Any]) -> None:
    """Do nothing: `Arrival.set` has what to do."""


def _cancel_again(task: asyncio.Task[Any], requests: int) -> None:
    """Cancel a task that had to finish something first, unless a request to cancel it has been withdrawn since."""
    if not task.done() and task.cancelling() >= requests:
        task.uncancel()
        task.cancel()
