"""The RocksDB engine: column families, atomic batches, three levels of durability, and honest errors.

rocksdict writes hold the GIL, with `sync=True` through the whole fsync. So a durable commit is a batch without sync
followed by `flush_wal(sync=True)`, which releases the GIL and is shared by all who wait for it.

Opening, reading, writing, syncing and reopening share one set of handles and their locks, so they stand in one class:
it is longer than other files for that reason.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import os
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import rocksdict

from greenroom.storage.codec.records import seal, unseal
from greenroom.storage.common.logs import logger_of
from greenroom.storage.concurrency.forking import abandon_in_children, check_may_open, runtime_closed
from greenroom.storage.concurrency.interrupts import thrown_in
from greenroom.storage.errors import IntegrityError, InvalidOperation, OperationTimeout, SchemaTooNew, StorageError
from greenroom.storage.files.temporary_folder import TemporaryFolder

from .inspection import FORMAT_KEY, check_new, check_whole, is_written_elsewhere, readable_links, refuse_second
from .options import CF, Durability, EngineOptions, Op, is_full, raise_storage_error, rocksdb_options, takes_files
from .witness import Witness

__all__ = ["CF", "FORMAT_VERSION", "Durability", "Engine", "EngineOptions", "Op"]

FORMAT_VERSION: Final = 3
_FORMAT_KEY: Final = FORMAT_KEY
_HEAL_SECONDS: Final = 1.0
_SYNC_LOOK: Final = 0.2
_PAGE_BYTES: Final = 4 << 20
_BULK: Final = 16
_FEW: Final = 8
_MANY: Final = 64
_LARGE: Final = 16 << 10
"""Entries are read in steps of _BULK, and of _FEW while they have more bytes than this."""

_registering = threading.Lock()
_writing: weakref.WeakValueDictionary[Path, _Reservation] = weakref.WeakValueDictionary()
"""The stores that this process has open for writing. An engine that is gone without being closed keeps none open."""
logger = logger_of("engine")


class _Reservation:
    """Reserves a store for one engine, as long as the engine holds this object."""

    __slots__ = ("__weakref__",)


class Engine:
    """An open store. Thread-safe; one process at a time may have it open for writing."""

    _bulk = True
    """Whether `_run` can read it."""

    def __init__(self, path: Path, durability: Durability, options: EngineOptions, *, read_only: bool = False) -> None:
        """Open the store at `path`, creating it unless `read_only`.

        Raises StoreLocked, SchemaTooNew, IntegrityError, StorageFull or StorageError.
        """
        self.path = path
        self.durability = durability
        self.read_only = read_only
        self._options = options
        self._closed = False
        self._ended = False
        self._reservation: _Reservation | None = None
        self._witness: Witness | None = None
        self._secondary: TemporaryFolder | None = None
        self.format = FORMAT_VERSION
        """The format of the store; an older one until `migrate` has brought it up to date."""
        self._written = 0
        self._synced = 0
        self._sync_lock = threading.Lock()
        self._leading = threading.RLock()
        """Held by the thread that syncs the log for all. It is a lock that knows its owner, see `wait_synced`."""
        self._sync_waiters: list[tuple[int, threading.Lock]] = []
        self.fsyncs = 0
        self._broken = False
        self._heal_after = 0.0
        self.moments = 0
        """How many readings of one moment are running (see `ReadView`): they keep this database open."""
        self._reopening = threading.RLock()
        self._flush_lock = threading.Lock()
        check_may_open()
        try:
            # RocksDB identifies a store that this process has open by the spelling of its path.
            self.path = Path(os.path.realpath(self.path))  # a loop of links is an OSError later, not here
            _require_utf8(self.path)
            self._flush_path = self.path / "flush.tmp"
            self._reserve()
            created = self._prepare_directory()
            self._open_database(self._options)
        except BaseException as error:
            self._reservation = None
            if isinstance(error, OSError):
                raise_storage_error(error, f"cannot open the store at {path}")
            raise
        abandon_in_children(self)
        if not read_only:
            witness = Witness(self.path)
            if durability is Durability.MEMORY:
                witness.remove()  # from here on no log has what is acknowledged
            else:
                witness.begin(self._db.latest_sequence_number())
                self._witness = witness
        try:
            self._check_format(created)
        except BaseException:
            self.close()
            raise

    # -- opening and closing

    def _prepare_directory(self) -> bool:
        """Check that the directory is a store or may become one, and return whether it is new."""
        if (self.path / "CURRENT").exists():
            if self.read_only and self.path in _writing:
                return False
            if is_written_elsewhere(self.path):
                if not self.read_only:
                    refuse_second(self.path)
                return False
            look = check_whole(self.path, self._options, self.durability)
            if not look.begun:
                self._judge_format(look.format, look.has_events)
            return look.begun
        check_new(self.path)
        if self.read_only:
            raise StorageError(f"there is no store at {self.path}", path=str(self.path))
        self.path.mkdir(parents=True, exist_ok=True)
        return True

    def _reserve(self) -> None:
        """Reserve the store for this engine: only one in this process may write at a time."""
        if self.read_only:
            return
        with _registering:
            if self.path in _writing:
                refuse_second(self.path)
            _writing[self.path] = self._reservation = _Reservation()

    def _open_database(self, options: EngineOptions) -> None:
        database, families = self._database_options(options)
        old = self._secondary
        if self.read_only:
            self._secondary = TemporaryFolder("greenroom-follower-")
            access = rocksdict.AccessType.secondary(str(self._secondary.path))
        else:
            access = rocksdict.AccessType.read_write()
        try:
            where = self._readable_view() if self.read_only else self.path
            opened = rocksdict.Rdict(str(where), database, column_families=families, access_type=access)
        except Exception as error:
            self._remove_secondary()
            self._secondary = old
            raise_storage_error(error, f"cannot open the store at {self.path}")
        self._use(opened)
        self._write_options = rocksdict.WriteOptions()
        if self.durability is Durability.MEMORY:
            self._write_options.disable_wal = True  # type: ignore[assignment, method-assign]
        if old is not None:
            old.remove()

    def _use(self, database: rocksdict.Rdict) -> None:
        with self._reopening:  # `moment` must not see half of it
            self._db = database
            self._handles = [database.get_column_family_handle(name) for name in CF.NAMES]
            self._families = [database.get_column_family(name) for name in CF.NAMES]
            self._gets = [family.get for family in self._families]

    def _readable_view(self) -> Path:
        """Return the path at which a follower opens the store. rocksdict leaves a small file there, so a directory
        without write permission is opened through a temporary directory of links."""
        if os.access(self.path, os.W_OK):
            return self.path
        assert self._secondary is not None
        view = self._secondary.path / "view"
        view.mkdir()
        for entry in os.scandir(self.path):
            if entry.name not in ("LOCK", "rocksdict-config.json"):
                (view / entry.name).symlink_to(entry.path)
        return view

    def _database_options(self, options: EngineOptions) -> tuple[rocksdict.Options, dict[str, rocksdict.Options]]:
        return rocksdb_options(options, self.durability, read_only=self.read_only)

    def _check_format(self, created: bool) -> None:
        record = self.get(CF.META, _FORMAT_KEY)
        has_events = record is None and not created and bool(self.scan(CF.JOURNAL, b"", b"\xff" * 40, limit=1))
        self._judge_format(record, has_events)
        if record is None and not self.read_only:
            self.write([(CF.META, _FORMAT_KEY, seal(_FORMAT_KEY, [FORMAT_VERSION]))])
            if self.durability is Durability.MEMORY:
                self.flush()

    def _judge_format(self, record: bytes | None, has_events: bool) -> None:
        """Raise unless this greenroom can use a store with this format record."""
        if record is None:
            if has_events:
                raise IntegrityError(
                    f"the store at {self.path} has lost its format record: greenroom verify --repair",
                    path=str(self.path),
                )
            return
        found = self.format = unseal(_FORMAT_KEY, record, "the store's format record")[0]
        if found < FORMAT_VERSION and self.read_only:
            raise StorageError(
                f"the store at {self.path} has format {found} and this greenroom reads format {FORMAT_VERSION}: "
                "open it once for writing, which brings it up to date",
                path=str(self.path),
            )
        if found > FORMAT_VERSION:
            raise SchemaTooNew(
                f"the store at {self.path} has format {found}; this greenroom reads up to {FORMAT_VERSION}: "
                "upgrade greenroom",
                found=found,
                supported=FORMAT_VERSION,
            )

    def set_format(self) -> None:
        """Mark the store as one of the newest format, once everything in it is."""
        self.sync()
        self.write([(CF.META, _FORMAT_KEY, seal(_FORMAT_KEY, [FORMAT_VERSION]))])
        self.sync()
        self.format = FORMAT_VERSION

    def abandon(self) -> None:
        """Refuse everything from now on and leave the database alone: it belongs to the parent of this forked
        process."""
        self._closed = True
        self._gets = []
        # Kept alive on purpose: the destructor would wait for threads that do not exist here.
        for handle in (getattr(self, "_db", None), *self._families, *self._handles):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(handle))
        self._families = []
        self._handles = []

    def close(self) -> None:
        """Flush what only memory holds, and release the lock. Idempotent; the next call finishes an interrupted one."""
        if self._ended:
            return
        self._closed = True
        flushed = False
        try:
            if not self.read_only and self._families:
                # A clean close leaves an empty log, so that the next opening has nothing to replay. On a full disk the
                # log, if there is one, still holds everything that was acknowledged.
                with contextlib.suppress(Exception):
                    self._flush_all()
                    flushed = True
        finally:
            # rocksdict keeps the database open, and locked, while any handle to it is alive.
            self._drop_handles()
            # On a full disk RocksDB complains once more about unflushed data: these are in the log.
            with contextlib.suppress(Exception):
                self._db.close()
            vars(self).pop("_db", None)
            gc.collect(0)
            if flushed and self._witness is not None:
                self._witness.remove()
            self._reservation = None
            self._remove_secondary()
            self._ended = True

    def _drop_handles(self) -> None:
        # Cleared in place: the frames of an error that somebody keeps may refer to these lists.
        self._gets.clear()
        self._families.clear()
        self._handles.clear()

    def _remove_secondary(self) -> None:
        if self._secondary is not None:
            self._secondary.remove()
            self._secondary = None

    # -- reading

    def get(self, cf: int, key: bytes) -> bytes | None:
        """Return the value under a key, or None. Raises IntegrityError if RocksDB finds the block damaged."""
        try:
            return self._gets[cf](key)
        except Exception as error:
            if self._was_reopened(error):
                return self.get(cf, key)
            self._raise(error, "read")

    def moment(self) -> int:
        """A number that changes with every write that can be seen: what is read between two equal ones is of one
        moment."""
        try:
            with self._reopening:
                return self._db.latest_sequence_number()
        except Exception as error:
            self._raise(error, "read")

    def may_exist(self, cf: int, key: bytes) -> bool:
        """Return False only if the key is certainly absent; costs no search."""
        try:
            return bool(self._families[cf].key_may_exist(key))
        except Exception as error:
            self._raise(error, "read")

    def scan(
        self,
        cf: int,
        begin: bytes,
        end: bytes,
        *,
        reverse: bool = False,
        limit: int | None = None,
        most_bytes: int | None = None,
    ) -> list[tuple[bytes, bytes]]:
        """Return the entries with begin ≤ key < end in key order (or reversed): at most `limit`, and none after the
        entry with which their values reach `most_bytes`.

        This is a list, not an iterator: an iterator that a caller keeps would keep the database open.
        """
        found: list[tuple[bytes, bytes]] = []
        if limit == 0:
            return found
        iterator: Any = None
        step: Any = None
        try:
            iterator = self._families[cf].iter()
            if reverse:
                iterator.seek_for_prev(end)
                if iterator.valid() and iterator.key() == end:
                    iterator.prev()
                step = iterator.prev
            else:
                iterator.seek(begin)
                step = iterator.next
            while iterator.valid():
                key = iterator.key()
                if key < begin if reverse else key >= end:
                    break
                value = iterator.value()
                found.append((key, value))
                if limit is not None and len(found) >= limit:
                    break
                if most_bytes is not None:
                    most_bytes -= len(value)
                    if most_bytes <= 0:
                        break
                step()
            # An iterator that meets a damaged block just stops being valid; only its status reports the damage.
            iterator.status()
        except Exception as error:
            iterator = step = None  # a kept error keeps this frame, and an iterator keeps the store locked
            if self._was_reopened(error):
                return self.scan(cf, begin, end, reverse=reverse, limit=limit)
            self._raise(error, "read")
        return found

    def entries(
        self, cf: int, begin: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        """Return what `scan` returns, in half the time where entries are many. The last of them may be of a later
        moment than the others."""
        if not self._bulk or (limit is not None and limit <= _FEW):
            return self.scan(cf, begin, end, reverse=reverse, limit=limit)
        if limit is None or limit > _MANY:  # mostly all that there is, which is often next to nothing
            first = self.scan(cf, begin, end, reverse=reverse, limit=_FEW)
            if len(first) < _FEW:
                return first
            if reverse:
                end = first[-1][0]
            else:
                begin = first[-1][0] + b"\x00"
            return first + self._rest(cf, begin, end, reverse=reverse, limit=None if limit is None else limit - _FEW)
        return self._rest(cf, begin, end, reverse=reverse, limit=limit)

    def _rest(
        self, cf: int, begin: bytes, end: bytes, *, reverse: bool, limit: int | None
    ) -> list[tuple[bytes, bytes]]:
        """Return the entries of a range that is likely to have many."""
        found = self._swept(cf, begin, end, reverse=reverse, limit=limit)
        if limit is None or len(found) < limit:  # damage looks like the end there: `scan` tells them apart
            if found and reverse:
                end = found[-1][0]
            elif found:
                begin = found[-1][0] + b"\x00"
            found += self.scan(cf, begin, end, reverse=reverse, limit=None if limit is None else limit - len(found))
        return found

    def _swept(
        self, cf: int, begin: bytes, end: bytes, *, reverse: bool, limit: int | None
    ) -> list[tuple[bytes, bytes]]:
        """Return the first entries of a range without a step of Python for each. Damage looks like the end of it."""
        items: Any = None
        try:
            options = rocksdict.ReadOptions()
            options.set_iterate_upper_bound(end)
            items = self._families[cf].items(backwards=reverse, from_key=end if reverse else begin, read_opt=options)
            if not reverse:
                return list(itertools.islice(items, limit))
            found: list[tuple[bytes, bytes]] = []  # in steps, as rocksdict has no lower bound that holds
            while limit is None or len(found) < limit:
                part = list(itertools.islice(items, _BULK if limit is None else min(_BULK, limit - len(found))))
                if not part or part[-1][0] < begin:
                    return found + [entry for entry in part if entry[0] >= begin]
                found += part
        except Exception as error:
            items = None
            if self._was_reopened(error):
                return self._swept(cf, begin, end, reverse=reverse, limit=limit)
            self._raise(error, "read")
        return found

    def scan_keys(
        self, cf: int, ranges: Sequence[tuple[bytes, bytes]], *, reverse: bool = False, limit: int
    ) -> list[list[bytes]]:
        """Return for each range (begin ≤ key < end) its first `limit` keys, or its last ones reversed, all as of one
        moment."""
        found: list[list[bytes]] = []
        iterator: Any = None
        step: Any = None
        try:
            iterator = self._families[cf].iter()
            key_here, step = iterator.key, iterator.prev if reverse else iterator.next
            for begin, end in ranges:
                keys: list[bytes] = []
                if reverse:
                    iterator.seek_for_prev(end)
                    if iterator.valid() and key_here() == end:
                        iterator.prev()
                else:
                    iterator.seek(begin)
                while len(keys) < limit and iterator.valid():
                    key = key_here()
                    if key < begin if reverse else key >= end:
                        break
                    keys.append(key)
                    step()
                iterator.status()
                found.append(keys)
        except Exception as error:
            iterator = step = key_here = None
            if self._was_reopened(error):
                return self.scan_keys(cf, ranges, reverse=reverse, limit=limit)
            self._raise(error, "read")
        return found

    def lasts(self, cf: int, prefixes: Iterable[bytes]) -> list[tuple[bytes, bytes] | None]:
        """Return what `last` returns for each of these prefixes, all as of one moment."""
        found: list[tuple[bytes, bytes] | None] = []
        iterator: Any = None
        try:
            iterator = self._families[cf].iter()
            for prefix in prefixes:
                iterator.seek_for_prev(prefix + b"\xff" * 9)
                key = iterator.key()  # None if the iterator is not valid
                there = key is not None and key.startswith(prefix)
                found.append((key, iterator.value()) if there else None)
                if not there:
                    iterator.status()  # an iterator that meets a damaged block just stops being valid
        except Exception as error:
            iterator = None
            self._raise(error, "read")
        return found

    def keys(
        self, cf: int, begin: bytes, end: bytes, *, limit: int, beyond: Callable[[bytes], bytes] | None = None
    ) -> list[bytes]:
        """Return the first `limit` keys with begin ≤ key < end. With `beyond`, each is the first from `beyond` the one
        before it on."""
        found: list[bytes] = []
        iterator: Any = None
        try:
            iterator = self._families[cf].iter()
            iterator.seek(begin)
            while len(found) < limit and iterator.valid() and (key := iterator.key()) < end:
                found.append(key)
                if beyond is None:
                    iterator.next()
                else:
                    iterator.seek(beyond(key))
            iterator.status()
        except Exception as error:
            iterator = None
            self._raise(error, "read")
        return found

    def count(self, cf: int, begin: bytes, end: bytes) -> int:
        """Return how many keys there are with begin ≤ key < end."""
        found = 0
        iterator: Any = None
        try:
            iterator = self._families[cf].iter()
            iterator.seek(begin)
            while iterator.valid() and iterator.key() < end:
                found += 1
                iterator.next()
            iterator.status()
        except Exception as error:
            iterator = None
            self._raise(error, "read")
        return found

    def pages(
        self, cf: int, begin: bytes, end: bytes, *, reverse: bool = False, page: int = 1024
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries like `scan`, but lazily and with bounded memory. Writes made meanwhile are seen."""
        for entries in self._scans(cf, begin, end, reverse=reverse, page=page):
            yield from entries

    def _scans(
        self, cf: int, begin: bytes, end: bytes, *, reverse: bool, page: int
    ) -> Iterator[list[tuple[bytes, bytes]]]:
        while True:
            entries = self.scan(cf, begin, end, reverse=reverse, limit=page, most_bytes=_PAGE_BYTES)
            yield entries
            if len(entries) < page and sum(len(value) for _, value in entries) < _PAGE_BYTES:
                return
            if reverse:
                end = entries[-1][0]
            else:
                begin = entries[-1][0] + b"\x00"

    def runs(self, cf: int, begin: bytes, end: bytes, *, page: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield the entries of `pages` in lists, several times as fast. Not even one list is of one moment: for entries
        that are only added, in order, as events are."""
        if self._bulk:
            entries = self.scan(cf, begin, end, limit=_FEW)  # most ranges are short, and read with this one look
            yield entries
            whole = len(entries) == _FEW
            if not whole:
                return
            while whole:
                begin = entries[-1][0] + b"\x00"
                entries, whole = self._run(cf, begin, end, page)
                if entries:
                    yield entries
                    begin = entries[-1][0] + b"\x00"
        yield from self._scans(cf, begin, end, reverse=False, page=page)

    def _run(self, cf: int, begin: bytes, end: bytes, page: int) -> tuple[list[tuple[bytes, bytes]], bool]:
        """Return the first entries of a range, several times as fast as `scan`: at most `page`, and few beyond
        _PAGE_BYTES. Also return whether they ended for that reason. Otherwise the caller looks with `scan` at what
        follows: damage looks like the end of the range here."""
        found: list[tuple[bytes, bytes]] = []
        items: Any = None
        try:
            options = rocksdict.ReadOptions()
            options.set_iterate_upper_bound(end)
            items = self._families[cf].items(from_key=begin, read_opt=options)
            size, step = 0, _FEW
            while len(found) < page and size < _PAGE_BYTES:
                part = list(itertools.islice(items, min(step, page - len(found))))
                if not part:
                    return found, False
                found += part
                more = sum([len(value) for _, value in part])
                size += more
                step = _FEW if more > _FEW * _LARGE else _BULK
        except Exception as error:
            items = None
            if self._was_reopened(error):
                return self._run(cf, begin, end, page)
            self._raise(error, "read")
        return found, True

    def last(self, cf: int, prefix: bytes) -> tuple[bytes, bytes] | None:
        """Return the entry with the greatest key that has this prefix. `prefix` must not end in 0xff bytes only."""
        iterator: Any = None
        try:
            iterator = self._families[cf].iter()
            iterator.seek_for_prev(prefix + b"\xff" * 9)
            if iterator.valid():
                key = iterator.key()
                if key.startswith(prefix):
                    return key, iterator.value()
            iterator.status()
        except Exception as error:
            iterator = None
            self._raise(error, "read")
        return None

    # -- writing

    def write(self, ops: Iterable[Op], ranges: Iterable[tuple[int, bytes, bytes]] = ()) -> int:
        """Apply all operations (and range deletions [begin, end)) atomically. Return the commit number for
        `wait_synced`.

        Raises StorageFull or StorageError with nothing applied.
        """
        if self.read_only:
            raise InvalidOperation("this runtime is open for reading only: open it without read_only to write")
        if self._broken:
            try:
                self._heal()
            except OSError as error:
                self._raise(error, "reopen")
        batch = rocksdict.WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        try:
            handles = self._handles
            for cf, begin, end in ranges:
                batch.delete_range(begin, end, handles[cf])
            for cf, key, value in ops:
                if value is None:
                    delete(key, handles[cf])
                else:
                    put(key, value, handles[cf])
            self._db.write(batch, self._write_options)
        except Exception as error:
            # RocksDB recovers from a full disk by itself; after any other failure it refuses writes until it is
            # reopened.
            self._broken = not (
                thrown_in(error) or self._closed or is_full(error) or self.durability is Durability.MEMORY
            )
            self._raise(error, "write")
        if self._witness is not None:
            self._witness.note(self._db.latest_sequence_number())
        self._written += 1
        return self._written

    @property
    def commit_number(self) -> int:
        """The commit number of the newest write."""
        return self._written

    def _heal(self) -> None:
        """Reopen the database after a failed write, once its directory takes files again. Called by the one writer.

        Until then the old database goes on serving reads. Everything acknowledged is in the log. (Without a log nothing
        could be recovered: a `memory` store stays read-only until its host opens it again.) The lock has to be released
        in between; a read-only database is opened before that, and serves until writing works again.
        """
        now = time.monotonic()
        if now < self._heal_after or self.moments:
            return
        self._heal_after = now + _HEAL_SECONDS
        if not takes_files(self.path):
            return
        check_whole(self.path, self._options, self.durability)
        with self._reopening, readable_links(self.path) as links:
            database, families = rocksdb_options(self._options, self.durability, read_only=True)
            access = rocksdict.AccessType.read_only(error_if_log_file_exist=False)
            try:
                reader = rocksdict.Rdict(str(links), database, column_families=families, access_type=access)
            except Exception as error:
                raise_storage_error(error, f"cannot reopen the store at {self.path} after a failed write")
            self._replace(lambda: self._use(reader))
            self._replace(lambda: self._open_database(self._options))
            self._broken = False
        logger.warning("the store at %s was reopened after a failed write", self.path)

    def _replace(self, open_anew: Callable[[], None]) -> None:
        """Replace this database by another one, and release everything of this one afterwards.

        Opening for writing needs the lock, which this database holds only if it writes: see `_heal`.
        """
        old, lists = self._db, (self._gets, self._families, self._handles)
        open_anew()
        for each in lists:
            each.clear()
        with contextlib.suppress(Exception):
            old.close()
        del old
        gc.collect(0)

    def is_synced(self, commit_number: int) -> bool:
        """Return whether the write with this commit number is known to be on disk."""
        return self._synced >= commit_number

    def wait_synced(self, commit_number: int, timeout: float) -> None:
        """Wait until the write with this commit number is on disk, sharing one fsync with all other waiting threads.

        The first thread leads: it syncs the log for all writes made so far. The others sleep until a sync that covers
        their writes is done, or until one of them must lead the next. Raises StorageError, or OperationTimeout after
        `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while self._synced < commit_number:
            if self._lead_sync():
                continue
            gate = threading.Lock()
            gate.acquire()
            with self._sync_lock:
                self._sync_waiters.append((commit_number, gate))
            try:
                # The leading thread may have ended before it could see this one, or been interrupted before it could
                # wake it.
                left = deadline - time.monotonic()
                if self._lead_sync() or (left > 0 and gate.acquire(timeout=min(left, _SYNC_LOOK))):
                    continue
            finally:
                with self._sync_lock:
                    if (commit_number, gate) in self._sync_waiters:
                        self._sync_waiters.remove((commit_number, gate))
            if time.monotonic() >= deadline and self._synced < commit_number:
                raise OperationTimeout(
                    f"the disk did not confirm the write within {timeout:g} s; it may still become durable",
                    timeout=timeout,
                    started=True,
                )

    def _lead_sync(self) -> bool:
        """Sync the log for all writes made so far, unless another thread does. Return whether this thread did."""
        leading = self._leading
        led = None  # unknown until it is set; `greenroom.actors.scheduling.dispatcher` explains this and the order
        try:
            led = leading.acquire(False)
            if not led:
                return False
            target = self._written
            self._db.flush_wal(True)
            self.fsyncs += 1
            self._synced = max(self._synced, target)
            return True
        except Exception as error:
            self._raise(error, "sync")
        finally:
            if led:
                try:
                    leading.release()
                finally:
                    self._wake_synced()
            elif led is None:
                try:  # noqa: SIM105 -- entering a `with` could be interrupted
                    leading.release()
                except RuntimeError:
                    pass  # it was not ours

    def _wake_synced(self) -> None:
        """Wake the threads whose writes are on disk, and one of the rest to lead the next sync."""
        with self._sync_lock:
            waiters, self._sync_waiters = self._sync_waiters, []
            lead = False
            for waiter in waiters:
                if waiter[0] <= self._synced or not lead:
                    lead = lead or waiter[0] > self._synced
                    waiter[1].release()
                else:
                    self._sync_waiters.append(waiter)

    def sync(self) -> None:
        """Put everything written so far on disk."""
        if self.durability is Durability.MEMORY:
            self.flush()
        else:
            self.wait_synced(self._written, 60.0)

    def flush(self) -> None:
        """Write the memtables to table files."""
        try:
            self._flush_all()
        except Exception as error:
            self._raise(error, "flush")

    def _flush_all(self) -> None:
        if self.durability is not Durability.MEMORY:
            for cf in range(len(self._families)):
                self._families[cf].flush(True)
            return
        # Without a log the families must reach the disk together. rocksdict flushes them one by one, but making a
        # checkpoint (of hard links, thrown away) flushes all of them at one moment.
        with self._flush_lock:
            shutil.rmtree(self._flush_path, ignore_errors=True)
            try:
                rocksdict.Checkpoint(self._db).create_checkpoint(str(self._flush_path))
            finally:
                shutil.rmtree(self._flush_path, ignore_errors=True)

    # -- care

    def marks(self) -> tuple[tuple[str, int, int], ...]:
        """Return names, sizes and times of logs and manifests, which change whenever the writing process writes."""
        found = []
        with contextlib.suppress(OSError), os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.endswith(".log") or entry.name.startswith(("MANIFEST", "CURRENT")):
                    with contextlib.suppress(OSError):  # removed meanwhile
                        status = entry.stat()
                        found.append((entry.name, status.st_size, status.st_mtime_ns))
        return tuple(sorted(found))

    def catch_up(self) -> None:
        """Make a read-only engine see what the writing process has written since.

        The database is opened anew: RocksDB's own way of catching up goes on reading values that it has replayed from a
        log even when the writer has put newer ones into tables. Threads that are reading finish with the old database.
        """
        if self.read_only and not self._closed:
            self._open_database(self._options)

    def compact(self) -> None:
        """Rewrite the table files without deleted and overwritten data, which gives space back. Blocks."""
        try:
            self._flush_all()
            options = rocksdict.CompactOptions()
            options.set_bottommost_level_compaction(rocksdict.BottommostLevelCompaction.force_optimized())
            for cf in range(len(self._families)):
                self._families[cf].compact_range(None, None, options)
        except Exception as error:
            self._raise(error, "compact")

    def disk_bytes(self) -> int:
        """Return the bytes of all files in the store's directory."""
        total = 0
        for entry in os.scandir(self.path):
            with contextlib.suppress(FileNotFoundError):  # compaction removes files at any time
                total += entry.stat().st_size
        return total

    def statistics(self) -> dict[str, dict[str, int]]:
        """Return the estimated keys and bytes of each column family."""
        properties = {
            "keys": "rocksdb.estimate-num-keys",
            "table_bytes": "rocksdb.live-sst-files-size",
            "memtable_bytes": "rocksdb.cur-size-all-mem-tables",
        }
        try:
            return {
                family: {label: self._families[cf].property_int_value(name) or 0 for label, name in properties.items()}
                for cf, family in enumerate(CF.NAMES)
            }
        except Exception as error:
            self._raise(error, "read")

    def _was_reopened(self, error: Exception) -> bool:
        """Return whether a read failed only because `_heal` was at work, and wait for its end."""
        if self._closed or not isinstance(error, (IndexError, rocksdict.DbClosedError)):
            return False
        with self._reopening:
            return bool(self._gets)

    def _raise(self, error: Exception, action: str) -> NoReturn:
        if thrown_in(error):
            raise error
        if self._closed:
            raise runtime_closed() from error
        raise_storage_error(error, f"cannot {action} the store at {self.path}")


def _require_utf8(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        where = os.fsencode(path).decode(errors="backslashreplace")
        raise StorageError(f"cannot open the store at {where}: RocksDB takes no path that is not in UTF-8") from None
