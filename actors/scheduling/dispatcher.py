"""Run pykka actors on a bounded pool of threads, or on the caller's own thread when the actor is idle.

A `PooledActor` owns no thread. The thread that holds its *turn* handles its messages, one at a time and in the order of
their arrival:

- `ask` on an idle actor takes the turn and handles the message right there: no queue, no thread switch.
- Otherwise the message waits in the mailbox and a pool thread takes the turn.

A signal handler of the host, or `PyThreadState_SetAsyncExc`, may throw an exception into the running thread at any
moment. CPython throws it only at the start of a Python function, at a jump backward, or after a call has returned. This
module relies on three rules that follow:

- A turn is a lock that records its owner in the same step in which it is taken (a C call). The `try` begins before that
  call, and the `finally` releases whatever this thread owns, even if the call's result never reached a variable.
- A `finally` must do its work in its first call, and that call must be a C function: a Python function can be
  interrupted before its first line. Each further call stands in a `finally` of its own.
- Messages are taken out of a queue by a `for` over `iter(queue.get, None)`: it sets the loop variable in the same step.

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

from greenroom.storage.errors import InvalidOperation, ResourceLimitExceeded

from .futures import NOW, DeferredReply, OperationEnvelope, PooledFuture, WouldWait
from .operation import CURRENT
from .turn import Turn, interrupted

__all__ = ["Dispatcher", "Envelope", "Mailbox", "PooledActor", "PooledRef"]


logger = logging.getLogger("greenroom.actors")


NOBODY: Final[collections.deque[Envelope[Any]]] = collections.deque(maxlen=0)
"""The mailbox of all actors that no message has ever waited for. Most sessions never need one of their own, which would
take 760 bytes."""


class Mailbox:
    """The bounded inbox of an actor as pykka knows it (`ActorInbox`). Putting a message in makes the actor run."""

    __slots__ = ("_actor",)

    def __init__(self, actor: PooledActor) -> None:
        self._actor = actor

    def put(self, envelope: Envelope[Any]) -> None:
        """Put a message in. Raises ResourceLimitExceeded if the mailbox is full."""
        self._actor.put(envelope)

    def get(self) -> Envelope[Any]:
        """Return the oldest message. Raises IndexError if there is none: nobody may block on a mailbox."""
        return self._actor.waiting.popleft()

    def empty(self) -> bool:
        return not self._actor.waiting


class _Stopped:
    """Stands in for the `threading.Event` that pykka expects as an actor's `stopped`, with the part pykka uses."""

    __slots__ = ("_actor",)

    def __init__(self, actor: PooledActor) -> None:
        self._actor = actor

    def is_set(self) -> bool:
        return self._actor.stopped

    def set(self) -> None:
        self._actor.stopped = True


class PooledRef(pykka.ActorRef["PooledActor"]):
    """A pykka reference whose `ask` may handle the message on the caller's thread."""

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
    _BRIEF: Final = 0.01

    def __init__(self, dispatcher: Dispatcher, urn: str, mailbox_capacity: int) -> None:
        # pykka's own __init__ is not called: its UUID and Event cost more than the rest of a new session. Nor is its
        # global registry used, a list that is searched on every stop: the supervisor has a table.
        self.actor_urn = urn
        self.stopped = False
        """Whether the actor handles no more messages. Those in its mailbox are forwarded."""
        self.waiting = NOBODY
        self._capacity = mailbox_capacity
        self._dispatcher = dispatcher
        self._turn = Turn()
        self._held = False
        """Whether a thread handles messages. Set after the turn is taken and before it is released. A thread that sets
        it to False looks into the mailbox afterwards, so a sender that finds it True can leave its message to that
        thread."""

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> Any:
        """Make the actor and return its reference. There is no loop to start."""
        return cls(*args, **kwargs).actor_ref

    # Made on request, not kept: a cycle of references would keep a passivated actor in memory until the garbage
    # collector runs.

    @property
    def actor_ref(self) -> Any:
        return PooledRef(self)

    @property
    def actor_stopped(self) -> Any:  # type: ignore[override]
        return _Stopped(self)

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
        """Do nothing: the dispatcher lends a thread when there is a message."""

    def _stop(self) -> None:
        self.stopped = True
        self.on_stop()

    # -- sending

    def ask(self, message: Any, timeout: float) -> Any:
        """Send a message and return the reply, or raise what its handling raised.

        Raises OperationTimeout after `timeout` seconds, ResourceLimitExceeded when the mailbox is full. With `NOW` for
        a timeout, raises WouldWait if another thread handles messages, and Unfinished for a reply that is not brief.
        """
        if not self._held:
            turn = self._turn
            reply = None
            taken = None  # unknown until it is set: an exception may be thrown in before
            try:
                taken = turn.acquire(False)
                if taken:
                    self._held = True
                    # If messages wait already, or the actor has stopped, the pool goes through the mailbox first.
                    if not self.stopped and not self.waiting:
                        reply = self._handle_receive(message)
                        if type(reply) is not DeferredReply:
                            return reply
            finally:
                if taken:
                    self._held = False
                    try:
                        if self.waiting:
                            self._dispatcher.submit(self)
                    finally:
                        turn.release()
                elif taken is None:
                    try:  # noqa: SIM105 -- entering a `with` could be interrupted
                        turn.release()
                    except RuntimeError:
                        pass  # it was not ours
            if reply.__class__ is DeferredReply:
                return reply.finish() if timeout is not NOW else reply.finish_now()
        else:
            self.refuse_within()
        if timeout is NOW:
            raise WouldWait
        future = PooledFuture()
        self.put(OperationEnvelope(message, future))
        return future.get(timeout=timeout)

    def refuse_within(self) -> None:
        """Raise InvalidOperation if this thread holds the turn: it cannot wait for itself."""
        if self._turn.is_ours():
            raise InvalidOperation(
                f"{self.actor_urn} is just handling a message on this very thread, which cannot wait for itself: a "
                "signal handler or a callback within may `tell`"
            )

    def tell(self, message: Any) -> None:
        """Send a message without waiting for a reply. Raises ResourceLimitExceeded when the mailbox is full."""
        self.put(OperationEnvelope(message))

    def put(self, envelope: Envelope[Any]) -> None:
        """Put a message into the mailbox and have it handled. Raises ResourceLimitExceeded when the mailbox is full."""
        if isinstance(envelope.reply_to, PooledFuture):
            envelope.reply_to.actor = self
        try:
            self._append_waiting(envelope)
        finally:
            if not self._held and self.waiting:
                self._dispatcher.submit(self)
        if self.stopped:
            # The actor stopped while this message was on its way. Whoever stops an actor looks into the mailbox
            # afterwards, so a message is either found there or forwarded here, before its sender can send the next.
            self.do_in_turn(self._drain_all, self.DEFAULT_TIMEOUT)

    def _append_waiting(self, envelope: Envelope[Any]) -> None:
        waiting = self.waiting
        if waiting is NOBODY:
            # One call of C: of several threads at once, all get the mailbox of the first.
            self.waiting = waiting = self.__dict__.setdefault("_mailbox", collections.deque())
        if len(waiting) >= self._capacity:
            raise ResourceLimitExceeded(
                f"the mailbox of {self.actor_urn} is full ({self._capacity} messages): slow down",
                resource="mailbox",
                limit=self._capacity,
                value=len(waiting),
            )
        waiting.append(envelope)

    def is_idle(self) -> bool:
        """Return whether no thread handles messages at this moment."""
        return not self._held

    def wake(self) -> None:
        """Have the pool handle the mailbox, unless a thread holds the turn: that one looks again when it releases the
        turn."""
        if not self._held and self.waiting:
            self._dispatcher.submit(self)

    def do_in_turn(self, work: Callable[[], Any], wait: float = 0.0) -> bool:
        """Run `work` in place of handling a message. Return False without running it if another thread handles
        messages, and still does after `wait` seconds, or if this thread itself does."""
        turn = self._turn
        if self._held and (wait <= 0 or turn.is_ours()):
            return False
        taken = None
        try:
            taken = turn.acquire(True, min(wait, threading.TIMEOUT_MAX)) if wait > 0 else turn.acquire(False)
            if not taken:
                return False
            self._held = True
            work()
            return True
        finally:
            if taken:
                self._held = False
                try:
                    if self.waiting:
                        self._dispatcher.submit(self)
                finally:
                    turn.release()
            elif taken is None:
                try:  # noqa: SIM105 -- entering a `with` could be interrupted
                    turn.release()
                except RuntimeError:
                    pass  # it was not ours

    # -- handling; the caller holds the turn

    def run(self) -> None:
        """Handle a batch of waiting messages. Called on a pool thread."""
        # A thread that has the turn without having said so is about to release it, or has just taken it.
        if self.waiting and not self.do_in_turn(self._drain_batch, 0 if self._held else self._BRIEF):
            self.wake()

    def _drain_batch(self) -> None:
        self._drain(self.BATCH)

    def _drain_all(self) -> None:
        self._drain(len(self.waiting))

    def _drain(self, most: int) -> None:
        waiting = self.waiting
        while most > 0 and waiting:
            for envelope in iter(waiting.popleft, None):
                try:
                    self._handle(envelope)
                except BaseException as error:
                    self.answer_interrupted(envelope, error)
                    raise
                break
            most -= 1

    def answer_interrupted(self, envelope: Envelope[Any], error: BaseException) -> None:
        """Answer a message whose handling was interrupted, if it has no answer yet."""
        future = envelope.reply_to
        if future is None:
            logger.error("%s: %s was interrupted by %s", self.actor_urn, type(envelope.message).__name__,
                         type(error).__name__)  # fmt: skip
        elif isinstance(future, PooledFuture) and not future.has_answer():
            problem = interrupted(type(error).__name__)
            future.set_exception((type(problem), problem, None))

    def _handle(self, envelope: Envelope[Any]) -> None:
        """Handle a message from the mailbox as part of the operation that it was sent in."""
        if self.stopped:
            self.forward(envelope)
            return
        operation = envelope.operation if envelope.__class__ is OperationEnvelope else None
        before = CURRENT.get()
        if operation is before:
            self._handle_queued(envelope)
            return
        try:
            CURRENT.set(operation)
            self._handle_queued(envelope)
        finally:
            CURRENT.set(before)

    def _handle_queued(self, envelope: Envelope[Any]) -> None:
        future = envelope.reply_to
        if future is None:
            try:
                reply = self._handle_receive(envelope.message)
                if (
                    reply.__class__ is DeferredReply and reply.always
                ):  # deferred work that may be skipped is done only if somebody waits
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
        """Answer a message that arrives after the actor has stopped."""
        if envelope.reply_to is not None:
            try:
                raise pykka.ActorDeadError(f"{self.actor_urn} has stopped")
            except pykka.ActorDeadError:
                envelope.reply_to.set_exception()

    def on_tell_failure(self, message: Any, error: Exception) -> None:
        """Log that a message failed for which nobody waits. The message's content is not logged."""
        logger.error("%s: %s failed: %s", self.actor_urn, type(message).__name__, error)


class Dispatcher:
    """A bounded pool of threads that run actors which have messages waiting."""

    def __init__(self, workers: int, name: str = "greenroom") -> None:
        self._ready: queue.SimpleQueue[PooledActor | None] = queue.SimpleQueue()
        self.submit: Final[Callable[[PooledActor], None]] = self._ready.put
        """Have a pool thread run an actor. This is a C function, so a call in a `finally` is sure to be made."""
        self._name = name
        self._threads: dict[int, threading.Thread] = {}
        for index in range(workers):
            self._start(index)

    def _start(self, index: int) -> None:
        thread = threading.Thread(target=self._serve, args=(index,), name=f"{self._name}-worker-{index}", daemon=True)
        self._threads[index] = thread
        thread.start()

    def _serve(self, index: int) -> None:
        """Work until told to end. A thread that ends for any other reason starts a successor."""
        done = False
        try:
            while not done:
                done = self._work()
        finally:
            if not done:
                self._start(index)

    def _work(self) -> bool:
        """Run actors. Return True when told to end, False when an exception was thrown in."""
        actor: PooledActor | None = None
        try:
            for actor in iter(self._ready.get, None):
                actor.run()
                # Otherwise the last actor would stay in memory, with all it refers to, until the next one comes.
                actor = None
            return True
        except BaseException:
            if actor is not None:
                self.submit(actor)  # for the messages still in its mailbox
            logger.exception("a worker thread met an error that no actor handled")
            return False

    def close(self, timeout: float) -> None:
        """Let the threads finish their work and end. Waits at most `timeout` seconds."""
        threads = list(self._threads.values())
        for _ in threads:
            self._ready.put(None)
        deadline = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
