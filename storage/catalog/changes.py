"""Find what was journaled since the last look, in any session, for readers that follow a store which others write.

The catalog lists sessions by the second of their last event, so a look costs what has changed and not what there is.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import chain
from typing import Final, NamedTuple

from greenroom.storage.codec.keys import INDEX_UPDATED, after_prefix, second_of
from greenroom.storage.common.times import SECOND
from greenroom.storage.content.staging import staged_sessions
from greenroom.storage.engine.engine import CF, Engine
from greenroom.storage.errors import IntegrityError, SchemaTooNew
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.model import StoredEvent

from .model import STATUSES

__all__ = ["Changes", "Position"]

_SLACK: Final = 10
"""Seconds by which an event may be older than events that were journaled before it."""

_MERGED: Final = 1000
"""Sessions whose new events are given by time. After a long absence there may be more: those are read one by one."""

Change = tuple[bytes, int, StoredEvent]
"""(session, sequence, event)"""


class Position(NamedTuple):
    """What was given so far: everything from before the second `since`, and in these sessions everything up to these
    sequences."""

    since: int
    known: dict[bytes, int]


class Changes:
    """Finds the events that were journaled since it was made or last asked. Not thread-safe.

    It remembers its position in the sessions whose last event is of the last seconds; in any other session all events
    of these seconds are new. A writer whose clock is set back by more than that is followed again once its clock has
    caught up. States of scopes are not followed.
    """

    def __init__(self, engine: Engine, journal: Journal, position: Position | None = None) -> None:
        """Begin at a position; without one, at the end of what there is."""
        self._engine = engine
        self._journal = journal
        self._since = 0
        self._known: dict[bytes, int] = {}
        if position is None:
            self.restart()
        else:
            self._since, self._known = position.since, dict(position.known)

    def position(self) -> Position:
        """Return the position behind the events that count as known. It grows with the sessions that had events in the
        last seconds, or, until they are all read, since the position at which this has begun."""
        return Position(self._since, dict(self._known))

    def restart(self) -> None:
        """Begin anew: everything that exists now counts as known."""
        newest = 0
        for status in range(len(STATUSES)):
            last = self._engine.last(CF.INDEX, INDEX_UPDATED + bytes([status]))
            if last is not None:
                newest = max(newest, second_of(last[0]))
        self._since = max(0, newest - _SLACK)
        self._known = {session: self._last(session) for session, _ in self._recent()}

    def is_known(self, session: bytes, sequence: int, stored: StoredEvent) -> bool:
        """Return whether an event is known already, so that `poll` does not yield it."""
        known = self._known.get(session)
        return sequence <= known if known is not None else stored.time // SECOND < self._since

    def poll(self) -> Iterator[Change]:
        """Yield the new events by time, those of one session in their order. An event counts as known once the next one
        is asked for."""
        recent = dict(self._recent())
        for session in staged_sessions(self._engine):
            recent.pop(session, None)
        before = {each: self._known[each] if each in self._known else self._before(each) for each in recent}
        journals = (self._new(session, at) for session, at in before.items())
        together = len(recent) <= _MERGED
        found = heapq.merge(*journals, key=_time) if together else chain.from_iterable(journals)
        for session, sequence, stored in found:
            yield session, sequence, stored
            self._known[session] = sequence
        self._since = max(self._since, max(recent.values(), default=0) - _SLACK)
        self._known = {
            session: self._known.get(session, before[session])
            for session, second in recent.items()
            if second >= self._since
        }

    def _recent(self) -> Iterator[tuple[bytes, int]]:
        """Yield (session, second of its last event) of the sessions that may have new events."""
        for status in range(len(STATUSES)):
            prefix = INDEX_UPDATED + bytes([status])
            begin = prefix + self._since.to_bytes(4, "big")
            for key, _ in self._engine.pages(CF.INDEX, begin, after_prefix(prefix)):
                yield key[6:], second_of(key)

    def _new(self, session: bytes, known: int) -> Iterator[Change]:
        for sequence, stored in self._journal.readable(session, known):
            yield session, sequence, stored

    def _before(self, session: bytes) -> int:
        """Return the sequence of a session's last event from before the seconds that are looked at; 0 if there is
        none."""
        for key, record in self._engine.pages(CF.JOURNAL, session, after_prefix(session), reverse=True, page=64):
            try:
                stored = Journal.unsealed(key, record)
            except (IntegrityError, SchemaTooNew):
                continue
            if stored.time // SECOND < self._since:
                return int.from_bytes(key[16:], "big")
        return 0

    def _last(self, session: bytes) -> int:
        found = self._engine.last(CF.JOURNAL, session)
        return int.from_bytes(found[0][16:], "big") if found is not None else 0


def _time(change: Change) -> int:
    return change[2].time
