"""The catalog: one row per session with the facts that seldom change, the indexes over them, and the queries that they
answer.

Facts that change with every write (updated_at, the counts, the sequence) are not in the row: the newest event of the
journal carries them. So a write costs one record, and `SessionInfo` costs one get and one seek.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from greenroom.storage.codec.keys import (
    COUNTS_KEY,
    INDEX_CREATED,
    INDEX_CREATOR,
    INDEX_LIFETIME,
    INDEX_PARENT,
    INDEX_UPDATED,
    after_prefix,
    key_entry,
    listing_prefixes,
    session_bytes,
    session_id_of,
    text_digest,
)
from greenroom.storage.codec.records import seal, unpack_value, unseal
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.metering import hold
from greenroom.storage.common.page import Page
from greenroom.storage.common.times import SECOND
from greenroom.storage.engine.engine import CF, Engine, Op
from greenroom.storage.engine.settled import settled
from greenroom.storage.errors import IntegrityError, SchemaTooNew, SessionNotFound
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.model import StoredEvent

from .deadlines import deadline_keys
from .lifetimes import lifetime_keys
from .listing import Listing
from .model import STATUS_CODE, STATUSES, SessionInfo, SessionRow, SessionStatus, row_of

if TYPE_CHECKING:
    from .query import SessionQuery

__all__ = ["Catalog"]

logger = logger_of("catalog")


_ACTIVE: Final = STATUSES.index(SessionStatus.ACTIVE)
_AT_ONCE: Final = 64
"""How many last events are read together: each may hold 64 KiB of metadata, in several forms at a time."""


class Catalog:
    """Keeps rows, indexes and counts of sessions. Reading is thread-safe; changes are made inside the writer's
    batch."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine = engine
        self._journal = journal
        self._counts: list[int] | None = None
        self.in_turn: Callable[[Callable[[], None]], object] = lambda work: work()
        """Runs a function while nobody writes. Set by the writer."""
        self._take_counts()

    # -- changes

    @staticmethod
    def put(session: bytes, row: SessionRow) -> Op:
        return CF.SESSIONS, session, seal(session, row.fields())

    @staticmethod
    def create(session: bytes, row: SessionRow, updated: int) -> list[Op]:
        """Return the operations that add a session whose last event has this time (ns since the epoch)."""
        ops = [Catalog.put(session, row)]
        ops += [(CF.INDEX, key, b"") for key in Catalog.index_keys(session, row, updated)]
        if row.key is not None:
            ops.append((CF.INDEX, key_entry(row.key), session))
        return ops

    @staticmethod
    def change(session: bytes, before: SessionRow, after: SessionRow, was_updated: int, updated: int) -> list[Op]:
        """Return the operations that move a session's row and its index entries from `before` to `after`."""
        old = Catalog.index_keys(session, before, was_updated)
        new = Catalog.index_keys(session, after, updated)
        return [
            Catalog.put(session, after),
            *((CF.INDEX, key, b"") for key in new if key not in old),
            *((CF.INDEX, key, None) for key in old if key not in new),
        ]

    @staticmethod
    def index_keys(session: bytes, row: SessionRow, updated: int) -> list[bytes]:
        """Return the index entries that a session must have."""
        status, _, _, creator, tags, parent, packed, created, _, _, _, _, config, _ = row
        tail = bytes((status,)) + created.to_bytes(8, "big") + session
        metadata = unpack_value(packed) if len(packed) > 1 else {}  # an empty object is one byte
        keys = [INDEX_CREATED + tail, _updated_key(status, updated, session)]
        listed = listing_prefixes(tags, creator, parent, metadata)
        if listed:
            keys += [each + tail for each in listed]
        if config is not None:
            keys += lifetime_keys(session, config)
            if status == _ACTIVE:
                keys += deadline_keys(session, created, config)
        return keys

    @staticmethod
    def touch(session: bytes, status: int, was_updated: int, updated: int) -> list[Op]:
        """Return the operations that move the recency entry. It counts seconds, so a busy session moves it at most once
        a second."""
        return [
            (CF.INDEX, _updated_key(status, was_updated, session), None),
            (CF.INDEX, _updated_key(status, updated, session), b""),
        ]

    def take_counts(self) -> list[int] | None:
        """Take the counts out while sessions change status, and return them; None if they are unknown. Until they are
        given back they stay unknown: callers have to wait for the writer, or count."""
        counts, self._counts = self._counts, None
        return counts

    def give_counts(self, counts: list[int] | None, changes: Iterable[tuple[int | None, int | None]] = ()) -> None:
        """Put the counts back, with these changes (before, after) of status; None stands for no session."""
        if counts is not None:
            for before, after in changes:
                if before is not None:
                    counts[before] -= 1
                if after is not None:
                    counts[after] += 1
        self._counts = counts

    def forget_counts(self) -> None:
        """Forget the counts, because the writer no longer knows them: the next caller has the sessions counted."""
        self._counts = None

    def miscounted(self) -> bool:
        """Return whether the counts differ from the result of counting. Certain only in the writer's turn."""
        known = self._left_counts() if self._engine.read_only else self._counts
        return known is not None and list(known) != self._count()

    def _count(self) -> list[int]:
        prefixes = [INDEX_CREATED + bytes([status]) for status in range(len(STATUSES))]
        return [self._engine.count(CF.INDEX, prefix, after_prefix(prefix)) for prefix in prefixes]

    def _left_counts(self) -> list[int] | None:
        """Return the counts that the last close has left; None if it left none."""
        record = self._engine.get(CF.META, COUNTS_KEY)
        try:
            return unseal(COUNTS_KEY, record, "the session counts") if record is not None else None
        except IntegrityError as error:
            logger.error("the sessions are counted again: %s", error)
            return None

    def _take_counts(self) -> None:
        """Delete the counts that the last close has left: while the store is open, a crash would make them wrong."""
        self._counts = self._left_counts()
        if self._counts is None and not self._engine.keys(
            CF.INDEX, INDEX_CREATED, after_prefix(INDEX_CREATED), limit=1
        ):
            self._counts = [0] * len(STATUSES)
        if not self._engine.read_only and self._engine.get(CF.META, COUNTS_KEY) is not None:
            self._engine.write([(CF.META, COUNTS_KEY, None)])

    def leave_counts(self) -> None:
        """Write the counts for the next opening, as the last write of all."""
        if self._counts is not None:
            self._engine.write([(CF.META, COUNTS_KEY, seal(COUNTS_KEY, self._counts))])

    # -- reading

    def counts(self) -> dict[str, int]:
        """Return the number of sessions in each status. After a crash the first caller has them counted, in the
        writer's turn."""
        found = self._left_counts() if self._engine.read_only else self._counts
        if found is None and self._engine.read_only:
            found = self._count()
        while found is None:
            self.in_turn(self._learn_counts)
            found = self._counts
        return {str(status): found[code] for code, status in enumerate(STATUSES)}

    def _learn_counts(self) -> None:
        if self._counts is None:
            self._counts = self._count()

    def row(self, session: bytes) -> SessionRow | None:
        record = self._engine.get(CF.SESSIONS, session)
        if record is None:
            return None
        return row_of(unseal(session, record, _row_name))

    def with_key(self, key: str) -> bytes | None:
        """Return the session that has this key; None if there is none."""
        return self._engine.get(CF.INDEX, key_entry(key))

    def is_there(self, session: bytes) -> bool:
        """Return whether the session has a row, damaged or not."""
        return self._engine.get(CF.SESSIONS, session) is not None

    def info(self, session_id: str) -> SessionInfo:
        """Return the info of a session. Raises SessionNotFound."""
        session = session_bytes(session_id)
        row = self.row(session)
        if row is None:
            raise _not_there(session)
        return settled(self._engine, lambda: self.info_of(session, row))

    def info_of(self, session: bytes, row: SessionRow) -> SessionInfo:
        """Return the info of a session from its row. Raises SessionNotFound if it has been deleted since."""
        last = self._journal.last(session)
        if last is None:
            if not self.is_there(session):
                raise _not_there(session)
            raise IntegrityError(f"session {session_id_of(session)} has no journal; run verify")
        sequence, stored = last
        return SessionInfo(session_id_of(session), row, sequence, stored.time, stored.totals)

    def children(self, session: bytes) -> list[SessionInfo]:
        """Return the sessions with this parent, oldest first."""
        prefix = INDEX_PARENT + session
        places = {key[-24:] for key, _ in self._engine.pages(CF.INDEX, prefix, after_prefix(prefix))}
        found = ((place[8:], self.readable_row(place[8:])) for place in sorted(places))
        infos = []
        for _, row, info in self.readable_infos((child, row) for child, row in found if row is not None):
            hold(len(row.metadata))
            infos.append(info)
        return infos

    def with_prefix(self, prefix: str, limit: int) -> list[str]:
        """Return the ids of sessions that begin with these hex digits (hyphens ignored)."""
        digits = prefix.replace("-", "")
        low, high = bytes.fromhex(digits.ljust(32, "0")), bytes.fromhex(digits.ljust(32, "f"))
        return [session_id_of(key) for key, _ in self._engine.scan(CF.SESSIONS, low, high + b"\0", limit=limit)]

    def sessions(self) -> Iterator[bytes]:
        """Yield all sessions, whatever their status."""
        for key, _ in self._engine.pages(CF.SESSIONS, b"", b"\xff" * 17):
            yield key

    def created_by(self, creator: str) -> Iterator[bytes]:
        """Yield the sessions of a creator, in any status, oldest first. Those with damaged rows are left out."""
        prefix = INDEX_CREATOR + text_digest(creator)
        for key, _ in self._engine.pages(CF.INDEX, prefix, after_prefix(prefix)):
            session = key[-16:]
            try:
                row = self.row(session)
            except (IntegrityError, SchemaTooNew):
                continue
            if row is not None and row.created_by == creator:
                yield session

    def with_lifetimes(self) -> Iterator[bytes]:
        """Yield the sessions whose own configuration says when they may be deleted."""
        for key, _ in self._engine.pages(CF.INDEX, INDEX_LIFETIME, after_prefix(INDEX_LIFETIME)):
            yield key[1:]

    def rows(self, statuses: Sequence[SessionStatus]) -> Iterator[tuple[bytes, SessionRow]]:
        """Yield (session, row) of all sessions in these statuses, each status oldest first."""
        for status in statuses:
            prefix = INDEX_CREATED + bytes([STATUS_CODE[status]])
            for key, _ in self._engine.pages(CF.INDEX, prefix, after_prefix(prefix)):
                row = self.readable_row(key[-16:])
                if row is not None:
                    yield key[-16:], row

    # -- queries

    def below(self, session: bytes) -> Iterator[bytes]:
        """Yield a session and all its descendants."""
        found, seen = [session], {session}
        for each in found:
            yield each
            prefix = INDEX_PARENT + each
            for key, _ in self._engine.pages(CF.INDEX, prefix, after_prefix(prefix)):
                if key[-16:] not in seen:
                    seen.add(key[-16:])
                    found.append(key[-16:])

    def query(self, query: SessionQuery, among: Callable[[], Iterable[bytes]] | None = None) -> Page[SessionInfo]:
        """Return a page of the sessions that match; with `among`, of those alone that it returns."""
        return Listing(self._engine, self, query).page(among)

    def matching(
        self,
        query: SessionQuery,
        among: Iterable[bytes] | None = None,
        on_damaged: Callable[[bytes], None] | None = None,
    ) -> Iterator[tuple[bytes, SessionRow]]:
        """Yield (session, row) of the sessions that match, in no particular order, each once even if it changes
        meanwhile.

        With `among`, only these sessions are considered. Order and pages of the query are ignored. Rows that cannot be
        read are skipped and reported.
        """
        from .query import row_test

        matches = row_test(query)
        narrowed = query.created_by is not None or query.tags or query.parent is not None or query.metadata
        if among is None:
            among = Listing(self._engine, self, query).sessions() if narrowed else self.sessions()
        for session in among:
            try:
                row = self.row(session)
            except (IntegrityError, SchemaTooNew):
                if on_damaged is not None:
                    on_damaged(session)
                continue
            if row is not None and matches(row) and (not query.updated_matters or self._updated(session, query)):
                yield session, row

    def _updated(self, session: bytes, query: SessionQuery) -> bool:
        """Return whether the last event of a session is of the times of a query."""
        last = self._journal.last(session)
        low, high = query.updated
        return last is not None and low <= last[1].time < high

    def readable_row(self, session: bytes) -> SessionRow | None:
        """Return the row, or None if it is gone or damaged: one bad record must not spoil a listing."""
        try:
            return self.row(session)
        except (IntegrityError, SchemaTooNew) as error:
            logger.error("skipped in a listing: %s", error)
            return None

    def readable_infos(
        self, found: Iterable[tuple[bytes, SessionRow]]
    ) -> Iterator[tuple[bytes, SessionRow, SessionInfo]]:
        """Yield (session, row, info) for each (session, row) of which the last event can be read."""
        left = iter(found)
        while part := list(islice(left, _AT_ONCE)):
            lasts = self._lasts([session for session, _ in part])
            for (session, row), last in zip(part, lasts, strict=True):
                if last is not None:
                    sequence, stored = last
                    info = SessionInfo(session_id_of(session), row, sequence, stored.time, stored.totals)
                    yield session, row, info

    def last_times(self, sessions: list[bytes]) -> Iterator[tuple[int, bytes]]:
        """Yield (time of its last event, session) for each of these sessions of which that can be read."""
        for at in range(0, len(sessions), _AT_ONCE):
            part = sessions[at : at + _AT_ONCE]
            for session, last in zip(part, self._lasts(part), strict=True):
                if last is not None:
                    yield last[1].time, session

    def _lasts(self, sessions: list[bytes]) -> list[tuple[int, StoredEvent] | None]:
        """Return the last event of each of these sessions; None if it is gone or damaged."""
        try:
            found = self._journal.lasts(sessions)
        except (IntegrityError, SchemaTooNew):
            found = [self._readable_last(session) for session in sessions]
        for session, last in zip(sessions, found, strict=True):
            if last is None and self.is_there(session):
                logger.error("skipped in a listing: session %s has no journal; run verify", session_id_of(session))
        return found

    def _readable_last(self, session: bytes) -> tuple[int, StoredEvent] | None:
        try:
            return self._journal.last(session)
        except (IntegrityError, SchemaTooNew) as error:
            logger.error("skipped in a listing: %s", error)
            return None


def _not_there(session: bytes) -> SessionNotFound:
    session_id = session_id_of(session)
    return SessionNotFound(f"there is no session {session_id}", session_id=session_id)


def _updated_key(status: int, updated: int, session: bytes) -> bytes:
    return INDEX_UPDATED + bytes((status,)) + (updated // SECOND).to_bytes(4, "big") + session


def _row_name(key: bytes) -> str:
    return f"the row of session {session_id_of(key)}"
