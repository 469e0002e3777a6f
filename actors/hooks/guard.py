"""Guard threads: where hooks run that may hang. The caller is freed by the hook's timeout."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from greenroom.actors.scheduling.threads import Elastic, Share
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
        self._share = Share(self, most, self._taken)

    def call(self, fn: Callable[[HookContext], Any], context: HookContext, timeout: float) -> tuple[Any, float]:
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


def _run(fn: Callable[[HookContext], Any], context: HookContext, timeout: float) -> _Answer:
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
