"""The settings of RocksDB and its answers: column families, levels of durability, options, errors."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import rocksdict

from greenroom.storage.common.durability import Durability
from greenroom.storage.concurrency.forking import runtime_closed
from greenroom.storage.errors import GreenroomError, IntegrityError, StorageError, StorageFull, StoreLocked

__all__ = [
    "CF",
    "Durability",
    "EngineOptions",
    "Op",
    "is_foreign",
    "is_full",
    "raise_storage_error",
    "rocksdb_options",
    "takes_files",
]

_PROBE_FILES: Final = 16


class CF:
    """The column families by number; docs/format.md says what each holds. They are plain integers because they index a
    list for every operation."""

    META: Final = 0
    JOURNAL: Final = 1
    SNAPSHOTS: Final = 2
    SESSIONS: Final = 3
    ARTIFACTS: Final = 4
    INDEX: Final = 5
    CONTENTS: Final = 6
    CHUNKS: Final = 7
    MANIFESTS: Final = 8
    REFERENCES: Final = 9

    NAMES: Final = (
        "meta",
        "journal",
        "snapshots",
        "sessions",
        "artifacts",
        "index",
        "contents",
        "chunks",
        "manifests",
        "references",
    )


Op = tuple[int, bytes, bytes | None]
"""(column family, key, value); a value of None deletes the key."""


class EngineOptions(NamedTuple):
    """Sizes in bytes. `write_buffers` bounds all memtables together, `block_cache` the cached blocks."""

    write_buffers: int = 64 << 20
    block_cache: int = 32 << 20
    max_open_files: int = 512


def is_foreign(path: Path) -> bool:
    """Return whether a RocksDB database is not greenroom's."""
    try:
        families = set(rocksdict.Rdict.list_cf(str(path), rocksdict.Options(raw_mode=True)))
        if families.issuperset(CF.NAMES):
            return False
        if not families.issubset({"default", *CF.NAMES}):
            return True
        # This is a store whose making was interrupted, or a database with only the default family. Does it have data?
        beside = rocksdict.AccessType.read_only(error_if_log_file_exist=False)
        other = rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True), access_type=beside)
        try:
            return next(iter(other.keys()), None) is not None
        finally:
            other.close()
    except Exception as error:
        raise_storage_error(error, f"cannot open the store at {path}")


def is_full(error: Exception) -> bool:
    text = str(error).lower()
    return "no space left" in text or "quota exceeded" in text


def takes_files(path: Path) -> bool:
    """Return whether a directory takes new files and the process may open some."""
    probe = path / "probe.tmp"
    try:
        with contextlib.ExitStack() as files:
            for _ in range(_PROBE_FILES):
                files.enter_context(probe.open("wb")).write(b"x")
        return True
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def raise_storage_error(error: Exception, what: str) -> NoReturn:
    """Turn an error of rocksdict or the operating system into the typed error that says what to do."""
    if isinstance(error, GreenroomError):
        raise error
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    lowered = text.lower()
    if isinstance(error, rocksdict.DbClosedError):
        raise runtime_closed() from error
    if is_full(error):
        raise StorageFull(
            f"{what}: the disk is full; once more is free than the write buffers take, writing resumes within seconds"
        ) from error
    if "read-only file system" in lowered:
        raise StorageError(f"{what}: its file system can only be read") from error
    if "permission denied" in lowered:
        raise StorageError(f"{what}: permission denied; see who owns it and what this user may do there") from error
    if "lock hold" in lowered or "lock file" in lowered or "no locks available" in lowered:
        raise StoreLocked(
            f"{what}: another runtime has it open for writing; close that one, or open this one with read_only=True"
        ) from error
    if "corruption" in lowered or "checksum mismatch" in lowered:
        raise IntegrityError(f"{what}: RocksDB found damaged data ({text}): greenroom verify --repair") from error
    raise StorageError(f"{what}: {text}") from error


def rocksdb_options(
    sizes: EngineOptions, durability: Durability, *, read_only: bool
) -> tuple[rocksdict.Options, dict[str, rocksdict.Options]]:
    cache = rocksdict.Cache(sizes.block_cache)
    buffers = rocksdict.WriteBufferManager(sizes.write_buffers, False)

    database = rocksdict.Options(raw_mode=True)
    database.create_if_missing(not read_only)
    database.create_missing_column_families(not read_only)
    database.set_write_buffer_manager(buffers)
    # For the family that is always there and empty: RocksDB wants this much space free before it recovers from a full
    # disk.
    database.set_write_buffer_size(max(1 << 20, sizes.write_buffers // 4))
    # A follower must keep every file open, or the writer's compaction removes files that it still needs.
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
    database.set_max_open_files(-1 if read_only else max(32, min(sizes.max_open_files, allowed)))
    # Starting RocksDB's sixteen threads for each column family takes longer than what they do.
    database.set_max_file_opening_threads(1)
    database.set_max_background_jobs(2)
    database.set_keep_log_file_num(2)
    database.set_max_log_file_size(1 << 20)
    database.set_max_total_wal_size(sizes.write_buffers)
    database.set_bytes_per_sync(1 << 20)
    # A killed process leaves at most an unfinished last record, which was never acknowledged. Damage
    # anywhere else in the log must stop the opening, not silently drop what follows it.
    database.set_wal_recovery_mode(rocksdict.DBRecoveryMode.tolerate_corrupted_tail_records())
    # Without a log the column families must reach the disk together, or indexes would run ahead of events.
    database.set_atomic_flush(durability is Durability.MEMORY)

    families: dict[str, rocksdict.Options] = {}
    for name in CF.NAMES:
        options = rocksdict.Options(raw_mode=True)
        table = rocksdict.BlockBasedOptions()
        table.set_block_cache(cache)
        table.set_bloom_filter(10, False)
        table.set_cache_index_and_filter_blocks(True)
        table.set_pin_l0_filter_and_index_blocks_in_cache(True)
        # Partitioned: the index or the filter of a large table would not fit into a shard of the cache, and would be
        # read from disk for every look-up.
        table.set_index_type(rocksdict.BlockBasedIndexType.two_level_index_search())
        table.set_partition_filters(True)
        table.set_metadata_block_size(4096)
        table.set_pin_top_level_index_and_filter(True)
        table.set_format_version(5)
        options.set_block_based_table_factory(table)
        options.set_write_buffer_size(max(1 << 20, sizes.write_buffers // 4))
        options.set_level_compaction_dynamic_level_bytes(True)
        # rocksdict holds the GIL while it writes: a write stall would stop the whole process, so none is allowed.
        options.set_level_zero_slowdown_writes_trigger(1 << 20)
        options.set_level_zero_stop_writes_trigger(1 << 20)
        options.set_soft_pending_compaction_bytes_limit(1 << 50)
        options.set_hard_pending_compaction_bytes_limit(1 << 50)
        options.set_max_write_buffer_number(6)
        if name == CF.NAMES[CF.CHUNKS]:
            # Content is compressed before it comes here. Blob files would keep it out of the tree's rewrites, but a
            # follower that reads one crashes inside RocksDB.
            options.set_compression_type(rocksdict.DBCompressionType.none())
        else:
            options.set_compression_type(rocksdict.DBCompressionType.lz4())
        families[name] = options
    return database, families
