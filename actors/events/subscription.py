"""A subscription: the bounded queue of one subscriber, and what happens when the queue is full."""

from __future__ import annotations

import collections
import enum
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Self

from greenroom.actors.scheduling.callables import completed, require_callable
from greenroom.actors.scheduling.operation import acting, following
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.logs import logger_of
from greenroom.storage.concurrency.starter import start_thread
from greenroom.storage.concurrency.waiting import Bell
from greenroom.storage.errors import InvalidOperation, ValidationError
from greenroom.storage.events.model import Event
from greenroom.storage.events.pattern import EventPattern

from .notice import Notice

__all__ = ["Callback", "Overflow", "Subscription", "offer_all"]

logger = logger_of("events")

Callback = Callable[[Event], object]

MAX_CAPACITY: Final = 1_000_000
QUEUE_BYTES: Final = 64 << 20


class Overflow(enum.StrEnum):
    """What to do with an event when the queue is full."""

    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"
    BLOCK = "block"
    """The code that caused the event waits for room, at most `block_timeout`; then the event is dropped."""
    DISCONNECT = "disconnect"
    """The subscription ends. The events in its queue can still be received."""


class Subscription:
    """Queues the events that match a pattern, from the moment of subscribing on.

    `receive` them, iterate, or give a callback. Events of one session come in the order of its journal. Close the
    subscription when you are done, or use it as a context manager.

    Example:
        ```py
        with rt.events.subscribe("artifact.*") as stored:
            s.store_artifact("tool_result", "a.txt", "text")
            event = stored.receive(timeout=1)  # or None
        ```
    """

    def __init__(
        self,
        pattern: EventPattern,
        capacity: int,
        overflow: Overflow,
        block_timeout: float,
        callback: Callback | None,
        accepts: Callable[[Notice], bool] | None,
        principal: str | None,
        realm: object,
        on_close: Callable[[Subscription], None],
        on_error: Callable[[Subscription, Event, BaseException], None],
        now: Callable[[], int] = time.time_ns,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        """Make a subscription; hosts use `rt.events.subscribe`. `lock` guards the queues of all subscriptions that
        `offer_all` gives events to."""
        if type(capacity) is not int or not 1 <= capacity <= MAX_CAPACITY:
            raise ValidationError(f"capacity: a whole number from 1 to {MAX_CAPACITY} is needed", field="capacity")
        if callback is not None:
            require_callable("callback", callback, "an event")
        self._pattern = pattern
        self.matches = pattern.matches
        self._capacity = capacity
        self._overflow = overflow
        self._drops_oldest = overflow is Overflow.DROP_OLDEST
        self.takes_all = self._drops_oldest and accepts is None
        """Whether every event that matches is taken at once. If so, `offer_all` does what `offer` does."""
        self._block_timeout = block_timeout
        self._callback = callback
        self._accepts = accepts
        self._principal = principal
        self._realm = realm
        self._on_close = on_close
        self._on_error = on_error
        self._now = now
        self._expired = 0
        self.on_arrival: Callable[[], None] | None = None
        """Called after an event has come in, on the thread that caused it, and when none will come in any more. Used to
        wait for several subscriptions at once, and without a thread."""
        self.queue_bytes = QUEUE_BYTES
        """The bytes that the events in the queue may take together."""
        self._queue: collections.deque[Notice] = collections.deque()
        self._bytes = 0
        self._dropped = 0
        self._failed = 0
        self._closed = False
        self._ending = False
        self._stalled = False
        # A finalizer, which runs at any moment, may close a subscription: no lock may keep its own thread out.
        self._lock = lock if lock is not None and self.takes_all else threading.RLock()
        self._arrived = Bell()
        self._room = Bell()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start the thread that calls the callback, if there is a callback."""
        if self._callback is not None:
            name = f"greenroom-events-{self.pattern}"
            thread = threading.Thread(target=self._deliver, name=name, daemon=True)
            start_thread(thread)
            self._thread = thread

    def __repr__(self) -> str:
        return f"<Subscription {self.pattern} pending={self.pending} dropped={self._dropped}>"

    # -- what there is

    @property
    def pattern(self) -> str:
        return self._pattern.text

    @property
    def overflow(self) -> Overflow:
        return self._overflow

    @property
    def pending(self) -> int:
        """The number of events in the queue."""
        return len(self._queue)

    @property
    def next_size(self) -> int:
        """The bytes of the next event in the queue; 0 if there is none."""
        with self._lock:
            return self._queue[0].size if self._queue else 0

    @property
    def oldest(self) -> int:
        """The time, in ns since the epoch, of the next event in the queue; 0 if there is none."""
        with self._lock:
            return self._queue[0].time if self._queue else 0

    @property
    def dropped(self) -> int:
        """The number of events dropped because the queue was full."""
        return self._dropped

    @property
    def expired(self) -> int:
        """The number of events that were not received within the time that their publisher gave them."""
        return self._expired

    @property
    def failed(self) -> int:
        """The number of events for which the callback raised."""
        return self._failed

    @property
    def closed(self) -> bool:
        """Whether no further event will come in."""
        return self._closed

    # -- receiving

    @checked
    def receive(self, timeout: float | None = None) -> Event | None:
        """Return the oldest event in the queue. Wait for one at most `timeout` seconds (None: without limit). Return
        None if none came in, or none will any more."""
        if self._callback is not None:
            raise InvalidOperation("this subscription gives its events to its callback: subscribe without one")
        notice = self.take(timeout)
        return notice.event() if notice is not None else None

    def __iter__(self) -> Iterator[Event]:
        """Yield events as they come in, until the subscription or its runtime is closed."""
        while (event := self.receive()) is not None:
            yield event

    def take(self, timeout: float | None) -> Notice | None:
        """Take the oldest event as `receive` does, without making a view of it."""
        if timeout is not None and not (type(timeout) in (int, float) and timeout <= math.inf):
            raise ValidationError("timeout: a number of seconds is needed, or None", field="timeout")
        deadline = None if timeout is None else time.monotonic() + min(timeout, threading.TIMEOUT_MAX / 2)
        while True:
            with self._lock:
                queue = self._queue
                if queue:
                    notice = queue[0]
                    # Nothing can be thrown in between these two statements: neither is a call.
                    del queue[0]
                    self._bytes -= notice.size
                    self._stalled = False
                    expires = notice.expires
                    if expires is None or self._now() < expires:
                        break
                    self._expired += 1
                    continue
                if self._closed:
                    return None
            wait = None if deadline is None else deadline - time.monotonic()
            if not self._arrived.wait_for(lambda: bool(self._queue) or self._closed, wait):
                return None
        if self._overflow is Overflow.BLOCK:
            self._room.ring()
        return notice

    def _deliver(self) -> None:
        """Run the callback's own thread: a callback that hangs or fails holds up nobody else."""
        assert self._callback is not None
        while (notice := self.take(None)) is not None:
            event = notice.event()
            del notice  # its values may be large, and the next event may be long in coming
            try:
                source = f"subscriber:{self.pattern}"
                ids = following(event)
                with acting(principal=self._principal, realm=self._realm, source=source, run=None, **ids):
                    completed(self._callback(event))
            except BaseException as error:  # even an exit: only closing ends a subscription
                self._failed += 1
                logger.error("a callback for %s failed at event %s", self.pattern, event.id, exc_info=error)
                try:
                    self._on_error(self, event, error)
                except Exception:
                    logger.exception("reporting that failure failed too")
            del event

    # -- the other side

    def offer(self, notice: Notice) -> None:
        """Take in an event if it passes the filter and there is room. Called in a session's turn; never raises."""
        if self._accepts is not None and not self._accepts(notice):
            return
        if self._drops_oldest:
            offer_all((self,), self._lock, notice)
            return
        until: float | None = None
        while True:
            with self._lock:
                if self._closed:
                    return
                full = self._is_full(notice)
                if full and not self._waits(until):
                    self._drop()
                    return
                if not full:
                    self._bytes += notice.size  # counted first: after the call, something may be thrown in
                    self._queue.append(notice)
                    break
            if until is None:
                until = time.monotonic() + self._block_timeout
            self._room.wait_for(lambda: self._ending or not self._is_full(notice), until - time.monotonic())
        self._tell()

    def _tell(self) -> None:
        """Wake whoever waits for an event."""
        self._arrived.ring()
        if self.on_arrival is not None:
            self.on_arrival()

    def _is_full(self, notice: Notice) -> bool:
        """Return whether the queue would hold too many events, or too many bytes."""
        return len(self._queue) >= self._capacity or self._bytes + notice.size > self.queue_bytes

    def _waits(self, until: float | None) -> bool:
        """Return whether an event that finds no room waits for some (`until` None: it has not waited yet)."""
        return (
            self._overflow is Overflow.BLOCK
            and not self._stalled
            and not self._ending
            and (until is None or time.monotonic() < until)
        )

    def _drop(self) -> None:
        """Drop an event that finds no room. The caller holds the lock."""
        if self._overflow is Overflow.BLOCK:
            # Do not wait again for a subscriber that has taken nothing meanwhile.
            self._stalled = True
        self._dropped += 1
        if self._overflow is Overflow.DISCONNECT:
            logger.warning("the subscription to %s is disconnected: its queue is full", self.pattern)
            self._end()
            self._on_close(self)

    # -- the end

    def close(self) -> None:
        """Drop the queue and receive nothing more; a waiting `receive` returns None. Idempotent."""
        with self._lock:
            self._queue.clear()
            self._bytes = 0
            self._end()
        self._on_close(self)

    def hurry(self) -> None:
        """Stop waiting for room, and wake whoever waits for it: the runtime is about to close."""
        self._ending = True
        self._room.ring()

    def finish(self) -> None:
        """Take in no further events; those in the queue can still be received."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        self._closed = self._ending = True
        self._room.ring()
        self._tell()

    def join(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until the callback has had all events in the queue, unless called from the
        callback."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def offer_all(subscriptions: Iterable[Subscription], lock: AbstractContextManager[object], notice: Notice) -> None:
    """Give an event in one step to subscriptions that drop the oldest events and share a lock. Never raises."""
    size = notice.size
    awaited: list[Subscription] = []
    with lock:
        for each in subscriptions:
            if each._closed:
                continue
            queue = each._queue
            while queue and (len(queue) >= each._capacity or each._bytes + size > each.queue_bytes):
                dropped = queue[0].size
                del queue[0]
                each._bytes -= dropped
                each._dropped += 1
            each._bytes += size  # counted first: after the call, something may be thrown in
            queue.append(notice)
            if each._arrived.awaited or each.on_arrival is not None:
                awaited.append(each)
    for each in awaited:
        each._tell()
