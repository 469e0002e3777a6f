"""Have the writer list artifacts by their words: before somebody searches for words, and while nobody writes.

A new artifact is not listed by its words, which would take a fifth of the time to store it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from greenroom.storage.artifacts.index import UNLISTED
from greenroom.storage.artifacts.words import are_many, first_unlisted, listing_ops
from greenroom.storage.common.logs import logger_of
from greenroom.storage.engine.engine import Engine, Op
from greenroom.storage.errors import GreenroomError

__all__ = ["ListWords", "WordListing"]

logger = logger_of("store")

T = TypeVar("T")

_TOGETHER: Final = 500
"""How many artifacts are listed in one turn of the writer for a search."""
_TURNS: Final = 4
"""How many turns a search waits for. It reads the artifacts that are not listed then."""
_TOGETHER_IDLE: Final = 50
"""How many artifacts are listed in one turn of the writer while nobody writes: about what a few artifacts cost."""
_WORKING: Final = 0.2
"""For so many seconds of an interval they are listed then."""


class ListWords(NamedTuple):
    """List some artifacts by their words, from a key on. Replies where to go on; None if all are listed. `until` (of
    the monotonic clock) the writer goes on itself, unless it has something else to do."""

    begin: bytes = UNLISTED
    most: int = _TOGETHER
    until: float = 0.0

    def next(self, begin: bytes | None) -> ListWords | None:
        """Return the message with which the writer goes on."""
        return self._replace(begin=begin) if begin is not None and time.monotonic() < self.until else None


class WordListing:
    """Knows whether artifacts are to be listed by their words, and has the writer do it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen = -1
        self._listed = -1
        """The moment of the store at which all were listed."""
        self._tried = -1
        self._turns = 0
        self._holding = 0
        """How many searches keep artifacts from being listed."""
        self._lock = threading.RLock()
        """Held while artifacts are listed, which no search then sees half of. A finalizer may search: no lock may keep
        its own thread out."""

    def turn(self, message: ListWords, write: Callable[[list[Op]], object]) -> bytes | None:
        """Do what a message asks for, in the turn of the writer. Raises StorageError, RuntimeClosed."""
        with self._lock:
            if self._holding:
                self._tried = -1
                return None  # the search that this is for reads the artifacts that are not listed
            self._turns += 1
            return self._list(message, write)

    def _list(self, message: ListWords, write: Callable[[list[Op]], object]) -> bytes | None:
        is_idle = self._engine.moment() == self._seen
        ops, begin = listing_ops(self._engine, message.begin, message.most)
        if ops:
            write(ops)
        if is_idle:
            self._seen = self._engine.moment()  # the writer itself does not count
        if begin is None:
            self._listed = self._engine.moment()
        return begin

    def steadily(self, search: Callable[[], T]) -> T:
        """Return what a search finds while no artifacts are listed: it reads one part of the index after the other, and
        would miss what goes from one to the other meanwhile. If some were listed, or a reader has caught up with the
        writer, it searches once more, and they are not listed meanwhile."""
        before = self._moment()
        found = search()
        if self._moment() == before:
            return found
        with self._lock:
            self._holding += 1
        try:
            return search()
        finally:
            with self._lock:
                self._holding -= 1

    def _moment(self) -> tuple[int, int]:
        with self._lock:
            return self._turns, self._engine.moment() if self._engine.read_only else 0

    def before_search(self, ask: Callable[[ListWords], bytes | None]) -> None:
        """List artifacts if many are not listed. Those that are not listed then are read by the search."""
        if self._engine.read_only or self._engine.moment() == self._listed:
            return
        unlisted = first_unlisted(self._engine)
        if not are_many(unlisted):
            return
        begin: bytes | None = unlisted[0]
        try:
            for _ in range(_TURNS):
                if begin is not None:
                    begin = ask(ListWords(begin))
        except GreenroomError as error:
            logger.info("artifacts are searched without an index of their words: %s", error)

    def while_idle(self, tell: Callable[[ListWords], object]) -> None:
        """List artifacts if nothing was written since the last call."""
        moment = self._engine.moment()
        if moment == self._seen and moment not in (self._listed, self._tried):
            self._tried = moment  # on a full disk it is not tried again until something was written
            for begin in first_unlisted(self._engine, 1):
                tell(ListWords(begin, _TOGETHER_IDLE, time.monotonic() + _WORKING))
        self._seen = moment
