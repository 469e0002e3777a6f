"""Follows a journal: an iterator over past events and then new ones, without a gap."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from greenroom.actors.events import Subscription
from greenroom.storage.errors import RuntimeClosed, SessionNotFound
from greenroom.storage.events.model import Event

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Follow"]


class Follow(Iterator[Event]):
    """Iterates over events as they are journaled. Close it when you are done, or use it as a context manager.

    The iteration ends when it or its runtime is closed, when its session is deleted, or when no event has come for
    `timeout` seconds. A slow reader misses nothing and takes no memory: the journal is the queue.

    Example:
        ```py
        with session.follow(after=0) as events:
            for event in events:
                print(event.type)
        ```
    """

    def __init__(
        self, subscription: Subscription, read: Callable[[], Iterator[Event]], timeout: float | None = None
    ) -> None:
        """Use `Session.follow` and `Runtime.follow` instead. `read` returns the events since its last call; the
        subscription, of capacity 1, says when to read again."""
        self._subscription = subscription
        self._read = read
        self._timeout = timeout
        self._found: Iterator[Event] = iter(())

    def __repr__(self) -> str:
        return f"<Follow {self._subscription.pattern}{' closed' if self._subscription.closed else ''}>"

    def __next__(self) -> Event:
        looked = False
        while True:
            with contextlib.suppress(SessionNotFound, RuntimeClosed):
                for event in self._found:
                    return event
                if not looked or self._subscription.take(self._timeout) is not None:
                    looked = True
                    self._found = self._read()
                    continue
            self.close()
            raise StopIteration

    def close(self) -> None:
        """Stop following. Threads that wait for the next event stop waiting. Idempotent."""
        self._found = iter(())
        self._read = lambda: iter(())
        self._subscription.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self._subscription.close()
