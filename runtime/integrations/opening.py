"""What adapters are given to work on: a runtime, or the path of a store; and what all of them do with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

from greenroom.runtime import Runtime, ValidationError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from greenroom.runtime import AsyncRuntime
    from greenroom.runtime.messages import Command, Query

__all__ = ["Adapter", "Opened"]

P = ParamSpec("P")
T = TypeVar("T")


class Opened:
    """A runtime that an adapter works on. One that was opened here, from a path, is closed with the adapter."""

    def __init__(self, runtime: Runtime | AsyncRuntime | str | os.PathLike[str]) -> None:
        """Open a store if `runtime` is its path. Raises ValidationError for anything else that is no runtime."""
        self._faces: dict[AbstractEventLoop, AsyncRuntime] = {}
        self.owned = isinstance(runtime, str | os.PathLike)
        if isinstance(runtime, str | os.PathLike):
            self.runtime = Runtime.open(runtime)
        elif isinstance(runtime, Runtime):
            self.runtime = runtime
        elif isinstance(beneath := getattr(runtime, "runtime", None), Runtime):
            self.runtime = beneath
        else:
            raise ValidationError(
                f"runtime: a Runtime, an AsyncRuntime or the path of a store is needed, not {type(runtime).__name__}",
                field="runtime",
            )

    async def run(self, fn: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """Call a synchronous function of the adapter off the event loop, and return what it returns."""
        return await self._face().run(fn, *args, **options)

    def _face(self) -> AsyncRuntime:
        """Return the face of the runtime for the running loop."""
        import asyncio

        from greenroom.runtime import AsyncRuntime

        loop = asyncio.get_running_loop()
        face = self._faces.get(loop)
        if face is None:
            self._faces = {each: face for each, face in self._faces.items() if not each.is_closed()}
            face = self._faces[loop] = AsyncRuntime.over(self.runtime)
        return face

    async def ask(self, session_id: str, message: Command[T] | Query[T]) -> T:
        """Send a session a message and return its reply. That is the quick way, mostly on the event loop itself: for
        what asks once, in the middle of conversations."""
        return await self._face().ask(session_id, message)

    def close(self) -> None:
        """Close the runtime if it was opened here."""
        if self.owned:
            self.runtime.close()

    def __repr__(self) -> str:
        return f"<Opened {self.runtime!r}>"


class Adapter:
    """An adapter on an opened runtime, which it closes if it has opened it: by `close`, or at the end of a `with` or an
    `async with` block."""

    _opened: Opened

    def close(self) -> None:
        """Close the runtime if it was opened here, from a path."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.run(self.close)
