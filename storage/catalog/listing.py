"""List sessions from the indexes: in order where an index has the order, so that a page costs what is on it.

The indexes by tag, creator, parent and entry of the metadata are ordered by status and creation. A listing by creation
walks along them, several at once if there are several conditions, and stops when its page is full. One by last event
walks along the index of recency, one by key along the keys. What the indexes cannot tell is looked up in each row on
the way. Where few sessions meet a condition and many are in the way, all that meet it are gathered and sorted
instead: whichever of both comes to an end first, within a factor, is done. Other orders always gather.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from greenroom.storage.codec.keys import (
    INDEX_CREATED,
    INDEX_KEY,
    INDEX_UPDATED,
    after_prefix,
    listing_prefixes,
    second_of,
)
from greenroom.storage.common.metering import hold
from greenroom.storage.common.page import Page
from greenroom.storage.common.times import SECOND
from greenroom.storage.engine.engine import CF, Engine
from greenroom.storage.engine.ranges import Range, met, narrowest, whole

from .model import STATUS_CODE, SessionInfo, SessionRow

if TYPE_CHECKING:
    from .query import Position, SessionQuery, SortBy

__all__ = ["Listing", "Rows"]

_PAGE: Final = 16
_MOST_PAGE: Final = 2048
_FIRST_BUDGET: Final = 256
_SECONDS_END: Final = 1 << 32


class Rows(Protocol):
    """Reads what is stored of sessions. What is damaged is reported and skipped."""

    def readable_row(self, session: bytes) -> SessionRow | None:
        """Return a row; None if it is gone or damaged."""

    def readable_infos(
        self, found: Iterable[tuple[bytes, SessionRow]]
    ) -> Iterator[tuple[bytes, SessionRow, SessionInfo]]:
        """Yield the infos of the sessions that are there and whole."""

    def last_times(self, sessions: list[bytes]) -> Iterator[tuple[int, bytes]]:
        """Yield the times of the last events of the sessions that are there and whole, each with its session."""

    def counts(self) -> dict[str, int]:
        """Return the number of sessions in each status."""


class _Match(NamedTuple):
    position: Position
    session: bytes
    row: SessionRow | None = None
    """Of many that may not be on the page no rows are kept. Those on the page are read again."""


class Listing:
    """Answers one query for sessions."""

    def __init__(self, engine: Engine, rows: Rows, query: SessionQuery) -> None:
        from .query import row_test

        self._engine = engine
        self._rows = rows
        self._query = query
        self._matches = row_test(query)
        self._order = query.order
        self._down = query.descending
        self._codes = [bytes([STATUS_CODE[status]]) for status in query.statuses]
        self._conditions = listing_prefixes(dict.fromkeys(query.tags), query.created_by, query.parent, query.metadata)
        self._created = query.created
        self._updated = query.updated
        self._after = query.after

    def page(self, among: Callable[[], Iterable[bytes]] | None = None) -> Page[SessionInfo]:
        """Return a page of the sessions that match; with `among`, of those alone that it returns."""
        wanted = None if self._query.limit is None else self._query.offset + self._query.limit + 1
        found = self._first(among() if among is not None else None, wanted)
        end = None if self._query.limit is None else self._query.offset + self._query.limit
        has_more = end is not None and len(found) > end
        shown = found[self._query.offset : end]
        infos = []
        for row, info in self._with_infos(shown):
            hold(len(row.metadata))
            infos.append(info)
        return Page(
            tuple(infos),
            lambda: self.count(among),
            self._query.offset,
            self._query.limit,
            has_more=has_more,
            next_cursor=self._cursor(found, end) if has_more and end is not None else None,
        )

    def _cursor(self, found: list[_Match], end: int) -> str | None:
        from .query import cursor_at

        return cursor_at(self._query, found[end - 1].position) if end else self._query.cursor

    def count(self, among: Callable[[], Iterable[bytes]] | None = None) -> int:
        """Return how many sessions match, whatever the page."""
        if among is not None:
            return sum(1 for _ in self._matching(among()))
        if self._query.search or self._query.updated_matters or self._query.key_prefix is not None:
            return sum(1 for _ in self._matching(self._gathered()))
        if self._query.created_after is None and self._query.created_before is None and not self._conditions:
            counts = self._rows.counts()
            return sum(counts[status] for status in self._query.statuses)
        found = 0
        for candidates in self._windows(None, _MOST_PAGE):
            for place, certain in candidates:
                if not certain:
                    row = self._rows.readable_row(place[8:])
                    certain = row is not None and self._matches(row)
                found += certain
        return found

    def sessions(self) -> list[bytes]:
        """Return all sessions that match, and perhaps more, in no order, each once."""
        return self._gathered()

    # -- the first so many matches in order

    def _first(self, among: Iterable[bytes] | None, wanted: int | None) -> list[_Match]:
        after = self._after
        if among is not None:
            return self._sorted(among, wanted)
        if self._order == "created_at":
            walk = self._by_creation(after, wanted)
        elif self._order == "updated_at":
            walk = self._by_recency(after, wanted)
        elif self._order == "key":
            walk = self._by_key(after, wanted)
        else:
            return self._sorted(self._gathered(), wanted)
        sources = self._sources(beside=self._order)
        found: list[_Match] = []
        budget = examined = _FIRST_BUDGET if sources else 0
        for match in walk:
            if match is not None:
                found.append(match)
                if len(found) == wanted:
                    return found
            examined -= 1
            if sources and examined <= 0:
                for source in sources:
                    keys = whole(self._engine, source, budget)
                    if keys is not None:
                        return self._sorted(self._owners(keys), wanted)
                budget = examined = 4 * budget
        return found

    def _sorted(self, sessions: Iterable[bytes], wanted: int | None) -> list[_Match]:
        """Return the first matches among these sessions, after the cursor and in the order of the query."""
        found = (match for match in self._matching(sessions) if self._is_after(match.position))
        if wanted is not None:
            return (heapq.nlargest if self._down else heapq.nsmallest)(wanted, found, key=_by_position)
        return sorted(found, key=_by_position, reverse=self._down)

    def _is_after(self, position: Position) -> bool:
        """Return whether a position is after the cursor."""
        after = self._after
        return after is None or (position < after if self._down else position > after)

    def _matching(self, sessions: Iterable[bytes]) -> Iterator[_Match]:
        """Yield the matches among these sessions."""
        if self._query.updated_matters or self._order in ("updated_at", "artifact_count", "operation_count"):
            yield from self._matching_infos(sessions)
            return
        for session in sessions:
            row = self._rows.readable_row(session)
            if row is not None and self._matches(row):
                yield _Match(_position(self._order, session, row, None), session)

    def _matching_infos(self, sessions: Iterable[bytes]) -> Iterator[_Match]:
        low, high = self._updated
        rows = ((session, self._rows.readable_row(session)) for session in sessions)
        fitting = ((session, row) for session, row in rows if row is not None and self._matches(row))
        for session, row, info in self._rows.readable_infos(fitting):
            if low <= info.updated_ns < high:
                yield _Match(_position(self._order, session, row, info), session)

    def _with_infos(self, found: list[_Match]) -> Iterator[tuple[SessionRow, SessionInfo]]:
        rows = ((each.session, each.row or self._rows.readable_row(each.session)) for each in found)
        for _, row, info in self._rows.readable_infos((session, row) for session, row in rows if row is not None):
            yield row, info

    # -- in the order of creation

    def _by_creation(self, after: Position | None, wanted: int | None) -> Iterator[_Match | None]:
        """Yield the matches in the order of their creation, and None for each session that does not match."""
        told = self._query.search or self._query.updated_matters or self._query.key_prefix is not None
        pass_over = 0 if told else self._query.offset
        for candidates in self._windows(after, _MOST_PAGE if wanted is None else wanted):
            if self._query.updated_matters:
                found = list(self._matching_infos(place[8:] for place, _ in candidates))
                yield from sorted(found, key=_by_position, reverse=self._down)
                yield from [None] * (len(candidates) - len(found))
                continue
            for place, certain in candidates:
                session = place[8:]
                if pass_over and certain:
                    pass_over -= 1
                    yield _Match((int.from_bytes(place[:8], "big"), session), session)
                    continue
                row = self._rows.readable_row(session)
                if row is None or not self._matches(row):
                    yield None
                else:
                    yield _Match((row.created_at, session), session, row)

    def _windows(self, after: Position | None, first: int) -> Iterator[list[tuple[bytes, bool]]]:
        """Yield candidates in the order of their creation, in lists of growing length: (creation and session, whether
        every condition with an index is met for certain).

        Each list is of one moment, so that a session that changes its status meanwhile is not missed within it.
        """
        low, high = self._created
        begin, end = low.to_bytes(8, "big"), high.to_bytes(8, "big")
        down = self._down
        if after is not None:
            place = _place(after)
            begin, end = (begin, min(end, place)) if down else (max(begin, place + b"\x00"), end)
        prefixes = self._conditions or [INDEX_CREATED]
        page = min(max(first, _PAGE), _MOST_PAGE)
        while begin < end:
            ranges = [(prefix + status + begin, prefix + status + end) for status in self._codes for prefix in prefixes]
            lists = [
                [key[-24:] for key in keys]
                for keys in self._engine.scan_keys(CF.INDEX, ranges, reverse=down, limit=page)
            ]
            found: list[tuple[bytes, bool]] = []
            window: bytes | None = None
            for at in range(0, len(lists), len(prefixes)):
                candidates, bound = met(lists[at : at + len(prefixes)], page, down)
                found += candidates
                if bound is not None:
                    window = bound if window is None else max(window, bound) if down else min(window, bound)
            if window is not None:
                found = [each for each in found if (each[0] >= window if down else each[0] <= window)]
            found.sort(reverse=down)
            yield found
            if window is None:
                return
            begin, end = (begin, window) if down else (window + b"\x00", end)
            page = min(4 * page, _MOST_PAGE)

    # -- in the order of the last event

    def _by_recency(self, after: Position | None, wanted: int | None) -> Iterator[_Match | None]:
        """Yield the matches in the order of their last events, and None for each session that does not match. The
        sessions of one second are sorted by their events."""
        down = self._down
        begin, end = _seconds(self._updated)
        low, high = self._updated
        if after is not None:
            second = int(after[0]) // SECOND
            begin, end = (begin, min(end, second + 1)) if down else (max(begin, second), end)
        page = min(max(wanted or _MOST_PAGE, _PAGE), _MOST_PAGE)
        seen: set[bytes] = set()
        while begin < end:
            ranges = [
                (INDEX_UPDATED + code + _second_bytes(begin), INDEX_UPDATED + code + _second_bytes(end))
                for code in self._codes
            ]
            lists = self._engine.scan_keys(CF.INDEX, ranges, reverse=down, limit=page)
            # The last second of a full list may go on behind it.
            ends = [second_of(keys[-1]) for keys in lists if len(keys) >= page]
            bound = (max(ends) if down else min(ends)) if ends else None
            groups: dict[int, list[bytes]] = {}
            for keys in lists:
                for key in keys:
                    second = second_of(key)
                    if bound is None or (second > bound if down else second < bound):
                        groups.setdefault(second, []).append(key[-16:])
            for second in sorted(groups, reverse=down):
                group = [session for session in groups[second] if session not in seen]
                seen.update(group)
                for position in sorted(self._rows.last_times(group), reverse=down):
                    row = self._rows.readable_row(position[1]) if low <= position[0] < high else None
                    fits = row is not None and self._is_after(position) and self._matches(row)
                    yield _Match(position, position[1], row) if fits else None
            if bound is None:
                return
            if groups:
                begin, end = (begin, bound + 1) if down else (bound, end)
            page = 4 * page

    # -- in the order of the keys

    def _by_key(self, after: Position | None, wanted: int | None) -> Iterator[_Match | None]:
        """Yield the matches in the order of their keys, and None for each session that does not match."""
        begin, end = _key_range(self._query)
        if after is not None:
            assert isinstance(after[0], bytes)
            place = INDEX_KEY + after[0]
            begin, end = (begin, place) if self._down else (place + b"\x00", end)
        page = min(max(wanted or _MOST_PAGE, _PAGE), _MOST_PAGE)
        entries = self._engine.pages(CF.INDEX, begin, end, reverse=self._down, page=page)
        for _, session in entries:
            yield next(self._matching((session,)), None)

    # -- not in order

    def _sources(self, beside: str) -> list[list[Range]]:
        """Return the index ranges of each condition: each has all sessions that match, and perhaps more. `beside`: the
        order along which a walk goes, whose own range is left out."""
        codes = self._codes
        sources: list[list[Range]] = []
        if beside != "created_at":
            low, high = (each.to_bytes(8, "big") for each in self._created)
            prefixes = self._conditions
            if self._query.created_after is not None or self._query.created_before is not None:
                prefixes = prefixes or [INDEX_CREATED]
            sources += [[(prefix + code + low, prefix + code + high) for code in codes] for prefix in prefixes]
        if beside != "updated_at" and self._query.updated_matters:
            begin, end = map(_second_bytes, _seconds(self._updated))
            sources.append([(INDEX_UPDATED + code + begin, INDEX_UPDATED + code + end) for code in codes])
        if beside != "key" and self._query.key_prefix is not None:
            sources.append([_key_range(self._query)])
        return sources

    def _gathered(self) -> list[bytes]:
        """Return all sessions of the narrowest condition."""
        every = [[(INDEX_CREATED + code, after_prefix(INDEX_CREATED + code)) for code in self._codes]]
        return self._owners(narrowest(self._engine, self._sources(beside="") or every))

    def _owners(self, keys: list[bytes]) -> list[bytes]:
        """Return the sessions of index entries, each once."""
        if not keys or keys[0][:1] != INDEX_KEY:
            return list(dict.fromkeys(key[-16:] for key in keys))
        found = (self._engine.get(CF.INDEX, key) for key in keys)
        return [session for session in found if session is not None]


def _by_position(match: _Match) -> Position:
    return match.position


def _position(order: SortBy, session: bytes, row: SessionRow, info: SessionInfo | None) -> Position:
    if order == "created_at":
        return row.created_at, session
    if order == "name":
        return row.name or "", row.created_at, session
    if order == "key":
        return (row.key or "").encode(), session
    assert info is not None
    if order == "updated_at":
        return info.updated_ns, session
    return info.artifact_count if order == "artifact_count" else info.operation_count, session


def _place(position: Position) -> bytes:
    created, session = position
    assert isinstance(created, int)
    assert isinstance(session, bytes)
    return created.to_bytes(8, "big") + session


def _seconds(between: tuple[int, int]) -> tuple[int, int]:
    low, high = between
    return min(low // SECOND, _SECONDS_END), min(-(-high // SECOND), _SECONDS_END)


def _second_bytes(second: int) -> bytes:
    """Return the four bytes of a second in a key; those after all keys for the end of time."""
    return second.to_bytes(4, "big") if second < _SECONDS_END else b"\xff" * 21


def _key_range(query: SessionQuery) -> Range:
    prefix = INDEX_KEY + (query.key_prefix or "").encode()
    return prefix, after_prefix(prefix)
