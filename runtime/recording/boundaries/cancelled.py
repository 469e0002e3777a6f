"""Calls that were cancelled while they were recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["until_cancelled"]

_LONGEST: Final = 60.0
"""Seconds. Whoever cancelled the call at recording does so again, unless it was a person."""


async def until_cancelled(outcome: Mapping[str, Any]) -> None:
    """Wait, in a replay, until the call is cancelled, if that is how it ended when it was recorded.

    Only whoever cancels a call can tell why: `asyncio.timeout` turns its own cancellation into a TimeoutError, and no
    other. So the recorded one is not simply raised. After a minute without a cancellation, return."""
    error = outcome.get("error")
    if error is None or error.get("name") not in ("CancelledError", "Cancelled"):
        return
    import asyncio

    # Not `asyncio.sleep`: a replay shortens sleeps.
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    timer = loop.call_later(_LONGEST, over.set_result, None)
    try:
        await over
    finally:
        timer.cancel()
