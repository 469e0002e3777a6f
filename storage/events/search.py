"""Find events across sessions: by an id through the index, in one session by its journal, else in all journals."""

from __future__ import annotations

import contextlib
import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from greenroom.storage.codec.keys import INDEX_UPDATED, after_prefix, is_session_id, session_bytes, session_id_of
from greenroom.storage.common.metering import ROW, counted, going_on, hold
from greenroom.storage.common.page import Page
from greenroom.storage.common.times import SECOND
from greenroom.storage.content.staging import staged_sessions
from greenroom.storage.engine.engine import CF, Engine
from greenroom.storage.errors import IntegrityError, ResourceLimitExceeded, SchemaTooNew

from .index import event_place, id_prefix, link_prefix
from .journal import Journal
from .model import Event, StoredEvent
from .recent import backwards, recent

if TYPE_CHECKING:
    from .query import EventFilter, EventQuery

__all__ = ["EventSearch", "Visible"]

Visible = Callable[[str], bool]
"""Returns whether the caller may see the events of a session."""

_MOST_CHANGED: Final = 100_000
_LAST_SECOND: Final = (1 << 32) - 1

_Place = tuple[int, bytes, int]
"""(time, session, sequence): the order of events that nothing else orders."""


class EventSearch:
    """Reads journals past the actors, so that committed events are found. Damaged events are skipped; `verify` reports
    them."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine = engine
        self._journal = journal

    def page(self, query: EventQuery, visible: Visible, most_bytes: int | None = None) -> Page[Event]:
        """Return the events that match, by time, then session and sequence, with the total before pagination.
        `descending`, and without an id that lists events, the total is counted when it is read.

        Raises ResourceLimitExceeded if the values of the kept events take more than `most_bytes`.
        """
        total = size = 0
        kept = query.offset + query.limit if query.limit is not None else None
        walked = query.descending and query.named is None and kept is not None

        def weighed(matching: Iterator[tuple[_Place, StoredEvent]]) -> Iterator[tuple[_Place, StoredEvent]]:
            nonlocal total, size
            for found in matching:
                total += 1
                if kept is None or total <= kept:
                    encoded = sum(len(value) for value in found[1].data.values() if value.__class__ is bytes)
                    hold(encoded)
                    size += encoded
                    if most_bytes is not None and size > most_bytes:
                        raise ResourceLimitExceeded(
                            f"the values of these events take more than {most_bytes} bytes: ask for fewer at a time, "
                            "with limit and after",
                            resource="query_bytes",
                            limit=most_bytes,
                            value=size,
                        )
                yield found

        if walked and kept is not None:
            with contextlib.suppress(LookupError):
                chosen = list(itertools.islice(weighed(self._newest(query, visible)), kept + 1))
                views = counted(map(self._view, chosen[query.offset : kept]), _facts)
                return Page(
                    tuple(views),
                    lambda: sum(1 for _ in self._matching(query, visible)),
                    query.offset,
                    query.limit,
                    has_more=len(chosen) > kept,
                )
            total = size = 0
        found = weighed(self._matching(query, visible))
        if kept is None:
            chosen = sorted(found, key=_place, reverse=query.descending)
        else:  # with nothing to keep, nothing would be read, but the total must be counted
            chosen = (heapq.nlargest if query.descending else heapq.nsmallest)(max(1, kept), found, key=_place)
        views = counted(map(self._view, chosen[query.offset : kept]), _facts)
        return Page(tuple(views), total, query.offset, query.limit)

    def each(self, query: EventQuery, visible: Visible) -> Iterator[Event]:
        """Yield the events that match, one by one, with bounded memory: by time if an id or a session is asked for,
        else session by session. Offset and limit count in that order."""
        left = query.limit
        for number, found in enumerate(self._matching(query, visible)):
            if number < query.offset:
                continue
            if left is not None:
                if left == 0:
                    return
                left -= 1
            yield self._view(found)

    def stored(
        self, query: EventQuery, visible: Visible, after: tuple[bytes, int] = (b"", 0)
    ) -> Iterator[tuple[bytes, int, StoredEvent]]:
        """Yield (session, sequence, event) of the events that match, session by session in the order of their ids, from
        behind this place on. For queries without an id of an event or a correlation."""
        from .query import EventFilter

        tested = EventFilter(query)
        if query.session_id is not None:
            session = session_bytes(query.session_id)
            candidates = self._of_session(session, tested, after[1] if after[0] == session else 0)
        else:
            candidates = self._everywhere(visible, tested, after)
        for session, sequence, stored in candidates:
            if tested.accepts(session_id_of(session), sequence, stored):
                yield session, sequence, stored

    def links(self, session: bytes, sequence: int, limit: int) -> list[Event]:
        """Return the `event.linked` events from and to an event, oldest link of each session first."""
        prefix = link_prefix(session, sequence)
        found: list[Event] = []
        for key, _ in self._engine.pages(CF.INDEX, prefix, after_prefix(prefix)):
            if len(found) >= limit:
                break
            linking, at = key[-24:-8], int.from_bytes(key[-8:], "big")
            stored = self._read(linking, at)
            if stored is not None:
                found.append(self._journal.view(linking, at, stored))
        return found

    def view(self, session: bytes, sequence: int, stored: StoredEvent) -> Event:
        """Return an event that was found as users see it."""
        return self._journal.view(session, sequence, stored)

    def _view(self, found: tuple[_Place, StoredEvent]) -> Event:
        (_, session, sequence), stored = found
        return self.view(session, sequence, stored)

    # -- where to look

    def _matching(self, query: EventQuery, visible: Visible) -> Iterator[tuple[_Place, StoredEvent]]:
        """Yield the events that match, with their places."""
        from .query import EventFilter

        tested = EventFilter(query)
        if query.session_id is not None:
            candidates = self._of_session(session_bytes(query.session_id), tested)
        elif query.named is not None and is_session_id(query.named):
            candidates = self._belonging(query.named, visible, tested)
        elif query.named is not None:
            candidates = self._named(query.named, visible, tested)
        else:
            candidates = self._everywhere(visible, tested)
        for session, sequence, stored in candidates:
            if tested.accepts(session_id_of(session), sequence, stored):
                yield (stored.time, session, sequence), stored

    def _newest(self, query: EventQuery, visible: Visible) -> Iterator[tuple[_Place, StoredEvent]]:
        """Yield the events that match, the newest first. For queries without an id of an event or a correlation. Raises
        LookupError if it would take too many sessions."""
        from .query import EventFilter

        tested = EventFilter(query)

        def accepts(session: bytes, sequence: int, stored: StoredEvent) -> bool:
            return tested.accepts(session_id_of(session), sequence, stored)

        between = tested.low, tested.high
        if query.session_id is not None:
            session = session_bytes(query.session_id)
            for _, _, below, _, found in backwards(self._journal, self._engine, session, *between, accepts):
                if found is not None:
                    yield (found.time, session, -below), found
            return
        walk = recent(self._journal, self._engine, *between, visible, accepts, _MOST_CHANGED)
        for session, sequence, stored in walk:
            yield (stored.time, session, sequence), stored

    def _belonging(
        self, session_id: str, visible: Visible, tested: EventFilter
    ) -> Iterator[tuple[bytes, int, StoredEvent]]:
        """Return the events that may belong to a session, by time: those in its journal, and those elsewhere that name
        it."""
        session = session_bytes(session_id)
        named = (each for each in self._named(session_id, visible, tested) if each[0] != session)
        if not visible(session_id) or session in staged_sessions(self._engine):
            return named
        return heapq.merge(self._of_session(session, tested), named, key=_by_time)

    def _named(self, named: str, visible: Visible, tested: EventFilter) -> Iterator[tuple[bytes, int, StoredEvent]]:
        """Yield the events that name an id, by time. The event with that id comes first: it may name no id, and be its
        own root."""
        own = event_place(named)
        if own is not None and visible(session_id_of(own[0])):
            stored = self._read(*own)
            if stored is not None:
                yield *own, stored
        prefix = id_prefix(named)
        begin, end = prefix + tested.low.to_bytes(8, "big"), prefix + tested.high.to_bytes(8, "big")
        seen: dict[bytes, bool] = {}
        hidden = staged_sessions(self._engine)
        for number, (key, _) in enumerate(self._engine.pages(CF.INDEX, begin, end)):
            if not number % self._journal.PAGE:
                going_on()
            session, sequence = key[-24:-8], int.from_bytes(key[-8:], "big")
            if session not in seen:
                seen[session] = session not in hidden and visible(session_id_of(session))
            stored = self._read(session, sequence) if seen[session] and (session, sequence) != own else None
            if stored is not None:
                yield session, sequence, stored

    def _everywhere(
        self, visible: Visible, tested: EventFilter, after: tuple[bytes, int] = (b"", 0)
    ) -> Iterator[tuple[bytes, int, StoredEvent]]:
        for session in self._sessions(after[0], tested.low):
            going_on()
            if not visible(session_id_of(session)):
                continue
            try:
                last = self._journal.last(session)
                if last is None or last[1].time < tested.low:
                    continue
            except (IntegrityError, SchemaTooNew):
                pass
            yield from self._of_session(session, tested, after[1] if after[0] == session else 0)

    def _sessions(self, begin: bytes, since: int) -> Iterator[bytes]:
        """Yield the sessions from one on, in the order of their ids; of those without an event since a time only some.
        The catalog lists sessions by the second of their last event, so where few have changed since, few are
        looked at."""
        changed = self._changed(since // SECOND) if since else None
        if changed is None:
            yield from (session for session, _ in self._engine.pages(CF.SESSIONS, begin, b"\xff" * 17))
            return
        for session in sorted(changed):
            if session >= begin and self._engine.get(CF.SESSIONS, session) is not None:
                yield session

    def _changed(self, second: int) -> set[bytes] | None:
        """Return the sessions with an event in this second or later; None if there are too many to hold."""
        changed: set[bytes] = set()
        at = INDEX_UPDATED
        while found := self._engine.scan(CF.INDEX, at, after_prefix(INDEX_UPDATED), limit=1):
            prefix = found[0][0][: len(INDEX_UPDATED) + 1]  # of one status
            at = after_prefix(prefix)
            for key, _ in self._engine.pages(CF.INDEX, prefix + min(second, _LAST_SECOND).to_bytes(4, "big"), at):
                changed.add(key[len(prefix) + 4 :])
                if len(changed) > _MOST_CHANGED:
                    return None
        return changed

    def _of_session(
        self, session: bytes, tested: EventFilter, after: int = 0
    ) -> Iterator[tuple[bytes, int, StoredEvent]]:
        for sequence, stored in self._journal.readable(session, after):
            if stored.time >= tested.high:
                return
            yield session, sequence, stored

    def _read(self, session: bytes, sequence: int) -> StoredEvent | None:
        try:
            return self._journal.stored(session, sequence)
        except (IntegrityError, SchemaTooNew):
            return None


def _by_time(found: tuple[bytes, int, StoredEvent]) -> _Place:
    session, sequence, stored = found
    return stored.time, session, sequence


def _place(found: tuple[_Place, StoredEvent]) -> _Place:
    return found[0]


def _facts(event: Event) -> list[Any]:
    return [event.data, ROW]
