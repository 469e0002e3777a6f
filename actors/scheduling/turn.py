"""The turn of an actor: the thread that holds it handles the actor's messages, one at a time."""

from __future__ import annotations

import _thread

from greenroom.storage.errors import OperationTimeout

__all__ = ["Turn", "interrupted"]


def interrupted(by: str = "an exception from outside") -> OperationTimeout:
    """Return the error for a caller whose message was being handled when an exception was thrown into that thread."""
    return OperationTimeout(
        f"the thread that handled this message was interrupted by {by}; the operation had begun and "
        "may have taken effect: look before you send it again",
        started=True,
    )


class Turn(_thread.RLock):  # type: ignore[misc]  # final to the checker only
    """The right to handle an actor's messages.

    A thread never takes it twice (see `PooledActor._held`). It is a reentrant lock because such a lock records its
    owner in the same step in which it is taken.
    """

    __slots__ = ()

    def is_ours(self) -> bool:
        """Return whether this thread holds the turn."""
        ours: bool = self._is_owned()  # type: ignore[attr-defined]
        return ours

    def locked(self) -> bool:
        """Return whether any thread holds the turn."""
        if self.is_ours():
            return True
        if self.acquire(False):
            self.release()
            return False
        return True
