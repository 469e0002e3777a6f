"""Follows journals: an iterator over past events and then new ones, without a gap."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Protocol, Self

from greenroom.actors.events import Subscription
from greenroom.storage.common.arguments import as_number
from greenroom.storage.errors import RuntimeClosed, SessionNotFound
from greenroom.storage.events.model import Event, Origin, as_origin
from greenroom.storage.events.pattern import EventPattern

__all__ = ["Follow", "JournalReader", "Reader"]


_CURSOR: Final = re.compile(r"\d{1,19}")


class Reader(Protocol):
    """Reads what there is of the events that are followed."""

    def read(self) -> Iterator[Event]:
        """Yield the events since the last call."""

    def cursor(self) -> str:
        """Return the position after the last event that was given."""


class JournalReader:
    """Reads the journal of one session."""

    def __init__(
        self, events: Callable[[int], Iterator[Event]], after: int | str, pattern: str, origin: Origin | str | None
    ) -> None:
        """Begin after a sequence, or at a cursor. `events` returns the events with a greater sequence. Raises
        ValidationError."""
        self._events = events
        self._matches = EventPattern(pattern).matches
        self._origin = as_origin(origin)
        self._after = as_number("after", int(after) if type(after) is str and _CURSOR.fullmatch(after) else after)

    def read(self) -> Iterator[Event]:
        for event in self._events(self._after):
            self._after = event.sequence
            if self._origin in (None, event.origin) and self._matches(event.type):
                yield event

    def cursor(self) -> str:
        return str(self._after)


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

    def __init__(self, subscription: Subscription, reader: Reader, timeout: float | None = None) -> None:
        """Use `Session.follow` and `Runtime.follow` instead. The subscription, of capacity 1, says when to read
        again."""
        self.subscription: Final = subscription
        self._reader = reader
        self.timeout: Final = timeout
        self._found: Iterator[Event] = iter(())
        self.ended = False
        """Whether it or its runtime is closed, or its session is gone."""

    def __repr__(self) -> str:
        return f"<Follow {self.subscription.pattern}{' closed' if self.ended else ''}>"

    @property
    def cursor(self) -> str:
        """The position after the last event that this has given, to be stored and given to `follow` as `after`: that
        one goes on from there, in this process or another, and repeats nothing."""
        return self._reader.cursor()

    def __next__(self) -> Event:
        looked = False
        while not self.ended:
            with contextlib.suppress(SessionNotFound, RuntimeClosed):
                for event in self._found:
                    return event
                if not looked or self.subscription.take(self.timeout) is not None:
                    looked = True
                    self._found = self._reader.read()
                    continue
            self.close()
        raise StopIteration

    def ready(self, most: int) -> list[tuple[Event, str]]:
        """Return at most `most` events that are there, each with the cursor after it, and wait for none."""
        found: list[tuple[Event, str]] = []
        closed = self.subscription.closed  # looked at first: what was journaled before the end is still read
        with contextlib.suppress(SessionNotFound, RuntimeClosed):
            for looked in (False, True):
                if looked:
                    self.subscription.take(0)
                    self._found = self._reader.read()
                for event in self._found:
                    found.append((event, self.cursor))
                    if len(found) >= most:
                        return found
            if not closed:
                return found
        self.close()
        return found

    def close(self) -> None:
        """Stop following. Threads that wait for the next event stop waiting. Idempotent."""
        self.ended = True
        self._found = iter(())
        self.subscription.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.subscription.close()
