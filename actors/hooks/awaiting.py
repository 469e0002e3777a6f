"""Answers that have to be awaited: on threads where no event loop runs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from typing import Any

from .result import HookResult

__all__ = ["awaited", "is_awaitable", "waits"]


def awaited(answer: Any, timeout: float | None = None) -> Any:
    """Return an answer, or, of an awaitable, what it comes to within `timeout` seconds. Raises TimeoutError."""
    if not is_awaitable(answer):
        return answer

    async def main() -> Any:
        return await asyncio.wait_for(_result(answer), timeout)  # one that hangs gives its thread back

    return asyncio.run(main())


def is_awaitable(answer: Any) -> bool:
    """Return whether an answer has to be awaited. Never raises, whatever the answer is."""
    try:
        return answer is not None and answer.__class__ is not HookResult and isinstance(answer, Awaitable)
    except Exception:  # an object that fails to be looked at
        return False


def waits(fn: Any) -> bool:
    """Return whether a hook's function is known to answer only after waiting: an async one, or one that says so."""
    is_async = inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004
    return is_async or getattr(fn, "waits", False) is True


async def _result(answer: Awaitable[Any]) -> Any:
    return await answer
