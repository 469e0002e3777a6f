"""Following: events as an iterator, first those that are there and then those that come, without a gap between."""

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
    """Events as they are journaled. Iterate it, and close it when you are done, or use it as a context manager.

    It ends when it is closed, when its runtime is, when the session that it follows is deleted, and with a `timeout`
    when nothing has come for so many seconds. However slow the reader is, nothing is left out, and nothing is kept in
    memory for it: the journal is the queue.

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
        """Use `Session.follow` and `Runtime.follow`. `read` gives what there is beyond what it gave before; the
        subscription, of one place, says when to look again."""
        self._subscription = subscription
        self._read = read
        self._timeout = timeout
        self._found: Iterator[Event] = iter(())

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
        """Follow no longer. Whoever waits for the next event, in any thread, gets none. Idempotent."""
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
