"""Guard threads: where hooks run that may hang. The caller is freed by the hook's timeout."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from greenroom.actors.scheduling.threads import Elastic
from greenroom.storage.errors import OperationTimeout, ResourceLimitExceeded

from .awaiting import awaited
from .context import HookContext

__all__ = ["MAX_GUARDED", "Guard", "GuardsTaken", "HookTimeout"]

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
        self._most = most
        self._free = threading.Semaphore(most)

    def call(self, fn: Callable[[HookContext], Any], context: HookContext, timeout: float) -> tuple[Any, float]:
        """Call a hook; its answer and the seconds it took. Raises what it raises, HookTimeout after `timeout`
        seconds, and GuardsTaken if no thread is free."""
        if not self._free.acquire(blocking=False):
            raise GuardsTaken(
                f"all {self._most} guard threads are taken by hooks that are at work or hang: end those that hang",
                resource="hook_threads",
                limit=self._most,
                value=self._most,
            )
        try:
            future: Future[_Answer] = self.elastic.submit(self._run, fn, context, timeout)
        except BaseException as error:
            self._free.release()
            if isinstance(error, ResourceLimitExceeded):
                raise GuardsTaken(str(error), **error.fields) from error
            raise
        try:
            answer = future.result(timeout)
        except TimeoutError:
            raise HookTimeout(f"the hook did not answer within {timeout:g} s", timeout=timeout, started=True) from None
        if answer.error is not None:
            raise answer.error
        return answer.value, answer.seconds

    def _run(self, fn: Callable[[HookContext], Any], context: HookContext, timeout: float) -> _Answer:
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
            self._free.release()
        return answer


class _Answer:
    """What a hook answered or raised; not by the future itself, or a hook's own TimeoutError would pass for ours."""

    __slots__ = ("error", "seconds", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.seconds = 0.0
