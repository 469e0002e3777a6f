"""Waiting for another thread in a way that no exception thrown in can break.

A signal handler of the host and `PyThreadState_SetAsyncExc` may throw at the start of any Python function, at a jump
backward, and after any call. What `threading` and `concurrent.futures` wait with is Python code around locks: an
exception between the taking of such a lock and the `with` that gives it back leaves it locked, and from then on
everybody waits. What this module waits with has no such moment, by three rules:

- What is waited for becomes true in one step: one call of C, or one assignment.
- Data that needs a lock has a plain one, which a `with` takes and gives back in one step each.
- Who waits looks for itself, on a lock that nobody else ever takes, and looks again every second: a `ring` that an
  exception has swallowed makes it late, never lost.

Example:
    ```py
    bell, found = Bell(), []
    threading.Thread(target=lambda: (found.append(1), bell.ring())).start()
    bell.wait_for(lambda: bool(found), timeout=5)  # True
    ```
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

__all__ = ["Bell", "Flag", "Promise"]

T = TypeVar("T")

_FIRST_LOOK: Final = 0.05
_LAST_LOOK: Final = 1.0


class Bell:
    """Tells those who wait that something has changed."""

    __slots__ = ("_sleeping",)

    def __init__(self) -> None:
        self._sleeping: collections.deque[Any] = collections.deque()
        """The locks that others sleep on, each taken already. Who takes one out wakes its sleeper."""

    @property
    def awaited(self) -> bool:
        """Whether somebody waits."""
        return bool(self._sleeping)

    def ring(self) -> None:
        """Have all who wait look."""
        sleeping = self._sleeping
        while sleeping:
            try:
                sleeping.popleft().release()
            except IndexError:  # another has woken the last one
                return

    def wait_for(self, there: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until something is there, at most `timeout` seconds (None: for ever); whether it is."""
        if there():
            return True
        deadline = None if timeout is None else time.monotonic() + timeout
        look = _FIRST_LOOK
        gate: Any = None
        try:
            while True:
                if gate is None:
                    gate = threading.Lock()
                    gate.acquire()
                    self._sleeping.append(gate)
                if there():  # looked at once it would be heard of
                    return True
                left = look if deadline is None else min(look, deadline - time.monotonic())
                if left <= 0:
                    return False
                if gate.acquire(True, left):
                    gate = None
                look = min(2 * look, _LAST_LOOK)
        finally:
            try:  # noqa: SIM105 -- entering a `with` could be interrupted
                self._sleeping.remove(gate)
            except ValueError:
                pass  # it was rung for


class Flag(threading.Event):
    """An event that is set, and waited for, as a `threading.Event` is."""

    def __init__(self) -> None:  # not that of the event, whose condition is what this does without
        self._bell = Bell()
        self._is_up = False

    def is_set(self) -> bool:
        return self._is_up

    def set(self) -> None:
        self._is_up = True
        self._bell.ring()

    def clear(self) -> None:
        self._is_up = False

    def wait(self, timeout: float | None = None) -> bool:
        return self._bell.wait_for(self.is_set, timeout)

    def __repr__(self) -> str:
        return f"<Flag {'set' if self._is_up else 'unset'}>"


class Promise(Generic[T]):
    """What something done by another thread will come to. Whoever settles it first decides."""

    __slots__ = ("_begun", "_bell", "_outcome")

    def __init__(self, bell: Bell | None = None) -> None:
        """`bell` is rung when it is settled: one for several promises lets somebody wait for any of them."""
        self._bell = bell if bell is not None else Bell()
        self._begun = threading.Lock()
        self._outcome: dict[str, tuple[T | None, BaseException | None]] = {}

    def begin(self) -> bool:
        """Return whether what is promised may be done: once only, and not if it was withdrawn."""
        return self._begun.acquire(False)

    def withdraw(self) -> bool:
        """Keep what is promised from being begun; whether that was in time."""
        return self._begun.acquire(False)

    def settled(self) -> bool:
        """Return whether it has an outcome."""
        return bool(self._outcome)

    def settle(self, value: T | None = None, error: BaseException | None = None) -> None:
        """Give it its outcome, if it has none."""
        try:
            self._outcome.setdefault("is", (value, error))
        finally:
            self._bell.ring()

    def result(self, timeout: float | None = None) -> T:
        """The value, or raise the error, that it was settled with. Raises TimeoutError after `timeout` seconds."""
        if not self._bell.wait_for(self.settled, timeout):
            raise TimeoutError
        value, error = self._outcome["is"]
        if error is not None:
            try:
                raise error
            finally:
                del error  # or the error and this frame would keep each other
        return value  # type: ignore[return-value]
