"""Wait for another thread in a way that no exception thrown in can break.

A signal handler of the host and `PyThreadState_SetAsyncExc` may throw at the start of any Python function, at a jump
backward, and after any call. `threading` and `concurrent.futures` wait with Python code around locks: an exception
between taking such a lock and the `with` that releases it leaves it locked, and everybody waits from then on. The means
of waiting in this module have no such moment, by three rules:

- The awaited condition becomes true in one step: one C call, or one assignment.
- Data that needs a lock has a plain one, which a `with` takes and releases in one step each.
- A waiting thread checks for itself, on a lock that nobody else ever takes, and checks again every second: a `ring`
  that an exception has swallowed makes it late, never lost.

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
    """Notifies waiting threads that something has changed."""

    __slots__ = ("awaited",)

    def __init__(self) -> None:
        self.awaited: collections.deque[Any] = collections.deque()
        """The locks that other threads sleep on, each taken already: empty while nobody waits. Whoever takes one out
        must wake its sleeper."""

    def ring(self) -> None:
        """Wake all waiting threads to check their conditions."""
        sleeping = self.awaited
        while sleeping:
            try:
                sleeping.popleft().release()
            except IndexError:  # another thread has woken the last one
                return

    def wait_for(self, there: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until `there` returns true, at most `timeout` seconds (None: for ever). Return whether it did."""
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
                    self.awaited.append(gate)
                if there():  # checked once a `ring` would be heard
                    return True
                left = look if deadline is None else min(look, deadline - time.monotonic())
                if left <= 0:
                    return False
                if gate.acquire(True, left):
                    gate = None
                look = min(2 * look, _LAST_LOOK)
        finally:
            try:  # noqa: SIM105 -- entering a `with` could be interrupted
                self.awaited.remove(gate)
            except ValueError:
                pass  # a `ring` has taken it out


class Flag(threading.Event):
    """Works as a `threading.Event` does: it is set, and waited for."""

    def __init__(self) -> None:  # not the event's own, which makes the condition that this class does without
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
    """Stands for the outcome of work on another thread. The first to settle it decides."""

    __slots__ = ("_begun", "_bell", "_outcome")

    def __init__(self, bell: Bell | None = None) -> None:
        """`bell` is rung when the promise is settled. Promises that share one can be waited for together."""
        self._bell = bell if bell is not None else Bell()
        self._begun = threading.Lock()
        self._outcome: dict[str, tuple[T | None, BaseException | None]] = {}

    def begin(self) -> bool:
        """Return whether the work may begin: only once, and not after `withdraw`."""
        return self._begun.acquire(False)

    def withdraw(self) -> bool:
        """Keep the work from being begun. Return whether that was in time."""
        return self._begun.acquire(False)

    def settled(self) -> bool:
        """Return whether there is an outcome."""
        return bool(self._outcome)

    def settle(self, value: T | None = None, error: BaseException | None = None) -> None:
        """Set the outcome, unless there is one."""
        try:
            self._outcome.setdefault("is", (value, error))
        finally:
            self._bell.ring()

    def result(self, timeout: float | None = None) -> T:
        """Return the value, or raise the error, that the promise was settled with. Raises TimeoutError after `timeout`
        seconds."""
        if not self._bell.wait_for(self.settled, timeout):
            raise TimeoutError
        value, error = self._outcome["is"]
        if error is not None:
            try:
                raise error
            finally:
                del error  # otherwise the error and this frame would keep each other alive
        return value  # type: ignore[return-value]
