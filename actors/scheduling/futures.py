"""Futures that callers wait for, and the envelope that carries a message with its operation to the handler."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import pykka
from pykka._envelope import Envelope

from greenroom.storage.errors import OperationTimeout

from .operation import CURRENT
from .turn import interrupted

__all__ = [
    "NOW",
    "DeferredReply",
    "OperationEnvelope",
    "PooledFuture",
    "TellReceipt",
    "Unfinished",
    "WouldWait",
    "finished",
]

NOW: Final = -1.0
"""A timeout, known by its identity: answer here and now, or raise WouldWait before anything has happened."""


class WouldWait(OperationTimeout):
    """What was asked for `NOW` cannot be done without waiting. Nothing was done."""

    def __init__(self) -> None:
        super().__init__("it would have to wait; nothing was done", timeout=0.0, started=False)


class Unfinished(Exception):
    """What was asked for `NOW` is done, but its reply is still to be worked out, by calling `reply.finish()`."""

    def __init__(self, reply: DeferredReply) -> None:
        super().__init__("the reply is still to be worked out")
        self.reply = reply


class OperationEnvelope(Envelope[Any]):
    """A message in a mailbox, with the operation that it belongs to."""

    __slots__ = ("operation",)

    def __init__(self, message: Any, reply_to: Any = None) -> None:
        super().__init__(message, reply_to)
        self.operation = CURRENT.get()


class DeferredReply:
    """A reply that the caller's thread still has to work out after the actor's turn has ended.

    So an actor waits neither for a disk nor for large content to be read. `always` means that the work is more than a
    reply, and is done even if nobody waits for it. `syncs` means that it waits until the newest changes are on disk.
    `brief` does the work if it takes some microseconds, and raises WouldWait if it finds that it takes longer.
    """

    __slots__ = ("always", "brief", "finish", "syncs")

    def __init__(
        self,
        finish: Callable[[], Any],
        *,
        always: bool = False,
        syncs: bool = False,
        brief: Callable[[], Any] | None = None,
    ) -> None:
        self.finish = finish
        self.always = always
        self.syncs = syncs
        self.brief = brief

    def finish_now(self) -> Any:
        """Return the reply if it takes no time. Raises Unfinished if it does."""
        if self.brief is not None:
            with contextlib.suppress(WouldWait):
                return self.brief()
        raise Unfinished(self)


def finished(reply: Any) -> Any:
    """Return a reply, worked out now if it was deferred."""
    return reply.finish() if reply.__class__ is DeferredReply else reply


class Handler(Protocol):
    """The actor that will handle a message, as the caller sees it."""

    def is_idle(self) -> bool:
        """Return whether no thread handles its messages."""

    def wake(self) -> None:
        """Have a thread look into its mailbox."""


class PooledFuture(pykka.Future[Any]):
    """The reply to a queued message. Waiting costs one lock. `get` can give up, and then the message is not begun."""

    _QUEUED: Final = 0
    _BEGUN: Final = 1
    _GIVEN_UP: Final = 2
    _FIRST_LOOK: Final = 0.05
    _LAST_LOOK: Final = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._gate = threading.Lock()
        self._gate.acquire()
        self._state_lock = threading.Lock()
        self._state = self._QUEUED
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self.actor: Handler | None = None
        """The actor in whose mailbox the message is."""

    def begin(self) -> bool:
        """Mark the message as begun; called by the actor before handling it. Return False if the caller has given up or
        it was begun already."""
        with self._state_lock:
            if self._state != self._QUEUED:
                return False
            self._state = self._BEGUN
            return True

    def give_up(self) -> bool:
        """Keep the message from being begun. Return whether it had been begun already."""
        with self._state_lock:
            if self._state == self._QUEUED:
                self._state = self._GIVEN_UP
            return self._state == self._BEGUN

    def has_answer(self) -> bool:
        """Return whether there is an answer."""
        return self._done

    def get(self, *, timeout: float | None = None) -> Any:
        """Return the reply, or raise the error that the message ended with. Raises OperationTimeout after `timeout`
        seconds."""
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if not self._done:
            try:
                self._wait(timeout)
            except BaseException:
                self.give_up()
                raise
        if self._error is not None:
            raise self._error
        self._value = finished(self._value)
        return self._value

    def _wait(self, timeout: float | None) -> None:
        """Wait for an answer. Check the actor now and then: an interrupt may have hit the thread that was to handle the
        message, or to announce it."""
        deadline = None if timeout is None else time.monotonic() + max(0.0, timeout)
        look = self._FIRST_LOOK
        while not self.has_answer():
            left = look if deadline is None else min(look, deadline - time.monotonic())
            if left > 0 and self._gate.acquire(timeout=left):
                self._gate.release()
                return
            if self.has_answer():
                return
            if deadline is not None and time.monotonic() >= deadline:
                begun = self.give_up()
                if self.has_answer():
                    return
                raise OperationTimeout(
                    f"no answer within {timeout:g} s; "
                    + ("the operation had begun and may still take effect" if begun else "nothing was done"),
                    timeout=timeout,
                    started=begun,
                )
            look = min(2 * look, self._LAST_LOOK)
            begun = self._state == self._BEGUN  # read first: an actor that handles the message is not idle
            actor = self.actor
            if actor is not None and actor.is_idle():
                if begun and not self.has_answer():
                    raise interrupted()
                actor.wake()

    def set(self, value: Any = None) -> None:
        self._value = value
        self._done = True
        self._gate.release()

    def set_exception(self, exc_info: Any = None) -> None:
        self._error = (exc_info or sys.exc_info())[1]
        self._done = True
        self._gate.release()


class TellReceipt(PooledFuture):
    """Stands in for the caller of a `tell`: notifies at once that the message has been handled."""

    def __init__(self, handled: Callable[[Callable[[], Any]], None], discard: Callable[[Any], None]) -> None:
        super().__init__()
        self._handled = handled
        self._discard = discard
        self.message: Any = None
        """The message that was sent."""

    def set(self, value: Any = None) -> None:
        self._handled(lambda: finished(value))

    def set_exception(self, exc_info: Any = None) -> None:
        error = (exc_info or sys.exc_info())[1]
        assert error is not None
        self._discard(self.message)

        def fail() -> Any:
            raise error

        self._handled(fail)
