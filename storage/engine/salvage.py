"""Read out of a damaged store what can still be read, whichever of its files are damaged.

RocksDB gives up a whole file, or the whole store, for one bad block. Here a copy of the store is opened leniently,
everything that passes its checksums goes into a new store, and the unreadable parts are named.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import rocksdict

from greenroom.storage.codec.keys import COUNTS_KEY, QUOTA_KEY, TOTALS_KEY, after_prefix
from greenroom.storage.codec.records import seal, unseal
from greenroom.storage.errors import GreenroomError, IntegrityError, StorageError, StoreLocked

from .engine import CF, FORMAT_VERSION, Durability, Engine, EngineOptions, Op
from .inspection import check_whole
from .rocks_files import (
    Manifest,
    Table,
    family_names,
    first_gap,
    logs_of,
    read_manifest,
    read_table,
    span,
    tables_of,
    write_manifest,
)
from .witness import acknowledged

__all__ = ["Lost", "Salvage", "losses", "readable", "rebuild", "settle_loss"]

_WIDTH: Final = 96
_END: Final = b"\xff" * _WIDTH
_PAGE: Final = 256
_CHUNK_PAGE: Final = 16  # chunks are large
_BATCH_BYTES: Final = 1 << 20
_SAMPLES: Final = 64
_LOST: Final = b"lost/"
_COUNTED: Final = frozenset({(CF.META, COUNTS_KEY), (CF.META, QUOTA_KEY), (CF.META, TOTALS_KEY)})
_FORMAT_KEY: Final = b"format"
_Told = Callable[[int, int], None] | None


@dataclass(frozen=True, slots=True)
class Lost:
    """A range of keys, begin ≤ key < end, in which an unknown number could not be read."""

    cf: int
    begin: bytes
    end: bytes

    @property
    def key(self) -> bytes:
        """The key under which a salvaged store keeps this fact until repair has dealt with it."""
        return _LOST + bytes([self.cf]) + self.begin

    def covers(self, key: bytes) -> bool:
        return self.begin <= key < self.end

    def __str__(self) -> str:
        return f"{CF.NAMES[self.cf]} from {self.begin[:32].hex() or 'its beginning'} to {self.end[:32].hex()}"


@dataclass(slots=True)
class Salvage:
    """What `rebuild` has read and what it could not read. Sizes are bytes of keys and values."""

    entries: int = 0
    bytes: int = 0
    lost: list[Lost] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    """Table files of which nothing could be read."""
    log_damaged: bool = False
    """Whether the store could not be opened with its log as it is: an unknown part of the newest changes may be
    missing."""


def readable(engine: Engine, cf: int, begin: bytes, end: bytes, lost: list[Lost]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the readable entries of a range in order, and add the gaps between them to `lost`."""
    limit = _CHUNK_PAGE if cf == CF.CHUNKS else _PAGE
    while begin < end:
        try:
            page = engine.scan(cf, begin, end, limit=limit)
        except IntegrityError:
            page = []
            damaged = True
        else:
            damaged = False
        if not damaged:
            yield from page
            if len(page) < limit:
                return
            begin = page[-1][0] + b"\x00"
            continue
        # Read one by one up to the damage, then continue behind it.
        while (found := _first(engine, cf, begin, end)) is not None:
            if not found:
                return
            yield found
            begin = found[0] + b"\x00"
        resume = _behind(engine, cf, begin, end)
        lost.append(Lost(cf, begin, resume))
        begin = resume


def _first(engine: Engine, cf: int, begin: bytes, end: bytes) -> tuple[bytes, bytes] | tuple[()] | None:
    """Return the first entry of a range, () if it is empty, None if damage is in the way."""
    try:
        found = engine.scan(cf, begin, end, limit=1)
    except IntegrityError:
        return None
    return found[0] if found else ()


def _behind(engine: Engine, cf: int, begin: bytes, end: bytes) -> bytes:
    """Return the key from which reading works again after damage that begins at `begin`."""
    low, top = _number(begin), _number(end)

    def good(at: int) -> bool:
        return _first(engine, cf, _key(at), end) is not None

    # Ever longer strides, so that the border found is the nearest.
    stride = 1
    while low + stride < top and not good(low + stride):
        stride <<= 1
    high = min(low + stride, top)
    while True:
        bad, high = _border(low, high, good)
        # A good stretch between two damaged ones, both passed by one stride.
        step = (bad - low) // _SAMPLES
        for at in range(low + step, bad, step) if step else ():
            if good(at) and (found := _first(engine, cf, _key(at), end)) and _number(found[0]) < bad:
                high = at
                break
        else:
            break
    return min(_key(high), end)


def _border(bad: int, high: int, good: Callable[[int], bool]) -> tuple[int, int]:
    while high - bad > 1:
        middle = (bad + high) // 2
        if good(middle):
            high = middle
        else:
            bad = middle
    return bad, high


def _number(key: bytes) -> int:
    return int.from_bytes(key[:_WIDTH].ljust(_WIDTH, b"\x00"), "big")


def _key(number: int) -> bytes:
    return number.to_bytes(_WIDTH, "big")


def losses(engine: Engine) -> list[Lost]:
    """Return the losses of a salvaged store that no repair has dealt with yet."""
    found = []
    for key, record in engine.scan(CF.META, _LOST, after_prefix(_LOST)):
        cf, begin, end = unseal(key, record, "the mark of a loss")
        found.append(Lost(cf, begin, end))
    return found


def settle_loss(lost: Lost) -> Op:
    """Return the operation that forgets a loss."""
    return CF.META, lost.key, None


class _StrictStore(Engine):
    """A copy of a store, opened without greenroom's own checks, which would refuse it, and left unchanged."""

    def _database_options(self, options: EngineOptions) -> tuple[rocksdict.Options, dict[str, rocksdict.Options]]:
        database, families = super()._database_options(options)
        for family in families.values():
            family.set_disable_auto_compactions(True)
        return database, families

    def _prepare_directory(self) -> bool:
        return False

    def _check_format(self, created: bool) -> None:
        pass


class _LossyStore(_StrictStore):
    """The same without RocksDB's checks: tables are checked when they are read, and a damaged log is read in part."""

    def _database_options(self, options: EngineOptions) -> tuple[rocksdict.Options, dict[str, rocksdict.Options]]:
        database, families = super()._database_options(options)
        database.set_paranoid_checks(False)
        database.set_wal_recovery_mode(rocksdict.DBRecoveryMode.skip_any_corrupted_record())
        return database, families


def rebuild(path: Path, target: Path, on_progress: Callable[[int, int], None] | None = None) -> Salvage:
    """Copy what can be read of the store at `path` into a new store at `target`. Nobody may have the damaged store
    open, and it is not changed.

    `on_progress` gets the entries and bytes copied so far. Raises StoreLocked, or StorageError if nothing can be read.
    SchemaTooNew and the like are left to the opening of the result.
    """
    if not os.path.isdir(path):
        raise StorageError(f"there is no store at {path}", path=str(path))
    work = target.with_name(target.name + ".reading")
    with _locked(path):
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(target, ignore_errors=True)
        try:
            salvage = Salvage()
            sink = Engine(target, Durability.WAL, EngineOptions())
            try:
                if not _read_whole(path, work, sink, salvage, on_progress):
                    _read_files(path, work, sink, salvage, on_progress)
                if not salvage.entries:
                    raise StorageError(
                        f"nothing of the store at {path} can be read: it is left as it is", path=str(path)
                    )
                _finish(sink, salvage)
            finally:
                sink.close()
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return salvage


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock that RocksDB would hold."""
    try:
        file = (path / "LOCK").open("ab")
    except OSError as error:
        raise StorageError(f"cannot open the store at {path}: {error.strerror}", path=str(path)) from error
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreLocked(f"the store at {path} is open: close it to salvage it", path=str(path)) from None
        yield


def _copy_files(path: Path, work: Path) -> None:
    """Copy a store to work on. Table files never change, so links to them suffice."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for entry in os.scandir(path):
        if not entry.is_file() or entry.name == "LOCK" or entry.name.startswith("LOG"):
            continue
        if entry.name.endswith(".sst"):
            _link(Path(entry.path), work)
        else:
            shutil.copyfile(entry.path, work / entry.name)


def _link(file: Path, work: Path) -> None:
    try:
        os.link(file, work / file.name)
    except OSError:  # a file system without links
        shutil.copyfile(file, work / file.name)


def _read_whole(path: Path, work: Path, sink: Engine, salvage: Salvage, on_progress: _Told) -> bool:
    """Copy a store whose list of files is whole: only blocks within its tables may be damaged."""
    try:
        check_whole(path, EngineOptions(), Durability.WAL)
        _copy_files(path, work)
        source = _StrictStore(work, Durability.WAL, EngineOptions())
    except (GreenroomError, OSError):
        return False
    try:
        _copy(source, sink, salvage, on_progress)
    finally:
        source.close()
    return True


def _read_files(path: Path, work: Path, sink: Engine, salvage: Salvage, on_progress: _Told) -> None:
    """Copy the tables and logs of a store, whatever happened to the list of them.

    Each table is tried by itself. The remains of damaged tables are copied first, so that the whole tables and the
    logs, which are as new or newer, overwrite them.
    """
    families = family_names(path, CF.NAMES)
    missing = [name for name in CF.NAMES if name not in families.values()]
    if missing and any(span(log) for log in logs_of(path)):
        salvage.log_damaged = True  # nothing tells to which family its changes belong
    for name in missing:
        families[max(families) + 1] = name
    known = _known(path)
    for number in sorted(known.live - {int(file.stem) for file in tables_of(path)}):
        salvage.unreadable.append(f"{number:06d}.sst, which is missing")
        _lose(salvage, families.get(known.tables[number]))
    whole: list[Table] = []
    for file in tables_of(path):
        table = read_table(file)
        state = None if table is None or table.family not in CF.NAMES else _state(path, work, families, table)
        if table is None or state is None:
            salvage.unreadable.append(file.name)
            _lose(salvage, table.family if table is not None else families.get(known.tables.get(int(file.stem), -1)))
        elif state:
            whole.append(table)
        else:
            with _made_anew(path, work, families, [table], []) as source:
                _copy(source, sink, salvage, on_progress)
    logs = logs_of(path)
    try:
        with _made_anew(path, work, families, whole, logs, kind=_StrictStore) as source:
            _copy(source, sink, salvage, on_progress)
    except StorageError:
        # Opened without checks, RocksDB does not say how much of the log it has skipped.
        salvage.log_damaged = True
        with _made_anew(path, work, families, whole, logs) as source:
            _copy(source, sink, salvage, on_progress)
    reached = max([known.last_sequence, *(table.largest_sequence for table in whole)])
    if not known.tables and not known.whole:  # compaction drops numbers: without a manifest nothing tells the first one
        reached = max(reached, min((found[0] - 1 for log in logs if (found := span(log))), default=0))
    ends = max((found[1] for log in logs if (found := span(log))), default=0)
    if first_gap(logs, reached) is not None or acknowledged(path) > max(reached, ends):
        salvage.log_damaged = True


def _known(path: Path) -> Manifest:
    """Return what the newest readable manifest says, even if only its beginning can be read."""
    for each in sorted(path.glob("MANIFEST-[0-9]*"), reverse=True):
        found = read_manifest(each, checked=True)
        if len(found.families) > 1:
            return found
    return Manifest(whole=False)


def _lose(salvage: Salvage, family: str | None) -> None:
    """Note that anything may be missing of a column family, or of all of them if the family is unknown."""
    marks = [Lost(cf, b"", _END) for cf, name in enumerate(CF.NAMES) if family in (None, name)]
    salvage.lost += [each for each in marks if each not in salvage.lost]


def _state(path: Path, work: Path, families: dict[int, str], table: Table) -> bool | None:
    """Return whether a table can be read: True if all of it, False if some, None if nothing."""
    lost: list[Lost] = []
    found = 0
    try:
        with _made_anew(path, work, families, [table], []) as source:
            for _ in readable(source, CF.NAMES.index(table.family), b"", _END, lost):
                found += 1
    except StorageError:
        return None
    if not lost:
        return True
    return False if found else None


@contextlib.contextmanager
def _made_anew(
    path: Path,
    work: Path,
    families: dict[int, str],
    tables: list[Table],
    logs: list[Path],
    *,
    kind: type[_StrictStore] | None = None,
) -> Iterator[Engine]:
    """Yield a store of links to these tables and copies of these logs, with a manifest of its own."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for table in tables:
        _link(path / f"{table.number:06d}.sst", work)
    for log in logs:
        shutil.copyfile(log, work / log.name)
    write_manifest(work, families, tables, _END)
    source = (kind or _LossyStore)(work, Durability.WAL, EngineOptions())
    try:
        yield source
    finally:
        source.close()


def _copy(source: Engine, sink: Engine, salvage: Salvage, on_progress: Callable[[int, int], None] | None) -> None:
    ops: list[Op] = []
    gathered = 0
    for cf in range(len(CF.NAMES)):
        for key, value in readable(source, cf, b"", _END, salvage.lost):
            if (cf, key) in _COUNTED:
                continue  # the remaining ones are counted anew
            ops.append((cf, key, value))
            gathered += len(key) + len(value)
            if gathered >= _BATCH_BYTES:
                _write(sink, ops, gathered, salvage, on_progress)
                ops, gathered = [], 0
    _write(sink, ops, gathered, salvage, on_progress)


def _finish(sink: Engine, salvage: Salvage) -> None:
    """Record the losses in the new store, and mark it as a store."""
    marks: list[Op] = [(CF.META, lost.key, seal(lost.key, [lost.cf, lost.begin, lost.end])) for lost in salvage.lost]
    # Every opening brings a store up to its own format, so the newest format is the one that this store had.
    format_record = sink.get(CF.META, _FORMAT_KEY)
    try:
        unseal(_FORMAT_KEY, format_record or b"")
    except IntegrityError:
        marks.append((CF.META, _FORMAT_KEY, seal(_FORMAT_KEY, [FORMAT_VERSION])))
    sink.write(marks)
    sink.flush()


def _write(
    sink: Engine,
    ops: list[Op],
    size: int,
    salvage: Salvage,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    sink.write(ops)
    salvage.entries += len(ops)
    salvage.bytes += size
    if on_progress is not None:
        on_progress(salvage.entries, salvage.bytes)
