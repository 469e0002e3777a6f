"""Functions of a script that a global has received. The host calls them while the script waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from greenroom.runtime import InvalidOperation, ResourceLimitExceeded

__all__ = ["MAX_NESTED", "Callback", "Callbacks", "Stopped"]

MAX_NESTED: Final = 8
"""Limit of nested calls of a script's functions: each keeps frames of the engine and the host on the stack."""


class Stopped(BaseException):
    """A limit stopped the script while it ran a callback, so the operation that called the callback must end too.

    Not an Exception, so that no code handles it as a failure of the callback. `reason`: "time", "memory", or
    "interrupted" if the engine knows the reason already.
    """

    def __init__(self, reason: str = "interrupted") -> None:
        super().__init__(reason)
        self.reason = reason


class Callbacks:
    """The functions of one run. The engine sets `invoke` and `release`, and removes them at the end of the run."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.invoke: Callable[[int, list[Any]], Any] | None = None
        """Calls function number n with plain arguments and returns plain data. Raises ScriptError, or Stopped."""
        self.release: Callable[[int], None] | None = None
        """Forgets function number n."""
        self.depth = 0
        self.dropped: list[int] = []
        """Functions that nothing of the host refers to any more. `sweep` lets the script forget them."""

    def sweep(self) -> None:
        """Let the script forget what the host has dropped. Call it on the script's thread, while the script waits."""
        while self.dropped and self.release is not None:
            self.release(self.dropped.pop())

    def close(self) -> None:
        self.invoke = self.release = None


class Callback:
    """A function of the script. Call it with plain data on the script's thread, while the script waits.

    The script keeps the function as long as the host keeps this object."""

    __slots__ = ("_callbacks", "number", "recorded")

    def __init__(self, callbacks: Callbacks, number: int) -> None:
        self._callbacks = callbacks
        self.number = number
        self.recorded: Callable[[Callback, tuple[Any, ...]], Any] | None = None
        """Makes the calls of the function in a run that is recorded, by `call`."""

    @property
    def thread(self) -> int:
        """The thread of the script, the only one that may call the function."""
        return self._callbacks.thread

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns, as plain data; UNDEFINED for nil.

        Raises ScriptError, ResourceLimitExceeded when functions are nested too deep, and InvalidOperation when the
        script has ended or this is not its thread.
        """
        return self.call(*arguments) if self.recorded is None else self.recorded(self, arguments)

    def call(self, *arguments: Any) -> Any:
        """Call the function as it is; see `__call__`."""
        invoke = self._callbacks.invoke
        if invoke is None or threading.get_ident() != self._callbacks.thread:
            raise InvalidOperation("a function of a script can be called only on its thread, while the script runs")
        callbacks = self._callbacks
        if callbacks.depth >= MAX_NESTED:
            raise ResourceLimitExceeded(
                f"functions of this script are nested deeper than {MAX_NESTED}: they call for each other without end",
                resource="callbacks",
                limit=MAX_NESTED,
                value=callbacks.depth,
            )
        callbacks.depth += 1
        try:
            return invoke(self.number, [*arguments])
        finally:
            callbacks.depth -= 1

    def release(self) -> None:
        """Let the script forget the function, after the present call into the host. Callable on any thread."""
        self._callbacks.dropped.append(self.number)

    def __del__(self) -> None:
        # On any thread, in the middle of anything: only a note is made.
        self._callbacks.dropped.append(self.number)
