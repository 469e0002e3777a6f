"""What adapters are given to work on: a runtime, or the path of a store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from greenroom.runtime import Runtime, ValidationError

__all__ = ["Opened"]

P = ParamSpec("P")
T = TypeVar("T")


class Opened:
    """A runtime that an adapter works on. One that was opened here, from a path, is closed with the adapter."""

    def __init__(self, runtime: Runtime | str | os.PathLike[str]) -> None:
        """Open a store if `runtime` is its path. Raises ValidationError for anything else that is no runtime."""
        self.owned = isinstance(runtime, str | os.PathLike)
        if isinstance(runtime, str | os.PathLike):
            self.runtime = Runtime.open(runtime)
        elif isinstance(runtime, Runtime):
            self.runtime = runtime
        else:
            raise ValidationError(
                f"runtime: a Runtime or the path of a store is needed, not {type(runtime).__name__}", field="runtime"
            )

    async def run(self, fn: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Call a synchronous function of the adapter off the event loop, and return what it returns."""
        return await asyncio.to_thread(fn, *args, **options)

    def close(self) -> None:
        """Close the runtime if it was opened here."""
        if self.owned:
            self.runtime.close()

    def __repr__(self) -> str:
        return f"<Opened {self.runtime!r}>"
