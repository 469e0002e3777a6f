"""Protect callers from hooks that hang or fail: guard threads, and a circuit breaker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from greenroom.actors.scheduling.callables import cancelled_error
from greenroom.actors.scheduling.threads import Elastic, Share
from greenroom.storage.errors import OperationTimeout, ResourceLimitExceeded

from .result import awaited

__all__ = ["MAX_GUARDED", "Breaker", "Guard", "GuardsTaken", "HookTimeout"]


MAX_GUARDED: Final = 64
"""How many hooks may run on guard threads at once, hanging ones included."""


class HookTimeout(OperationTimeout):
    """A hook did not answer in time. The error is not the operation's own."""

    @property
    def code(self) -> str:
        return OperationTimeout.__name__


class GuardsTaken(ResourceLimitExceeded):
    """A hook was not called because no thread was free for it. This says nothing about the hook."""

    @property
    def code(self) -> str:
        return ResourceLimitExceeded.__name__


class Guard:
    """Runs hooks on elastic threads, at most `most` at once. Nobody waits for a free thread."""

    def __init__(self, elastic: Elastic, most: int = MAX_GUARDED) -> None:
        self.elastic = elastic
        self._share = Share(self, most, self._taken)

    def call(self, fn: Callable[[Any], Any], context: object, timeout: float) -> tuple[Any, float]:
        """Call a hook, and return its answer and the seconds it took. Raises the hook's error, HookTimeout after
        `timeout` seconds, and GuardsTaken if no thread is free."""
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
    except (cancelled_error(), GeneratorExit) as error:
        answer.error = RuntimeError(f"the hook ended with {type(error).__name__}")
    except BaseException as error:
        answer.error = error
    finally:
        answer.seconds = time.monotonic() - begun
    return answer


class _Answer:
    """The answer or the error of a hook. It does not pass through the future, where a hook's own TimeoutError would be
    taken for the guard's."""

    __slots__ = ("error", "seconds", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.seconds = 0.0


CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half-open"


class Breaker:
    """Opens after `threshold` bad calls in a row, or at once when told. After `cooldown` seconds one call may try again
    (half-open): if it is good the breaker closes, else it stays open for another cooldown."""

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
        """Whether it is not closed. A call that finds it closed needs only this one look."""

    @property
    def troubled(self) -> bool:
        """Whether a good call would change anything."""
        return self._bad > 0 or self.opened

    @property
    def state(self) -> str:
        """ "closed", "open", or "half-open" when the next call may try."""
        if not self.opened:
            return CLOSED
        return HALF_OPEN if self._trying or self._clock() - self._opened >= self._cooldown else OPEN

    def admits(self) -> bool:
        """Return whether a call may be made now. After the cooldown one call may try; if it never reports (it hangs, or
        was interrupted), another may try after the next cooldown."""
        if not self.opened:
            return True
        with self._lock:
            now = self._clock()
            if now - self._opened < self._cooldown:
                return False
            self._trying, self._opened = True, now
            return True

    def good(self) -> None:
        """Record that a call was good."""
        if self._bad or self.opened:
            with self._lock:
                self._bad = 0
                if self._trying:  # other calls that end well now began before it opened
                    self._trying = self.opened = False

    def release(self) -> None:
        """Record that the call which was allowed to try again was not made after all."""
        if self.opened:
            with self._lock:
                if self._trying:
                    self._trying, self._opened = False, self._clock() - self._cooldown

    def reset(self) -> None:
        """Close it, whatever its state."""
        with self._lock:
            self._bad = 0
            self._trying = self.opened = False

    def bad(self, *, at_once: bool = False) -> bool:
        """Record that a call was bad, and return whether that opened the breaker. With `at_once`, one such call is
        enough."""
        with self._lock:
            self._bad += 1
            if not (at_once or self._trying or self._bad >= self._threshold):
                return False
            opening = not self.opened
            self.opened, self._trying, self._opened = True, False, self._clock()
            return opening
