"""Check before a store is opened whether it is whole, without changing anything in its directory.

RocksDB makes a new database if `CURRENT` is missing, and deletes the tables that a truncated manifest does not name. So
the store is first opened for reading, through a directory of links, and then checked for what RocksDB does not check.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import rocksdict

from greenroom.storage.codec.keys import INDEX_CREATED
from greenroom.storage.errors import IntegrityError, StorageError, StoreLocked

from .options import CF, Durability, EngineOptions, is_foreign, raise_storage_error, rocksdb_options
from .rocks_files import Table, family_names, first_gap, had_no_log, logs_of, read_manifest, read_table, span, tables_of
from .witness import WITNESS, acknowledged

__all__ = [
    "FORMAT_KEY",
    "INTERRUPTED",
    "Look",
    "check_new",
    "check_whole",
    "damaged",
    "is_written_elsewhere",
    "readable_links",
    "refuse_second",
]

INTERRUPTED: Final = ".salvaged"
"""The suffix of the name of a store that salvage is making."""
FORMAT_KEY: Final = b"format"
_READ_BY_OPENING: Final = (b"content bytes", b"importing/", b"pending/")
_LEFT_BY_BEGINNING: Final = frozenset(
    ("LOCK", "LOG", "IDENTITY", "rocksdict-config.json", "flush.tmp", "000001.dbtmp", "MANIFEST-000001")
)
"""The files that RocksDB leaves behind if it is killed before a store has its first `CURRENT`."""
_FIRST_MANIFEST_BYTES: Final = 256
_NO_DAMAGE: Final = (
    "permission denied",
    "read-only file system",
    "no space left",
    "quota exceeded",
    "too many open files",
    "input/output error",
    "cannot allocate memory",
)


def damaged(path: Path, why: str) -> NoReturn:
    """Raise the IntegrityError for a store whose own files are damaged."""
    raise IntegrityError(
        f"the store at {path} is damaged: {why}; nothing in it was changed: salvaging it "
        "(greenroom verify --repair) reads what can be read into a new store",
        path=str(path),
    )


def check_new(path: Path) -> None:
    """Raise unless a directory without `CURRENT` may become a store: it is empty, or a store was begun there and
    nothing written. A directory with tables, logs or a manifest is a damaged store; one with other files is somebody
    else's."""
    if not path.exists():
        if path.with_name(path.name + INTERRUPTED).exists() and any(path.parent.glob(f"{path.name}.damaged-*")):
            damaged(path, f"its salvage was interrupted; {path.name}{INTERRUPTED} beside it is what was read")
        return
    names = {entry.name: entry.stat().st_size for entry in os.scandir(path)}
    signs = sorted(
        name for name in names if name.endswith((".sst", ".log")) or name.startswith(("MANIFEST-", "OPTIONS-"))
    )
    signs += [WITNESS] * (WITNESS in names)
    if names.get("MANIFEST-000001", _FIRST_MANIFEST_BYTES) < _FIRST_MANIFEST_BYTES:
        signs.remove("MANIFEST-000001")
    if signs:
        damaged(path, f"the file CURRENT is missing, and there are {len(signs)} others, such as {signs[0]}")
    if any(name not in _LEFT_BY_BEGINNING and not name.startswith("LOG.old") for name in names):
        raise StorageError(
            f"{path} is not a greenroom store and is not empty: choose an empty or a new directory", path=str(path)
        )


def is_written_elsewhere(path: Path) -> bool:
    """Return whether another process has the store open for writing. Not for a store that this process has open:
    looking at the lock would release it."""
    try:
        with (path / "LOCK").open("rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError as error:
        if isinstance(error, BlockingIOError | PermissionError):
            return isinstance(error, BlockingIOError)
        raise
    return False


def refuse_second(path: Path) -> NoReturn:
    """Raise the StoreLocked for a store that is open for writing."""
    raise StoreLocked(
        f"cannot open the store at {path}: another runtime has it open for writing; close that one, or open this one "
        "with read_only=True"
    )


class Look(NamedTuple):
    """The result of checking a whole store. `begun`: its making was interrupted before anything was written."""

    begun: bool
    format: bytes | None = None
    has_events: bool = False


def check_whole(path: Path, sizes: EngineOptions, durability: Durability) -> Look:
    """Check that the store is whole as far as its files tell, and return what it says of itself. Raises IntegrityError.
    Nobody may have the store open for writing. Changes nothing."""
    with readable_links(path) as view:
        return _look(path, view, sizes, durability)


@contextlib.contextmanager
def readable_links(path: Path) -> Iterator[Path]:
    """Yield a directory of links to the files of a store for RocksDB to read: it writes a log of its own beside
    them."""
    view = Path(tempfile.mkdtemp(prefix="greenroom-look-"))
    try:
        for entry in os.scandir(path):
            if entry.name not in ("LOCK", "rocksdict-config.json") and not entry.name.startswith("LOG"):
                (view / entry.name).symlink_to(os.path.abspath(entry.path))
        yield view
    finally:
        shutil.rmtree(view, ignore_errors=True)


def _look(path: Path, view: Path, sizes: EngineOptions, durability: Durability) -> Look:
    logs = logs_of(view)
    try:
        families = set(rocksdict.Rdict.list_cf(str(view), rocksdict.Options(raw_mode=True)))
    except Exception as error:
        _tell(path, error)
    if not families.issuperset(CF.NAMES):
        ours = {"default", *CF.NAMES}
        named = family_names(view, CF.NAMES)
        if (len(named) == 1 and is_foreign(view)) or not (families <= ours or len(named) > len(families)):
            raise StorageError(
                f"{path} holds a RocksDB database that is not a greenroom store: choose another directory",
                path=str(path),
            )
        if tables_of(view) or any(span(log) for log in logs):
            damaged(path, "its manifest does not name all column families, and there are tables or logs")
        return Look(begun=True)
    database, options = rocksdb_options(sizes, durability, read_only=True)
    try:
        access = rocksdict.AccessType.read_only(error_if_log_file_exist=False)
        found = rocksdict.Rdict(str(view), database, column_families=options, access_type=access)
    except Exception as error:
        _tell(path, error)
    try:
        live = {int(Path(str(each["name"])).stem) for each in found.live_files()}
        reached = found.latest_sequence_number()
        meta, journal, index = (found.get_column_family(CF.NAMES[cf]) for cf in (CF.META, CF.JOURNAL, CF.INDEX))
        record = meta.get(FORMAT_KEY)
        look = Look(False, record, record is None and _has_any(journal, b""))
        for begin in _READ_BY_OPENING:
            _has_any(meta, begin)
        _has_any(index, INDEX_CREATED)
        del meta, journal, index
    except Exception as error:
        _tell(path, error)
    finally:
        found.close()
    manifest = read_manifest(view / (view / "CURRENT").read_text().strip())
    if (last := acknowledged(view)) > reached:
        damaged(path, f"its log ends with change {reached}, and {last} were acknowledged")
    if (gap := first_gap(logs, manifest.last_sequence)) is not None:
        damaged(path, gap)
    if not had_no_log(view):
        _check_tables(path, view, live | set(manifest.tables), reached, logs)
    return look


def _has_any(family: rocksdict.Rdict, begin: bytes) -> bool:
    """Return whether there is a key from `begin` on; reads the block that the key is in."""
    iterator = family.iter()
    iterator.seek(begin)
    if not iterator.valid():
        iterator.status()
        return False
    return True


def _check_tables(path: Path, view: Path, named: set[int], reached: int, logs: list[Path]) -> None:
    """Find tables that the manifest should know. It need not know those that a killed flush or compaction leaves: the
    logs or other tables have their data too."""
    unknown = [table for table in tables_of(view) if int(table.stem) not in named]
    strange = [table for each in unknown if (table := read_table(each)) is not None]
    if not strange:
        return
    newest: dict[str, int] = {}
    for each in tables_of(view):
        if int(each.stem) in named and (table := read_table(each)) is not None:
            newest[table.family] = max(newest.get(table.family, 0), table.largest_sequence)
    spans = [found for log in logs if (found := span(log)) is not None]

    def is_known(table: Table) -> bool:
        sequence = table.largest_sequence
        logged = any(first <= sequence <= last for first, last in spans)
        return sequence <= reached and (logged or sequence <= newest.get(table.family, -1))

    for table in strange:
        if not is_known(table):
            damaged(path, f"its manifest does not know the table {table.number:06d}.sst")


def _tell(path: Path, error: Exception) -> NoReturn:
    text = str(error)
    if any(each in text.lower() for each in _NO_DAMAGE):
        raise_storage_error(error, f"cannot open the store at {path}")
    damaged(path, f"RocksDB says: {text}")
