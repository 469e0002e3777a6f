"""Walk through the events of a store from the newest one back, reading no more than is asked for."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Final

from greenroom.storage.codec.keys import INDEX_UPDATED, after_prefix, second_of, sequence_key, session_id_of
from greenroom.storage.common.metering import going_on
from greenroom.storage.common.times import SECOND
from greenroom.storage.engine.engine import CF, Engine
from greenroom.storage.errors import IntegrityError, SchemaTooNew

from .journal import Journal
from .model import StoredEvent

__all__ = ["Accepts", "backwards", "recent"]

Accepts = Callable[[bytes, int, StoredEvent], bool]
"""Returns whether an event (session, sequence, event) is wanted."""

_FIRST_SESSIONS: Final = 64
_FIRST_EVENTS: Final = 8
_END: Final = 1 << 64
_LAST_SECOND: Final = (1 << 32) - 1

_Step = tuple[int, int, int, bytes, StoredEvent | None]
"""(-time, -session, -sequence, session, event): they sort from the newest event back. Without an event it says how far
a journal has been read."""


def backwards(
    journal: Journal, engine: Engine, session: bytes, low: int, high: int, accepts: Accepts
) -> Iterator[_Step]:
    """Yield the wanted events of one session that are from `low` on and before `high`, the newest first."""
    number, page = -int.from_bytes(session, "big"), _FIRST_EVENTS
    end = after_prefix(session)
    while True:
        going_on()
        entries = engine.entries(CF.JOURNAL, session, end, reverse=True, limit=page)
        reached = None
        for key, record in entries:
            sequence = int.from_bytes(key[16:], "big")
            try:
                stored = journal.unsealed(key, record)
            except (IntegrityError, SchemaTooNew):
                continue
            if stored.time < low:
                return
            step = (-stored.time, number, -sequence, session)
            if stored.time < high and accepts(session, sequence, stored):
                yield *step, stored
            else:
                reached = step
        if len(entries) < page:
            return
        if reached is not None:
            yield *reached, None
        end = sequence_key(session, int.from_bytes(entries[-1][0][16:], "big"))
        page = min(4 * page, journal.PAGE)


def recent(
    journal: Journal,
    engine: Engine,
    low: int,
    high: int,
    visible: Callable[[str], bool],
    accepts: Accepts,
    most_sessions: int,
) -> Iterator[tuple[bytes, int, StoredEvent]]:
    """Yield the wanted events of all sessions that are from `low` on and before `high`, the newest first.

    The catalog lists sessions by the second of their newest event, so a journal is opened once all that is newer has
    been yielded, and is read a few events at a time. Raises LookupError if more than `most_sessions` would be opened.
    """
    steps: list[tuple[_Step, Iterator[_Step]]] = []
    opened: set[bytes] = set()
    page: int = _FIRST_SESSIONS
    bound: int | None = _LAST_SECOND
    while bound is not None:
        if page > _FIRST_SESSIONS + 4 * most_sessions:
            raise LookupError("too many sessions to walk through")
        sessions, following = _changed(engine, low // SECOND, page)
        for second, session in sessions:
            if session in opened:
                continue
            yield from _until(steps, _end_of(second))
            if len(opened) >= most_sessions:
                raise LookupError("too many sessions to walk through")
            opened.add(session)
            going_on()
            if not visible(session_id_of(session)) or engine.get(CF.SESSIONS, session) is None:
                continue
            # What a session got since the walk has passed its place is of a later moment.
            _push(steps, backwards(journal, engine, session, low, min(high, _end_of(bound)), accepts))
        bound = following
        if bound is not None:
            yield from _until(steps, _end_of(bound))
        page *= 4
    yield from _until(steps, 0)


def _changed(engine: Engine, since: int, page: int) -> tuple[list[tuple[int, bytes]], int | None]:
    """Return (second of the newest event, session) of the sessions with the newest events, as of one moment, and the
    second up to which others follow; None if none do."""
    found: list[tuple[int, bytes]] = []
    ranges = []
    at = INDEX_UPDATED
    while first := engine.keys(CF.INDEX, at, after_prefix(INDEX_UPDATED), limit=1):
        prefix = first[0][: len(INDEX_UPDATED) + 1]  # of one status
        at = after_prefix(prefix)
        ranges.append((prefix + min(since, _LAST_SECOND).to_bytes(4, "big"), at))
    lists = engine.scan_keys(CF.INDEX, ranges, reverse=True, limit=page)
    ends = [second_of(keys[-1]) for keys in lists if len(keys) >= page]
    bound = max(ends) if ends else None
    for keys in lists:
        # The last second of a full list may go on behind it.
        found += [(second_of(key), key[6:]) for key in keys if bound is None or second_of(key) > bound]
    return sorted(found, reverse=True), bound


def _end_of(second: int) -> int:
    """Return the first nanosecond after a second of the index, the last of which has no end."""
    return (second + 1) * SECOND if second < _LAST_SECOND else _END


def _push(steps: list[tuple[_Step, Iterator[_Step]]], walk: Iterator[_Step]) -> None:
    step = next(walk, None)
    if step is not None:
        heapq.heappush(steps, (step, walk))


def _until(steps: list[tuple[_Step, Iterator[_Step]]], time: int) -> Iterator[tuple[bytes, int, StoredEvent]]:
    """Yield the events that are from this time on, and read on behind them."""
    while steps and -steps[0][0][0] >= time:
        (_, _, below, session, stored), walk = heapq.heappop(steps)
        _push(steps, walk)
        if stored is not None:
            yield session, -below, stored
