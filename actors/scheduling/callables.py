"""Check callables when hosts give them: one that cannot be called would fail each time."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from greenroom.storage.errors import ValidationError

__all__ = ["cancelled_error", "completed", "require_callable", "signature_of"]


def signature_of(fn: Callable[..., Any]) -> inspect.Signature | None:
    """Return the signature of a callable; None if it has none, like some callables written in C."""
    try:
        return inspect.signature(fn)
    except Exception:  # an object of the host's own class may raise anything when inspected
        return None


def cancelled_error() -> type[BaseException]:
    """Return the class of `asyncio.CancelledError`. asyncio takes long to import, so it is imported when needed."""
    import asyncio

    return asyncio.CancelledError


def completed(answer: Any) -> Any:
    """Return what a callable has answered. An awaitable is awaited, on this thread, which must have no event loop."""
    if answer is None or not inspect.isawaitable(answer):
        return answer
    import asyncio

    async def main() -> Any:
        return await answer

    return asyncio.run(main())


def require_callable(field: str, fn: Any, argument: str) -> None:
    """Raise ValidationError unless `fn` can be called with one positional argument."""
    if not callable(fn):
        raise ValidationError(f"{field}: a function that takes {argument} is needed", field=field)
    signature = signature_of(fn)
    if signature is None:
        return
    try:
        signature.bind(None)
    except TypeError:
        shown = f"{getattr(fn, '__name__', type(fn).__name__)}{signature}"[:200]
        raise ValidationError(
            f"{field}: a function that takes {argument} is needed; {shown} cannot be called with it alone", field=field
        ) from None
