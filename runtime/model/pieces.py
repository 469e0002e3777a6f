"""What comes piece by piece: on its way, and to whom."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from greenroom.actors.scheduling.callables import completed
from greenroom.storage.concurrency.waiting import Bell

from .reply import AgentReply

__all__ = ["Listener", "Pieces"]

T = TypeVar("T")

_MOST_WAITING: Final = 16
_MOST_SECONDS: Final = 3600.0


class Pieces(Generic[T]):
    """Pieces on their way: one thread puts them in, and waits when too many wait; another one takes them out."""

    def __init__(self, bell: Bell) -> None:
        """`bell` is rung when something comes in."""
        self._bell = bell
        self._room = Bell()
        self._waiting: deque[T] = deque()
        self._ended = False

    @property
    def there(self) -> bool:
        """Whether a piece waits."""
        return bool(self._waiting)

    def put(self, piece: T) -> bool:
        """Add a piece once there is room. Return False if nobody wants any more."""
        self._room.wait_for(lambda: self._ended or len(self._waiting) < _MOST_WAITING, _MOST_SECONDS)
        if self._ended:
            return False
        self._waiting.append(piece)
        self._bell.ring()
        return not self._ended

    def take(self) -> T:
        """Take the next piece out. Raises IndexError if none waits."""
        piece = self._waiting.popleft()
        self._room.ring()
        return piece

    def hand_over(self, to: Callable[[T], object]) -> None:
        """Give the waiting pieces to a function. If it returns False, no more are wanted. Raises what it
        raises."""
        while self._waiting and not self._ended:
            if to(self._waiting.popleft()) is False:
                self.end()
            self._room.ring()

    def end(self) -> None:
        """Say that nobody wants pieces any more."""
        self._ended = True
        self._room.ring()


class Listener:
    """Gets the pieces of one reply, and the whole text if there were none: of an agent that is no generator, or for a
    reply that is remembered."""

    def __init__(self, to: Callable[[str], object]) -> None:
        self._to = to
        self._any = False

    def __call__(self, piece: str) -> object:
        self._any = True
        return completed(self._to(piece))

    def end(self, reply: AgentReply) -> None:
        """Note that the reply is there."""
        if not self._any:
            completed(self._to(reply.text))
