"""The pieces of a script's stream, in an event loop."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from greenroom.runtime.model.script import ScriptResult
from greenroom.runtime.scripts.stream import ScriptStream
from greenroom.storage.codec.records import Json
from greenroom.storage.errors import InvalidOperation

from .face import Way

__all__ = ["AsyncScriptStream"]

_END: Final = object()


class AsyncScriptStream:
    """An iterator of the pieces that a script gives: see `ScriptStream`. The script runs on a thread of its own."""

    def __init__(self, bridge: Way, begin: Callable[[], ScriptStream]) -> None:
        self._bridge = bridge
        self._begin = begin
        self._stream: ScriptStream | None = None

    def __repr__(self) -> str:
        return f"<AsyncScriptStream {self._stream!r}>"

    @property
    def result(self) -> ScriptResult:
        """The result of the script. Raises InvalidOperation before its end."""
        if self._stream is None:
            raise InvalidOperation("the script has not begun: go through its pieces first")
        return self._stream.result

    async def _begun(self) -> ScriptStream:
        if self._stream is None:
            self._stream = await self._bridge.run(self._begin)
        return self._stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Json:
        stream = await self._begun()
        piece: object = await self._bridge.run_abandoning(next, stream, _END)
        if piece is _END:
            raise StopAsyncIteration
        return piece  # type: ignore[return-value]

    async def close(self) -> None:
        """End the script, if it still runs."""
        if self._stream is not None:
            await self._bridge.run(self._stream.close)

    async def __aenter__(self) -> Self:
        await self._begun()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
