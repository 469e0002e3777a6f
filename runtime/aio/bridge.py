"""The bridge between an event loop and the delivery of messages: most messages need no thread.

A message is handled in one of four ways:

1. **Here and now**, if nobody would have to wait (`Delivery.ask_now`) and this turn of the loop has time left. All
   tasks share `Turns.SECONDS` in each turn of the loop, so that no number of them can stall it.
2. **In a later turn** of the loop, if this one has none left: tasks wait in line.
3. **By the mailbox**, if the session is busy: a thread of the dispatcher handles it and posts the reply.
4. **On a thread**, if a hook, a disk or a callable of the host may take long.
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import queue
import threading
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, TypeVar

from greenroom.actors.messages.core import Message
from greenroom.actors.scheduling.futures import DeferredReply, Unfinished, WouldWait
from greenroom.actors.supervisor.delivery import Delivery
from greenroom.runtime.core import RuntimeCore
from greenroom.runtime.handles.records import Records
from greenroom.runtime.handles.scope import Scope
from greenroom.runtime.handles.session import Session
from greenroom.storage.errors import InvalidOperation, RuntimeClosed

from .arrivals import Arrival, Arrivals
from .functions import in_loop
from .threads import Threads

__all__ = ["Bridge", "through"]

P = ParamSpec("P")
T = TypeVar("T")
H = TypeVar("H", Session, Records, Scope)

Ask = Callable[[str, Any, float], Any]
"""Sends a message to a session, with a time limit, and returns the reply."""


def through(handle: H, ask: Ask) -> H:
    """Return a handle on the same thing that sends its messages to a function."""
    if isinstance(handle, Scope):
        return handle._through(_Asking(ask))
    if isinstance(handle, Records):
        return Records(through(handle._session, ask))  # type: ignore[type-var]
    other = handle.with_timeout(handle._timeout)
    other._ask = ask  # type: ignore[assignment]
    return other


class _Asking:
    """A function as an object that is asked."""

    __slots__ = ("ask",)

    def __init__(self, ask: Ask) -> None:
        self.ask = ask


class Turns:
    """Shares out the time of an event loop's turns, first come, first served."""

    SECONDS: Final = 0.0005
    MOST: Final = 256

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ends = 0.0
        """When the time of this turn is up; 0: nothing was begun in it yet."""
        self._line: collections.deque[asyncio.Future[None]] = collections.deque()
        self._woken = 8
        """How many tasks of the line are woken in each turn."""
        self._refused = False

    def has_time(self) -> bool:
        """Return whether something may be begun in this turn of the loop."""
        if self._ends:
            return perf_counter() < self._ends
        self._ends = perf_counter() + self.SECONDS
        self._loop.call_soon(self._next)
        return True

    async def later(self) -> None:
        """Wait for a turn that has time."""
        while True:
            waiter = self._loop.create_future()
            self._line.append(waiter)
            await waiter
            if self.has_time():
                return
            self._refused = True

    def _next(self) -> None:
        """Begin the next turn: wake as many of the line as will find time in it."""
        if not self._line:
            self._ends = 0.0
            return
        now = perf_counter()
        if self._refused:
            self._woken = max(1, self._woken // 2)
        elif now < self._ends:
            self._woken = min(self.MOST, 2 * self._woken)
        self._refused = False
        self._ends = now + self.SECONDS
        for _ in range(min(self._woken, len(self._line))):
            waiter = self._line.popleft()
            if not waiter.done():
                waiter.set_result(None)
        self._loop.call_soon(self._next)


class _Over(Turns):
    """The turns of a bridge that is closed: nothing may be begun in them."""

    def has_time(self) -> bool:
        """Raise RuntimeClosed."""
        raise RuntimeClosed("this AsyncRuntime is closed: open another one, or use it before it is closed")


class _Asked(NamedTuple):
    """A message that could not be answered here and now."""

    session_id: str
    message: Any
    timeout: float
    unfinished: DeferredReply | None = None
    """The reply that is still to be worked out, if the message has been handled."""


class _Elsewhere(Exception):
    """Carries a message that cannot be answered here and now to the bridge.

    Who catches it keeps `asked`, never the exception: a frame and the exception that it keeps hold each other until
    Python's garbage collector looks for them, and its full search stalls the loop for as long as a slow disk.
    """

    def __init__(self, asked: _Asked) -> None:
        super().__init__()
        self.asked = asked


class Bridge:
    """Sends messages and calls from one event loop, and brings their replies there."""

    def __init__(self, core: RuntimeCore) -> None:
        self._core = core
        self.loop: Final = asyncio.get_running_loop()
        self._delivery: Delivery = core.supervisor.delivery
        self._owed = core.owed
        self._arrivals = Arrivals(self.loop)
        self._turns = Turns(self.loop)
        self._threads = Threads()
        self._kept = (self._arrivals, self._defer, self._delivery.discard)
        """What every `Arrival` is made of: bound once, so that thousands that wait are few objects each."""
        self._to_sync: queue.LifoQueue[tuple[DeferredReply, Arrival] | None] = queue.LifoQueue()
        self._committer: threading.Thread | None = None

    def ask_here(self, session_id: str, message: Message[Any], timeout: float) -> Any:
        """Answer a message here and now. It is the `_ask` of the handles that `once` works with."""
        if self._owed.owes(session_id):
            raise _Elsewhere(_Asked(session_id, message, timeout))
        try:
            return self._delivery.ask_now(session_id, message)
        except WouldWait:
            raise _Elsewhere(_Asked(session_id, message, timeout)) from None
        except Unfinished as done:
            raise _Elsewhere(_Asked(session_id, message, timeout, done.reply)) from None

    async def once(
        self,
        here: H,
        method: Callable[Concatenate[H, P], T],
        /,
        *args: P.args,
        **options: P.kwargs,
    ) -> T:
        """Call a method of a handle that asks the session exactly once, and does nothing else that could take long.

        If it cannot be answered here and now, its message goes another way, and the method is called once more with the
        reply at hand. So its arguments must not be used up by the first call.
        """
        if asyncio.get_running_loop() is not self.loop:
            self._require_loop()
        if not self._turns.has_time():
            await self._turns.later()
        try:
            return method(here, *args, **options)
        except _Elsewhere as elsewhere:
            asked = elsewhere.asked
        try:
            answer = _Answer(await self._deliver(asked))
        except Exception as error:  # it is for the method to make something of it
            answer = _Answer(None, error)
        return method(through(here, answer), *args, **options)

    async def ask(self, session_id: str, message: Message[Any], timeout: float) -> Any:
        """Ask a session. Raises what it raises."""
        self._require_loop()
        if not self._turns.has_time():
            await self._turns.later()
        try:
            return self.ask_here(session_id, message, timeout)
        except _Elsewhere as elsewhere:
            asked = elsewhere.asked
        return await self._deliver(asked)

    def post(self, fn: Callable[[], object]) -> None:
        """Have the loop call a function soon. From any thread."""
        self._arrivals.post(fn)

    async def brief(self, fn: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Call a function here that is known to take some microseconds and never to wait."""
        self._require_loop()
        if not self._turns.has_time():
            await self._turns.later()
        return fn(*self._here(args), **self._here(options))

    async def run(self, fn: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Call a function on a thread, in the context of the task."""
        args, options = self._here(args), self._here(options)
        result: T = await self._run(lambda: fn(*args, **options), abandon=False)
        return result

    async def run_abandoning(self, fn: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Call a function on a thread. A task that is cancelled does not wait for it; what has begun goes on."""
        args, options = self._here(args), self._here(options)
        result: T = await self._run(lambda: fn(*args, **options), abandon=True)
        return result

    def _here(self, given: Any) -> Any:
        """Return the arguments of a call, with coroutine functions that run in this loop."""
        if type(given) is dict:
            return {name: in_loop(each, self.loop) for name, each in given.items()}
        return tuple([in_loop(each, self.loop) for each in given])

    async def _deliver(self, asked: _Asked) -> Any:
        """Send a message that could not be answered here and now, and wait for its reply. The session has what it is
        owed first."""
        if self._owed.owes(asked.session_id):
            await self._run(partial(self._owed.settle, asked.session_id), abandon=False)
        if asked.unfinished is not None:
            arrival = self._arrival()
            arrival.begin()
            arrival.set(asked.unfinished)
            return await arrival.reply()
        if self._delivery.replies_by_receipt(asked.session_id, asked.message):
            arrival = self._arrival()
            self._delivery.tell(asked.session_id, asked.message, arrival)
            return await arrival.reply(asked.timeout)
        calls = asked.message.preparation == "call"
        return await self._run(
            lambda: self._delivery.ask(asked.session_id, asked.message, asked.timeout), abandon=calls
        )

    async def _run(self, work: Callable[[], Any], *, abandon: bool) -> Any:
        self._require_loop()
        arrival = self._arrival()
        context = contextvars.copy_context()

        def serve() -> None:
            if not arrival.begin():
                return
            try:
                arrival.set(context.run(work))
            except BaseException:
                arrival.set_exception()

        waits = abandon or self._delivery.hooked or self._core.hooks.creating
        (self._threads.submit_at_once if waits else self._threads.submit)(serve)
        return await arrival.reply(abandon=abandon)

    def _arrival(self) -> Arrival:
        return Arrival(*self._kept)

    def _defer(self, reply: DeferredReply, arrival: Arrival) -> None:
        """Have a reply worked out. Those that wait for the disk are worked out on one thread, the newest first, so that
        one sync covers all that came before it."""
        if reply.syncs:
            if self._committer is None:
                self._committer = threading.Thread(target=self._commit, name="greenroom-async-commit", daemon=True)
                self._committer.start()
            self._to_sync.put((reply, arrival))
        else:
            self._threads.submit(partial(_finish, reply, arrival))

    def _commit(self) -> None:
        for each in iter(self._to_sync.get, None):
            assert each is not None
            _finish(*each)
        while not self._to_sync.empty():  # what was put before the end
            last = self._to_sync.get()
            if last is not None:
                _finish(*last)

    def require_open(self) -> None:
        """Raise RuntimeClosed after `close`."""
        if type(self._turns) is _Over:
            self._turns.has_time()

    def _require_loop(self) -> None:
        if asyncio.get_running_loop() is not self.loop:
            raise InvalidOperation(
                "this AsyncRuntime belongs to another event loop: open one in each loop, "
                "by AsyncRuntime.over(runtime) if they share a runtime"
            )

    def close(self) -> None:
        """Let the threads end. What they are doing is done to its end."""
        self._turns = _Over(self.loop)
        self._threads.close()
        if self._committer is not None:
            self._to_sync.put(None)


class _Answer:
    """Takes the place of asking: gives the reply that has come already."""

    __slots__ = ("_error", "_reply", "_taken")

    def __init__(self, reply: Any, error: Exception | None = None) -> None:
        self._reply = reply
        self._error = error
        self._taken = False

    def __call__(self, session_id: str, message: Any, timeout: float) -> Any:
        if self._taken:
            raise AssertionError(f"the method asks more than once: {type(message).__name__}")
        self._taken = True
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # see `_Elsewhere`
        return self._reply


def _finish(reply: DeferredReply, arrival: Arrival) -> None:
    try:
        arrival.set(reply.finish())
    except BaseException:
        arrival.set_exception()
