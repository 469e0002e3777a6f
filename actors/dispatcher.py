"""Carries pykka actors on a bounded pool of threads, or on the caller's own thread when the actor is idle.

A `PooledActor` owns no thread. Whoever holds its *turn* handles its messages, one at a time and in the order
of their arrival:

- `ask` on an idle actor takes the turn and handles the message right there: no queue, no thread switch.
- Otherwise the message waits in the mailbox and a pool thread takes the turn.

Example:
    ```py
    class Counter(PooledActor):
        n = 0

        def on_receive(self, message):
            self.n += message
            return self.n

    dispatcher = Dispatcher(workers=2)
    counter = Counter(dispatcher, "counter", mailbox_capacity=100)
    counter.ask(3, timeout=1.0)  # 3, on this thread
    counter.tell(4)              # on a pool thread
    ```
"""

from __future__ import annotations

import collections
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import pykka
from pykka._envelope import Envelope

from greenroom.storage.errors import OperationTimeout, ResourceLimitExceeded

from .operation import CURRENT

__all__ = ["Dispatcher", "Later", "Letter", "Mailbox", "PooledActor", "PooledFuture", "PooledRef"]

logger = logging.getLogger("greenroom.actors")


class Letter(Envelope[Any]):
    """A message in a mailbox, with the operation that it belongs to."""

    __slots__ = ("operation",)

    def __init__(self, message: Any, reply_to: Any = None) -> None:
        super().__init__(message, reply_to)
        self.operation = CURRENT.get()


class Later:
    """A reply that still has to be worked out, on the asker's thread, after the actor's turn has ended.

    So an actor waits neither for a disk nor for a large content to be read. `always`: it is more than a reply, and
    done also where nobody waits for it.
    """

    __slots__ = ("always", "finish")

    def __init__(self, finish: Callable[[], Any], *, always: bool = False) -> None:
        self.finish = finish
        self.always = always


class PooledFuture(pykka.Future[Any]):
    """The reply to a queued message. Waiting costs one lock; `get` can give up, and then the message is not begun."""

    _QUEUED: Final = 0
    _BEGUN: Final = 1
    _GIVEN_UP: Final = 2

    def __init__(self) -> None:
        super().__init__()
        self._gate = threading.Lock()
        self._gate.acquire()
        self._state_lock = threading.Lock()
        self._state = self._QUEUED
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None

    def begin(self) -> bool:
        """Called by the actor before it handles the message: False if the asker has given up."""
        with self._state_lock:
            if self._state == self._GIVEN_UP:
                return False
            self._state = self._BEGUN
            return True

    def get(self, *, timeout: float | None = None) -> Any:
        """The reply, or the error it ended with. Raises OperationTimeout after `timeout` seconds."""
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if not self._done:
            if not self._gate.acquire(timeout=-1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX)):
                with self._state_lock:
                    begun = self._state == self._BEGUN
                    if not begun:
                        self._state = self._GIVEN_UP
                if not self._done:
                    raise OperationTimeout(
                        f"no answer within {timeout:g} s; "
                        + ("the operation had begun and may still take effect" if begun else "nothing was done"),
                        timeout=timeout,
                        started=begun,
                    )
            else:
                self._gate.release()
        if self._error is not None:
            raise self._error
        if self._value.__class__ is Later:
            self._value = self._value.finish()
        return self._value

    def set(self, value: Any = None) -> None:
        self._value = value
        self._done = True
        self._gate.release()

    def set_exception(self, exc_info: Any = None) -> None:
        import sys

        self._error = (exc_info or sys.exc_info())[1]
        self._done = True
        self._gate.release()


class Mailbox:
    """The bounded inbox of an actor as pykka knows it (`ActorInbox`). Putting a message in makes the actor run."""

    __slots__ = ("_actor",)

    def __init__(self, actor: PooledActor) -> None:
        self._actor = actor

    def put(self, envelope: Envelope[Any]) -> None:
        """Raises ResourceLimitExceeded when the mailbox is full."""
        self._actor.put(envelope)

    def get(self) -> Envelope[Any]:
        """The oldest message. Raises IndexError when there is none: nobody may block on a mailbox."""
        return self._actor.waiting.popleft()

    def empty(self) -> bool:
        return not self._actor.waiting


class _Stopped:
    """The part of `threading.Event` that pykka uses, without its locks: 2 µs less for every actor."""

    __slots__ = ("_set",)

    def __init__(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True

    def clear(self) -> None:
        self._set = False


class PooledRef(pykka.ActorRef["PooledActor"]):
    """A pykka reference whose `ask` may be handled on the caller's thread."""

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        if block:
            actor = self._actor_weakref()
            if actor is not None:
                return actor.ask(message, timeout if timeout is not None else actor.DEFAULT_TIMEOUT)
        return super().ask(message, block=block, timeout=timeout)


class PooledActor(pykka.Actor):
    """A pykka actor on a dispatcher. Subclasses implement `on_receive`, which must not block for long."""

    DEFAULT_TIMEOUT: Final = 30.0
    BATCH: Final = 64

    def __init__(self, dispatcher: Dispatcher, urn: str, mailbox_capacity: int) -> None:
        # Not pykka's own __init__: its UUID and Event cost more than all the rest of a new session. Nor its global
        # registry, which is a list that is searched on every stop: the supervisor has a table.
        self.actor_urn = urn
        self.actor_stopped: Any = _Stopped()
        self.waiting: collections.deque[Envelope[Any]] = collections.deque()
        self._capacity = mailbox_capacity
        self._dispatcher = dispatcher
        self._turn = threading.Lock()

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> Any:
        """Make the actor and return its reference. There is no loop to start."""
        return cls(*args, **kwargs).actor_ref

    # Made when asked for, not kept: an actor in a cycle of references would outlive its passivation until the
    # garbage collector comes by.

    @property
    def actor_ref(self) -> Any:
        return PooledRef(self)

    @property
    def actor_inbox(self) -> Any:  # type: ignore[override]
        return Mailbox(self)

    @staticmethod
    def _create_actor_inbox() -> Any:
        raise NotImplementedError("a PooledActor makes its own mailbox")

    @staticmethod
    def _create_future() -> PooledFuture:
        return PooledFuture()

    def _start_actor_loop(self) -> None:
        """Nothing: the dispatcher lends a thread when there is a message."""

    def _stop(self) -> None:
        self.actor_stopped.set()
        self.on_stop()

    # -- sending

    def ask(self, message: Any, timeout: float) -> Any:
        """Send a message and return the reply, or raise what handling it raised.

        Raises OperationTimeout after `timeout` seconds, ResourceLimitExceeded when the mailbox is full.
        """
        turn = self._turn
        if turn.acquire(False):
            passed_on = False
            try:
                if not self.waiting and not self.actor_stopped._set:
                    reply = self._handle_receive(message)
                else:
                    # Others came before us: the pool, to which we pass the turn, handles them first.
                    future = PooledFuture()
                    self._append_waiting(Letter(message, future))
                    passed_on = True  # before it is: an interrupt in between must not give the turn to two
                    self._dispatcher.submit(self)
            finally:
                if not passed_on:
                    turn.release()
                    if self.waiting:
                        self.wake()
            if not passed_on:
                return reply.finish() if reply.__class__ is Later else reply
        else:
            future = PooledFuture()
            self.put(Letter(message, future))
        return future.get(timeout=timeout)

    def tell(self, message: Any) -> None:
        """Send a message and go on. Raises ResourceLimitExceeded when the mailbox is full."""
        self.put(Letter(message))

    def put(self, envelope: Envelope[Any]) -> None:
        """Put a message into the mailbox and have it handled. Raises ResourceLimitExceeded when it is full."""
        self._append_waiting(envelope)
        if self.actor_stopped._set:
            # It has stopped while we were on our way. Whoever stops an actor looks into the mailbox afterwards, so a
            # message is either found there or forwarded here, before its sender can send the next.
            if self._turn.acquire(timeout=self.DEFAULT_TIMEOUT):
                try:
                    self._drain(len(self.waiting))
                finally:
                    self.give_turn()
        else:
            self.wake()

    def _append_waiting(self, envelope: Envelope[Any]) -> None:
        waiting = self.waiting
        if len(waiting) >= self._capacity:
            raise ResourceLimitExceeded(
                f"the mailbox of {self.actor_urn} is full ({self._capacity} messages): slow down",
                resource="mailbox",
                limit=self._capacity,
                value=len(waiting),
            )
        waiting.append(envelope)

    def wake(self) -> None:
        """Have the pool handle the mailbox, unless somebody holds the turn: they look again when they release it."""
        if self._turn.acquire(False):
            self._dispatcher.submit(self)

    def take_turn(self, wait: float = 0.0) -> bool:
        """Become the one who handles this actor's messages, unless somebody is and stays so for `wait` seconds."""
        return self._turn.acquire(timeout=min(wait, threading.TIMEOUT_MAX)) if wait > 0 else self._turn.acquire(False)

    def give_turn(self) -> None:
        """Give the turn back, and what has gathered meanwhile to the pool."""
        self._turn.release()
        if self.waiting:
            self.wake()

    # -- handling; the caller holds the turn

    def run(self) -> None:
        """Handle a batch of waiting messages and give up the turn. Called on a pool thread that holds it."""
        try:
            self._drain(self.BATCH)
        finally:
            self.give_turn()

    def _drain(self, most: int) -> None:
        waiting = self.waiting
        for _ in range(most):
            try:
                envelope = waiting.popleft()
            except IndexError:
                return
            self._handle(envelope)

    def _handle(self, envelope: Envelope[Any]) -> None:
        """Handle a message from the mailbox, as the operation that it was sent in."""
        if self.actor_stopped._set:
            self.forward(envelope)
            return
        operation = envelope.operation if envelope.__class__ is Letter else None
        if operation is CURRENT.get():
            self._handle_queued(envelope)
            return
        token = CURRENT.set(operation)
        try:
            self._handle_queued(envelope)
        finally:
            CURRENT.reset(token)

    def _handle_queued(self, envelope: Envelope[Any]) -> None:
        future = envelope.reply_to
        if future is None:
            try:
                reply = self._handle_receive(envelope.message)
                if reply.__class__ is Later and reply.always:  # what others would still do is done for an asker only
                    reply.finish()
            except Exception as error:
                self.on_tell_failure(envelope.message, error)
            return
        if isinstance(future, PooledFuture) and not future.begin():
            return
        try:
            reply = self._handle_receive(envelope.message)
        except Exception:
            future.set_exception()
        else:
            future.set(reply)

    def forward(self, envelope: Envelope[Any]) -> None:
        """What to do with a message that arrives after the actor has stopped."""
        if envelope.reply_to is not None:
            try:
                raise pykka.ActorDeadError(f"{self.actor_urn} has stopped")
            except pykka.ActorDeadError:
                envelope.reply_to.set_exception()

    def on_tell_failure(self, message: Any, error: Exception) -> None:
        """A message that nobody waits for has failed. The message's content is not logged."""
        logger.error("%s: %s failed: %s", self.actor_urn, type(message).__name__, error)


class Dispatcher:
    """A bounded pool of threads that run actors which have messages waiting."""

    def __init__(self, workers: int, name: str = "greenroom") -> None:
        self._ready: queue.SimpleQueue[PooledActor | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-worker-{index}", daemon=True) for index in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, actor: PooledActor) -> None:
        """Have a pool thread run the actor, whose turn the caller holds and hereby passes on."""
        self._ready.put(actor)

    def _work(self) -> None:
        while True:
            actor = self._ready.get()
            if actor is None:
                return
            try:
                actor.run()
            except BaseException:
                logger.exception("%s: a worker thread met an error that no actor handled", actor.actor_urn)
            # Or the last actor of the day stays in memory, with all it refers to, until the next one comes.
            del actor

    def close(self, timeout: float) -> None:
        """Let the threads finish what they have been given and end. Waits at most `timeout` seconds."""
        for _ in self._threads:
            self._ready.put(None)
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
