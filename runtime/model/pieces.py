"""Who wants the text of a reply piece by piece."""

from __future__ import annotations

from collections.abc import Callable

from .reply import AgentReply

__all__ = ["Listener"]


class Listener:
    """Gets the pieces of one reply, and the whole text if there were none: of an agent that is no generator, or for a
    reply that is remembered."""

    def __init__(self, to: Callable[[str], object]) -> None:
        self._to = to
        self._any = False

    def __call__(self, piece: str) -> object:
        self._any = True
        return self._to(piece)

    def end(self, reply: AgentReply) -> None:
        """Note that the reply is there."""
        if not self._any:
            self._to(reply.text)
