"""What keeps a hook that hangs or fails from its caller: guard threads, and a circuit breaker."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from greenroom.actors.scheduling.threads import Elastic, Share
from greenroom.storage.errors import OperationTimeout, ResourceLimitExceeded

from .result import awaited

__all__ = ["MAX_GUARDED", "Breaker", "Guard", "GuardsTaken", "HookTimeout"]


MAX_GUARDED: Final = 64
"""Hooks that may run on guard threads at once, those that hang among them."""


class HookTimeout(OperationTimeout):
    """A hook did not answer in time; not an operation of its own."""

    @property
    def code(self) -> str:
        return OperationTimeout.__name__


class GuardsTaken(ResourceLimitExceeded):
    """A hook was not called, because no thread was free for it: nothing is known of the hook by that."""

    @property
    def code(self) -> str:
        return ResourceLimitExceeded.__name__


class Guard:
    """Runs hooks on elastic threads, at most `most` at once. Nobody waits for a thread to get free."""

    def __init__(self, elastic: Elastic, most: int = MAX_GUARDED) -> None:
        self.elastic = elastic
        self._share = Share(self, most, self._taken)

    def call(self, fn: Callable[[Any], Any], context: object, timeout: float) -> tuple[Any, float]:
        """Call a hook; its answer and the seconds it took. Raises what it raises, HookTimeout after `timeout`
        seconds, and GuardsTaken if no thread is free."""
        try:
            promise = self.elastic.submit(_run, fn, context, timeout, share=self._share)
        except GuardsTaken:
            raise
        except ResourceLimitExceeded as error:
            raise GuardsTaken(str(error), **error.fields) from error
        try:
            answer = promise.result(timeout)
        except TimeoutError:
            raise HookTimeout(f"the hook did not answer within {timeout:g} s", timeout=timeout, started=True) from None
        if answer.error is not None:
            raise answer.error
        return answer.value, answer.seconds

    def _taken(self) -> GuardsTaken:
        most = self._share.most
        return GuardsTaken(
            f"all {most} guard threads are taken by hooks that are at work or hang: end those that hang",
            resource="hook_threads",
            limit=most,
            value=most,
        )


def _run(fn: Callable[[Any], Any], context: object, timeout: float) -> _Answer:
    answer = _Answer()
    begun = time.monotonic()
    try:
        value = fn(context)
        answer.value = awaited(value, timeout)
    except (asyncio.CancelledError, GeneratorExit) as error:
        answer.error = RuntimeError(f"the hook ended with {type(error).__name__}")
    except BaseException as error:
        answer.error = error
    finally:
        answer.seconds = time.monotonic() - begun
    return answer


class _Answer:
    """What a hook answered or raised; not by the future itself, or a hook's own TimeoutError would pass for ours."""

    __slots__ = ("error", "seconds", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.seconds = 0.0


CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half-open"


class Breaker:
    """Opens after `threshold` bad calls in a row, or at once when told. After `cooldown` seconds one call may try
    again (half-open): if it is good the breaker closes, else it stays open for another cooldown."""

    __slots__ = ("_bad", "_clock", "_cooldown", "_lock", "_opened", "_threshold", "_trying", "opened")

    def __init__(self, threshold: int, cooldown: float, clock: Callable[[], float]) -> None:
        self._threshold = threshold
        self._cooldown = cooldown
        self._clock = clock
        self._lock = threading.Lock()
        self._bad = 0
        self._opened = 0.0
        self._trying = False
        self.opened = False
        """Whether it is not closed: one look for the calls that find it so."""

    @property
    def troubled(self) -> bool:
        """Return whether a good call would change anything."""
        return self._bad > 0 or self.opened

    @property
    def state(self) -> str:
        """Return "closed", "open", or "half-open" when the next call may try."""
        if not self.opened:
            return CLOSED
        return HALF_OPEN if self._trying or self._clock() - self._opened >= self._cooldown else OPEN

    def admits(self) -> bool:
        """Return whether a call may be made now. Of those that come when the cooldown is over, one may; if nothing is
        heard of that one (it hangs, or was interrupted), another when the time is over once more."""
        if not self.opened:
            return True
        with self._lock:
            now = self._clock()
            if now - self._opened < self._cooldown:
                return False
            self._trying, self._opened = True, now
            return True

    def good(self) -> None:
        """Note that a call was good."""
        if self._bad or self.opened:
            with self._lock:
                self._bad = 0
                if self._trying:  # others that end well now began before it opened
                    self._trying = self.opened = False

    def release(self) -> None:
        """Note that the call which might have tried again was not made after all."""
        if self.opened:
            with self._lock:
                if self._trying:
                    self._trying, self._opened = False, self._clock() - self._cooldown

    def reset(self) -> None:
        """Close it, whatever was."""
        with self._lock:
            self._bad = 0
            self._trying = self.opened = False

    def bad(self, *, at_once: bool = False) -> bool:
        """Note that a call was bad. Return whether that has opened the breaker; with `at_once` one such call does."""
        with self._lock:
            self._bad += 1
            if not (at_once or self._trying or self._bad >= self._threshold):
                return False
            opening = not self.opened
            self.opened, self._trying, self._opened = True, False, self._clock()
            return opening
