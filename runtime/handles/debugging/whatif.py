"""Try what would have happened: fork a session with changes, run on, and compare the two."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from greenroom.runtime.core import RuntimeCore
from greenroom.storage.codec.records import Json
from greenroom.storage.errors import GreenroomError, OperationTimeout

from .compare import Comparison

__all__ = ["WHAT_IF", "WhatIf", "run_on"]

WHAT_IF: Final = "what-if"
"""The tag of forks that `Session.what_if` makes."""

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class WhatIf(Generic[S]):
    """A fork that was changed and ran on. `at` is the event up to which it has the original's history. `value` is what
    the function returned, `error` what it raised: an OperationTimeout if it was not over in time. `comparison` has the
    original as A and the fork as B; None if the fork is gone. `seconds` is how long the function ran."""

    fork: S
    at: int
    value: object
    error: BaseException | None
    comparison: Comparison | None
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the function returned."""
        return self.error is None

    def __repr__(self) -> str:
        return f"<WhatIf at {self.at}: {self.fork!r}{f', {type(self.error).__name__}' if self.error else ''}>"

    def __str__(self) -> str:
        head = f"{self.fork!r} from event {self.at}, {self.seconds:.3f} s"
        if self.error is not None:
            head += f", failed with {type(self.error).__name__}"
        return f"{head}\n{self.comparison}" if self.comparison is not None else head

    def to_dict(self) -> dict[str, Json]:
        """Return everything but the value by name, as JSON values."""
        error = self.error
        return {
            "fork": str(getattr(self.fork, "id", "")),
            "at": self.at,
            "error": (error.code if isinstance(error, GreenroomError) else type(error).__name__) if error else None,
            "comparison": self.comparison.to_dict() if self.comparison is not None else None,
            "seconds": self.seconds,
        }


def run_on(
    core: RuntimeCore, run: Callable[[S], Any], fork: S, timeout: float
) -> tuple[Any, BaseException | None, float]:
    """Call a function with a fork, on a thread of its own, and return its value, its error, and how long it took. After
    `timeout` seconds nobody waits for it any more. Raises ResourceLimitExceeded if no thread is free."""
    began = time.monotonic()
    promise = core.elastic.submit(_attempt, run, fork, spare=core.elastic.spare)
    try:
        value, error = promise.result(min(timeout, threading.TIMEOUT_MAX))
    except TimeoutError:
        value = None
        error = OperationTimeout(
            f"what_if: the function was not over within {timeout:g} s: the comparison shows what it did until then",
            timeout=timeout,
            started=True,
        )
    return value, error, time.monotonic() - began


def _attempt(run: Callable[[Any], Any], fork: Any) -> tuple[Any, BaseException | None]:
    try:
        value = run(fork)
        if inspect.iscoroutine(value):
            import asyncio

            value = asyncio.run(value)
    except BaseException as error:  # a SystemExit of the function is a failure of the function
        return None, error
    return value, None
