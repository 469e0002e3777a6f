"""Keeps a script that has come to its end: its sandbox stays, and its functions are called one after the other."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from greenroom.actors.hooks import HookHandle
from greenroom.actors.hooks.guard import Breaker
from greenroom.actors.scheduling.operation import CURRENT, Lease, Operation, changed
from greenroom.storage.concurrency.waiting import Bell, Promise
from greenroom.storage.errors import GreenroomError, InvalidOperation, OperationTimeout, ResourceLimitExceeded

__all__ = ["Residence"]

MAX_WAITING: Final = 256
"""Calls that may wait for the script."""
_GRACE: Final = 0.5
"""Seconds beyond the limit of a call in which the sandbox must have ended it. After that it hangs."""
_FAILURES: Final = 5
_COOLDOWN: Final = 30.0
_ENDLESS: Final = float("inf")


class _Call:
    """A call of a function of the script that somebody on another thread waits for."""

    __slots__ = ("operation", "promise", "work")

    def __init__(self, work: Callable[[], Any], operation: Operation | None) -> None:
        self.work = work
        self.operation = operation
        self.promise: Promise[Any] = Promise()


class Residence:
    """The mailbox of one sandbox that stays.

    The sandbox's thread is in `serve` between calls, where it costs nothing. A call gets `limit` seconds; one that
    exceeds a limit ends the sandbox, and all who wait get the error.
    """

    def __init__(self, name: str, limit: float, on_hang: Callable[[], object]) -> None:
        """`on_hang` is called when a call has not ended in time because its sandbox hangs."""
        self.name = name
        self.limit = limit
        self.ready: Promise[None] = Promise()
        """Settled when the script has come to its end, or has failed."""
        self.lease: Lease | None = None
        """The run of the sandbox."""
        self._hooks: dict[str, tuple[HookHandle, str]] = {}
        """The hooks that its script has registered, with their points. They stay until the next sandbox has its
        own."""
        self.calls = 0
        self.failures = 0
        self._on_hang = on_hang
        self._bell = Bell()
        self._waiting: deque[_Call] = deque()
        self._arrived = False
        self._retired = False
        self._over: BaseException | None = None
        self._current: _Call | None = None
        self._thread: int | None = None
        self.served = False
        """Whether the script has come to its end, and was called back since."""
        self._before: Residence | None = None

    # -- for who calls

    def ask(self, work: Callable[[], Any]) -> Any:
        """Have the script's thread do some work, and return what it returns.

        Raises what the work raises, OperationTimeout, ResourceLimitExceeded if too many wait, and InvalidOperation if
        the script does not run, or waits for this very call.
        """
        if threading.get_ident() == self._thread:
            return work()
        operation = CURRENT.get()
        self._require(operation)
        call = _Call(work, operation)
        self._waiting.append(call)
        self._bell.ring()
        if self._over is not None:
            self._settle_all(self._over)
        try:
            return call.promise.result(self.limit + _GRACE)
        except TimeoutError:
            if call.promise.withdraw():
                raise OperationTimeout(
                    f"script {self.name} had no time for this within {self.limit:g} s",
                    timeout=self.limit,
                    started=False,
                ) from None
        self._on_hang()
        raise OperationTimeout(
            f"script {self.name} did not answer within {self.limit:g} s", timeout=self.limit, started=True
        )

    def _require(self, operation: Operation | None) -> None:
        if self._over is not None or self._retired:
            raise InvalidOperation(f"script {self.name} does not run: {_reason(self._over)}")
        if operation is not None and (
            operation.run is self.lease or not self._hooks.keys().isdisjoint(operation.within[:-1])
        ):
            raise InvalidOperation(f"script {self.name} waits for this operation, so it cannot be called for it")
        if len(self._waiting) >= MAX_WAITING:
            raise ResourceLimitExceeded(
                f"{MAX_WAITING} calls wait for script {self.name} already",
                resource="script_calls",
                limit=MAX_WAITING,
                value=len(self._waiting),
            )

    def arrived(self) -> None:
        """Tell the script's thread that an event has come. Callable on any thread."""
        self._arrived = True
        self._bell.ring()

    # -- on the script's thread

    def serve(self, renew: Callable[[float], object], handle: Callable[[], bool]) -> None:
        """Serve calls until `retire`. `renew` gives the script a number of seconds and fresh limits. `handle` calls the
        functions for one event, and returns whether there was one. Raises what ends the sandbox."""
        self._thread = threading.get_ident()
        self.served = True
        own = CURRENT.get()
        if self._before is not None:
            self._before.unregister()
            self._before = None
        self.ready.settle()
        while True:
            renew(_ENDLESS)
            self._bell.wait_for(self._has_work, None)
            if self._retired:
                return
            try:
                call = self._waiting.popleft()
            except IndexError:
                self._arrived = False
                renew(self.limit)
                if handle():
                    self._arrived = True
                continue
            if call.promise.begin():
                renew(self.limit)
                self._perform(call, own)

    def _has_work(self) -> bool:
        return self._retired or self._arrived or bool(self._waiting)

    def _perform(self, call: _Call, own: Operation | None) -> None:
        """Do what a call asks for, as the script's operation, caused by what caused the call."""
        asker = call.operation
        self._current = call
        self.calls += 1
        try:
            if asker is not None:
                CURRENT.set(
                    changed(
                        own,
                        {
                            "correlation_id": asker.correlation_id,
                            "causation_id": asker.causation_id,
                            "root_id": asker.root_id,
                            "within": asker.within,
                        },
                    )
                )
            value = call.work()
        except Exception as error:
            self.failures += 1
            call.promise.settle(error=error)
        else:
            call.promise.settle(value)
        finally:
            CURRENT.set(own)
        self._current = None

    def registered(self, handle: HookHandle, point: str) -> None:
        """Keep a hook that the script has registered."""
        self._hooks[handle.id] = handle, point
        if self._retired or self._over is not None:
            self.unregister()

    def dropped(self, hook_id: str) -> None:
        """Forget a hook that the script has unregistered itself."""
        self._hooks.pop(hook_id, None)

    @property
    def points(self) -> list[str]:
        """The points at which the script has hooks, in the order of their registration."""
        return [point for _, point in [*self._hooks.values()]]

    def unregister(self) -> None:
        """Unregister all hooks of the script. Callable on any thread."""
        while self._hooks:
            try:
                _, (handle, _) = self._hooks.popitem()
            except KeyError:
                break
            handle.unregister()
        if self._before is not None:
            self._before.unregister()

    def breaker(self) -> Breaker:
        """Return a new breaker for a function that events are given to."""
        return Breaker(_FAILURES, _COOLDOWN, time.monotonic)

    # -- the end

    def retire(self) -> None:
        """End the script's stay after the present call. Callable on any thread."""
        self._retired = True
        self._bell.ring()

    def ended(self, error: BaseException | None) -> bool:
        """Record that the sandbox is no more, and why. All who wait get the error. Return whether that is news."""
        if self._over is not None:
            return False
        self._over = error if error is not None else InvalidOperation(f"script {self.name} has ended")
        self._thread = None
        self.ready.settle(error=self._over)
        self._settle_all(self._over)
        self._bell.ring()
        return True

    def await_end(self, timeout: float) -> bool:
        """Wait until the sandbox is no more, at most `timeout` seconds. Return whether that is so."""
        return self._bell.wait_for(lambda: self._over is not None, timeout)

    def replaces(self, before: Residence) -> None:
        """Take the place of a sandbox: its hooks are unregistered when this one is ready."""
        self._before = before

    def _settle_all(self, error: BaseException) -> None:
        current = self._current
        if current is not None:
            current.promise.settle(error=error)
        while self._waiting:
            try:
                call = self._waiting.popleft()
            except IndexError:
                return
            if call.promise.begin():
                call.promise.settle(error=error)


def _reason(error: BaseException | None) -> str:
    if error is None:
        return "it was uninstalled"
    return error.code if isinstance(error, GreenroomError) else type(error).__name__
