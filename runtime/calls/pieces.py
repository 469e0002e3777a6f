"""Replies of agents that come piece by piece: from a generator on the agent's thread to its caller's thread."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Final

from greenroom.runtime.model.pieces import Pieces
from greenroom.runtime.model.reply import AgentReply
from greenroom.storage.errors import ResourceLimitExceeded, ValidationError

__all__ = ["whole"]

_MOST_BYTES: Final = 16 << 20


def whole(returned: Any, pieces: Pieces[str] | None, complete: Callable[[Any], Any]) -> Any:
    """Return what an agent's callable has returned; if that is a generator, take all from it, and pass the pieces on.
    `complete` runs an awaitable to its end."""
    stream: Any = returned
    if inspect.isgenerator(returned):
        return _drained(stream, pieces)
    return complete(_drained_async(stream, pieces)) if inspect.isasyncgen(returned) else returned


class _Text:
    """The text so far."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._size = 0

    def add(self, piece: Any) -> str:
        if not isinstance(piece, str):
            raise ValidationError("result: an agent that is a generator yields texts", field="result")
        self._size += len(piece)
        if self._size > _MOST_BYTES:
            raise ResourceLimitExceeded(
                f"an agent's text may have {_MOST_BYTES} characters",
                resource="result",
                limit=_MOST_BYTES,
                value=self._size,
            )
        self.pieces.append(piece)
        return piece

    def reply(self, returned: Any) -> Any:
        """Return the reply: the text, with the facts that the generator has returned, if any."""
        text = "".join(self.pieces)
        if returned is None:
            return text
        if isinstance(returned, AgentReply):
            return dataclasses.replace(returned, text=returned.text or text)
        if isinstance(returned, dict):
            return {"text": text, **returned}
        return returned


def _drained(stream: Generator[Any, None, Any], pieces: Pieces[str] | None) -> Any:
    """Take all from a generator, pass the pieces on, and return the reply."""
    text = _Text()
    try:
        while True:
            piece = text.add(next(stream))
            if pieces is not None and not pieces.put(piece):
                return text.reply(None)
    except StopIteration as end:
        return text.reply(end.value)
    finally:
        stream.close()


async def _drained_async(stream: AsyncGenerator[Any, None], pieces: Pieces[str] | None) -> Any:
    """Take all from an async generator, pass the pieces on, and return the reply."""
    text = _Text()
    try:
        async for piece in stream:
            text.add(piece)
            if pieces is not None and not pieces.put(piece):
                break
    finally:
        await stream.aclose()
    return text.reply(None)
