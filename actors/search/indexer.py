"""Keep the full-text index up with the store.

The index follows the journals: of each session it knows the last event that it has read, and what this event and the
later ones say of turns, artifacts and names. It finds sessions with new events by the catalog's order of last events;
the writer tells which sessions it has created and deleted. What happened while nobody listened is found by comparing
the sessions on both sides, once, when the index is opened.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from greenroom.actors.store import ArtifactStore
from greenroom.storage.catalog.model import STATUSES
from greenroom.storage.codec.keys import INDEX_UPDATED, after_prefix
from greenroom.storage.common.logs import logger_of
from greenroom.storage.concurrency.forking import abandon_in_children, runtime_closed
from greenroom.storage.content.staging import staged_sessions
from greenroom.storage.engine.engine import CF
from greenroom.storage.errors import IntegrityError, SchemaTooNew, StorageError
from greenroom.storage.search.index import IndexFile, is_busy, is_damage, remove_index, storage_error
from greenroom.storage.search.model import FollowedSession
from greenroom.storage.search.place import index_path

from .changes import ChangeBatch, PendingChanges
from .check import compare_index

__all__ = ["Indexer"]

logger = logger_of("search")

_SLACK: Final = 10
"""Seconds by which an event may be older than events that were journaled before it."""
_FIRST_SLACK: Final = 3600
"""The same for the first look of a process: a power failure may have taken events that were indexed."""
_PAGE: Final = 250
"""How many texts of a session are read together."""
_BEHIND: Final = 1_000_000_000
_LONG_AGO: Final = 60_000_000_000
"""Nanoseconds by which the index is behind if writers are to wait for it: what was journaled before is no hurry."""
_LOCKED: Final = 60.0
"""Seconds to wait for another process that has the index locked."""
_PATIENCE: Final = 0.1
"""Seconds to wait for the writer's turn."""
_TOGETHER: Final = 2000
"""How many sessions are looked up in the index together."""
_NOTED: Final = 64
"""Seconds of new events after which the index notes how far it is."""
_LISTED: Final = 20_000
"""How many sessions are listed at once."""
_MOST_WRONG: Final = 100
"""How many faults are listed."""
_MOST_TOLD: Final = 100_000
"""Of more sessions that were created or deleted since the last look, the sessions on both sides are compared."""


class Indexer:
    """Owns the index of a store, and brings it up to date: one thread at a time, whoever needs it.

    Before it is first needed there is no index, and the writer tells nobody anything.
    """

    def __init__(self, store: ArtifactStore, folder: Path, *, read_only: bool) -> None:
        """`folder` is that of the store; for a store that is open for reading only, one that is its reader's own."""
        self._store = store
        self._folder = folder
        self._read_only = read_only
        self._lock = threading.Lock()
        self._file: IndexFile | None = None
        self._told: dict[bytes, None] = {}
        self._compared = False
        self._is_copied = False
        self._slack = _FIRST_SLACK
        self._done = -1
        """The moment of the store up to which everything is indexed."""
        self._ending = False
        abandon_in_children(self)

    @property
    def name(self) -> str:
        """The name of the index's file."""
        return index_path(self._folder).name

    @property
    def is_needed(self) -> bool:
        """Whether somebody has searched this store before, and there is something new to index."""
        if self._file is None:
            return not self._ending and not self._read_only and index_path(self._folder).exists()
        return not self._is_current(self._store.engine.moment())

    def _is_current(self, moment: int) -> bool:
        return self._done >= moment and not self._told

    def catch_up(self, timeout: float) -> IndexFile | None:
        """Index what was written before this call, and return the index; None if `timeout` seconds were too short.
        What was indexed by then stays. Raises StorageError, RuntimeClosed."""
        moment = self._store.engine.moment()
        if self._file is not None and self._is_current(moment):
            return self._file
        deadline = time.monotonic() + timeout
        if not self._lock.acquire(timeout=min(timeout, threading.TIMEOUT_MAX)):
            return None
        try:
            if self._ending:
                raise runtime_closed()
            file = self._file or self._open(deadline)
            if self._is_current(moment):
                return file
            try:
                whole = self._look(file, deadline)
            except (sqlite3.Error, StorageError) as error:
                file = self._begin_anew(error)
                whole = self._look(file, deadline)
            return file if whole else None
        except StorageError as error:
            if is_busy(error) and timeout <= _LOCKED:
                return None
            raise
        finally:
            self._lock.release()

    def purge(self) -> None:
        """Remove what was deleted from the bytes of the index too. An index that is not open is removed: it is made
        again when somebody searches."""
        with self._lock:
            if self._ending or self._read_only:
                return
            if self._file is None and not index_path(self._folder).exists():
                return
            try:
                file = self._file or self._open()
                self._look(file, float("inf"))
                file.purge()
            except (sqlite3.Error, StorageError) as error:
                self._begin_anew(error)

    def verify(self) -> list[str] | None:
        """Compare the index with the store, and return what is wrong; None if there is no index. Everything else that
        needs the index waits meanwhile."""
        with self._lock:
            if self._ending or self._read_only or not index_path(self._folder).exists():
                return None
            try:
                file = self._file or self._open()
                self._look(file, float("inf"))
                wrong = compare_index(self._store, file, lambda session: self._follow_one(file, session))
                return list(islice(wrong, _MOST_WRONG))
            except (sqlite3.DatabaseError, StorageError) as error:
                return [str(error)]

    def rebuild(self) -> None:
        """Drop the index; the next `catch_up` makes it anew. Raises StorageError."""
        with self._lock:
            self._drop()

    def replace(self, file: IndexFile, error: StorageError) -> None:
        """Begin anew if this index is damaged, as somebody has seen who searched in it; else raise the error."""
        with self._lock:
            if self._file is file:
                self._begin_anew(error)

    def begin_to_close(self) -> None:
        self._ending = True
        self._store.on_sessions = None

    def close(self, timeout: float) -> None:
        if self._lock.acquire(timeout=timeout):
            try:
                if self._file is not None:
                    self._file.close()
                    self._file = None
            finally:
                self._lock.release()

    def abandon(self) -> None:
        """Leave the index to the parent of this forked process."""
        self._ending = True
        if self._file is not None:
            self._file.abandon()

    # -- the holder of the lock

    def _begin_anew(self, error: sqlite3.Error | StorageError) -> IndexFile:
        """Make a damaged index anew. Any other error is raised."""
        path = index_path(self._folder)
        if not is_damage(error):
            if isinstance(error, StorageError):
                raise error
            raise storage_error(error, path) from error
        logger.warning("the search index is damaged (%s): it is made anew", error)
        self._is_copied = True  # the writer's is the damaged one
        self._drop()
        return self._open()

    def _drop(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        remove_index(index_path(self._folder))
        self._compared, self._done = False, -1

    def _open(self, deadline: float = float("inf")) -> IndexFile:
        path = index_path(self._folder)
        if self._read_only and not self._is_copied:
            self._is_copied = True
            _copy(index_path(self._store.engine.path), path)
        self._file = IndexFile(path, min(_LOCKED, max(0.0, deadline - time.monotonic())))
        if not self._read_only:
            self._store.on_sessions = self._take
        return self._file

    def _take(self, sessions: list[bytes]) -> None:
        """Note which sessions were created or deleted. Called by the writer."""
        if len(self._told) < _MOST_TOLD:
            self._told.update(dict.fromkeys(sessions))
        else:
            self._compared = False

    def _look(self, file: IndexFile, deadline: float) -> bool:
        """Index what there is. Return whether all of it was."""
        engine = self._store.engine
        moment = engine.moment()
        file.wait_at_most(deadline - time.monotonic())
        if not self._compared or self._read_only:  # nobody tells a reader
            self._compared = True
            if moment < file.fact("moment"):
                self._since(file, 0)  # the store is an older one than the index has seen
            for session in self._compare(file):
                self._told[session] = None
        batch = ChangeBatch(self._store, file)
        try:
            if not self._look_at_told(file, batch, deadline):
                return False
            since = self._look_at_recent(file, batch, deadline)
        finally:
            batch.write()
        if since is None:
            return False
        if since > file.fact("since") or moment > file.fact("moment"):
            with file.change():
                file.set_fact("since", max(since, file.fact("since")))
                file.set_fact("moment", moment)
        self._slack = _SLACK
        self._done = moment
        return True

    def _look_at_told(self, file: IndexFile, batch: ChangeBatch, deadline: float) -> bool:
        told = iter(list(self._told))
        while sessions := list(islice(told, _TOGETHER)):
            for session in sessions:
                self._told.pop(session, None)  # before it is read: the writer may tell of it again meanwhile
            done = self._follow_all(file, batch, sessions, deadline)
            self._told.update(dict.fromkeys(sessions[done:]))
            if done < len(sessions):
                return False
        return True

    def _look_at_recent(self, file: IndexFile, batch: ChangeBatch, deadline: float) -> int | None:
        """Index the sessions with new events, and return the second of the newest one; None if that takes longer."""
        since = max(0, file.fact("since") - self._slack)
        recent = self._recent(since)
        while group := list(islice(recent, _TOGETHER)):
            sessions = list(dict.fromkeys(session for _, session in group))  # one may move on while they are listed
            done = self._follow_all(file, batch, sessions, deadline)
            if done < len(sessions) or time.monotonic() > deadline or self._ending:
                return None
            if group[-1][0] > since + _NOTED:
                since = group[-1][0]
                batch.write()
                self._since(file, since)
            since = max(since, group[-1][0])
        return since

    @staticmethod
    def _since(file: IndexFile, second: int) -> None:
        with file.change():
            file.set_fact("since", second)

    def _compare(self, file: IndexFile) -> Iterator[bytes]:
        """Yield the sessions that only the store has or only the index."""
        there, known = self._store.catalog.sessions(), file.sessions()
        mine, yours = next(there, None), next(known, None)
        while mine is not None or yours is not None:
            if yours is None or (mine is not None and mine < yours):
                assert mine is not None
                yield mine
                mine = next(there, None)
            elif mine is None or yours < mine:
                yield yours
                yours = next(known, None)
            else:
                mine, yours = next(there, None), next(known, None)

    def _recent(self, begin: int) -> Iterator[tuple[int, bytes]]:
        """Yield (second of its last event, session) of the sessions from a second on, in this order.

        Each batch is of one moment, or a session that changes while it is listed might be passed over: to the listing
        it goes away in one place and comes back in another, at a later second or under another status.
        """
        engine = self._store.engine
        prefixes = [INDEX_UPDATED + bytes([status]) for status in range(len(STATUSES))]
        size = len(prefixes[0])
        after: bytes | None = begin.to_bytes(4, "big")
        while after is not None:
            ranges = [(prefix + after, after_prefix(prefix)) for prefix in prefixes]
            found = engine.scan_keys(CF.INDEX, ranges, limit=_LISTED)
            last = min((keys[-1][size:] for keys in found if len(keys) == _LISTED), default=None)
            hidden = staged_sessions(engine)
            for place in sorted(key[size:] for keys in found for key in keys):
                if last is not None and place > last:
                    break
                if place[4:] not in hidden:
                    yield int.from_bytes(place[:4], "big"), place[4:]
            after = last + b"\0" if last is not None else None

    def _follow_all(self, file: IndexFile, batch: ChangeBatch, sessions: Sequence[bytes], deadline: float) -> int:
        """Index what is new in sessions, each named once, and return in how many of them all of it was."""
        batch.write()  # what waits there is not known to the file
        known = file.followed(sessions)
        for number, session in enumerate(sessions):
            is_whole = self._follow(file, batch, session, known.get(session), deadline)
            if not is_whole or time.monotonic() > deadline or self._ending:
                return number + is_whole
        return len(sessions)

    def _follow(
        self, file: IndexFile, batch: ChangeBatch, session: bytes, known: FollowedSession | None, deadline: float
    ) -> bool:
        """Index what is new in a session, up to its last event now: of what is added meanwhile there may be no end.
        Return whether all of it was."""
        journal = self._store.journal
        try:
            last = journal.last(session) if self._store.catalog.is_there(session) else None
        except (IntegrityError, SchemaTooNew):
            return True  # until it is repaired
        if last is None or (known is not None and not self._is_past(session, known, last[0])):
            if known is not None:
                batch.write()
                file.forget(session)
            known = None
            if last is None:
                return True
        if known is not None and known.position == last[0]:
            return True
        position = known.position if known is not None else 0
        mark = known.mark if known is not None else 0
        more = True
        while more:
            begin = position
            pending, position, mark, more = self._read_page(session, position, mark, last[0])
            written = position > begin and batch.add(session, pending, position, mark)
            if written and more and (time.monotonic() > deadline or self._ending):
                return False
        return True

    def _read_page(self, session: bytes, position: int, mark: int, last: int) -> tuple[PendingChanges, int, int, bool]:
        """Read events after a position, and return what they have changed, the last position and time, and whether
        there are more."""
        pending = PendingChanges()
        more = False

        def read() -> None:
            nonlocal position, mark, more
            for sequence, stored in self._store.journal.readable(session, position):
                if sequence > last:
                    break
                pending.take(sequence, stored)
                position, mark = sequence, stored.time
                if pending.weight >= _PAGE:
                    more = True
                    break
            pending.read_added(self._store, session)

        behind = time.time_ns() - mark
        # Where writers are faster than this, they wait while a page is read: some 10 µs for each of their messages.
        if self._read_only or not _BEHIND < behind < _LONG_AGO or not self._store.do_in_turn(read, _PATIENCE):
            read()
        return pending, position, mark, more

    def _follow_one(self, file: IndexFile, session: bytes) -> None:
        batch = ChangeBatch(self._store, file)
        self._follow_all(file, batch, [session], float("inf"))
        batch.write()

    def _is_past(self, session: bytes, known: FollowedSession, last: int) -> bool:
        """Return whether what was indexed is a past of the session, and not of another one that had its id."""
        if known.position > last:
            return False
        journal = self._store.journal
        with contextlib.suppress(IntegrityError, SchemaTooNew):
            if not journal.holds(session, known.position):
                return known.position <= journal.base_sequence(session)  # it was truncated since
            return journal.stored(session, known.position).time == known.mark
        return False


def _copy(source: Path, target: Path) -> None:
    """Copy the index of the writing process, if it has one that can be read."""
    if not source.exists():
        return
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as here,
            contextlib.closing(sqlite3.connect(target)) as there,
        ):
            here.backup(there)
    except sqlite3.Error as error:
        logger.info("the search index is made anew, because that of the writer cannot be copied: %s", error)
        target.unlink(missing_ok=True)
