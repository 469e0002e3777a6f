"""Replies of agents that come piece by piece: from a generator on the agent's thread to its caller's thread."""

from __future__ import annotations

import dataclasses
import inspect
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Final

from greenroom.runtime.model.reply import AgentReply
from greenroom.storage.concurrency.waiting import Bell
from greenroom.storage.errors import ResourceLimitExceeded, ValidationError

__all__ = ["Pieces", "whole"]

_MOST_WAITING: Final = 16
"""How many pieces wait for the caller at most. Then the agent waits."""
_MOST_BYTES: Final = 16 << 20
_MOST_SECONDS: Final = 3600.0


class Pieces:
    """Pieces on their way. The agent's thread puts them in, the caller's thread takes them out."""

    def __init__(self, bell: Bell) -> None:
        """`bell` is rung when something comes in."""
        self._bell = bell
        self._room = Bell()
        self._waiting: deque[str] = deque()
        self._ended = False

    @property
    def there(self) -> bool:
        """Whether a piece waits."""
        return bool(self._waiting)

    def put(self, piece: str) -> bool:
        """Add a piece once there is room. Return False if nobody wants any more."""
        self._room.wait_for(lambda: self._ended or len(self._waiting) < _MOST_WAITING, _MOST_SECONDS)
        if self._ended:
            return False
        self._waiting.append(piece)
        self._bell.ring()
        return not self._ended

    def hand_over(self, to: Callable[[str], object]) -> None:
        """Give the waiting pieces to a function. If it returns False, the agent is told to end. Raises what it
        raises."""
        while self._waiting and not self._ended:
            if to(self._waiting.popleft()) is False:
                self.end()
            self._room.ring()

    def end(self) -> None:
        """Tell the agent that nobody wants pieces any more."""
        self._ended = True
        self._room.ring()


def whole(returned: Any, pieces: Pieces | None, complete: Callable[[Any], Any]) -> Any:
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


def _drained(stream: Generator[Any, None, Any], pieces: Pieces | None) -> Any:
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


async def _drained_async(stream: AsyncGenerator[Any, None], pieces: Pieces | None) -> Any:
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
