"""Back up and restore a whole store. A backup is a store: a directory that any greenroom opens."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import rocksdict

from greenroom.storage.errors import InvalidOperation, StorageError
from greenroom.storage.files.regular_file import open_regular, part_beside, sync_directory

from .engine import Durability, Engine, EngineOptions
from .options import raise_storage_error

__all__ = ["create_backup", "restore_backup"]

_COPY_BYTES: Final = 1 << 20
_NOT_COPIED: Final = ("LOCK", "LOG")


def create_backup(engine: Engine, path: Path) -> tuple[int, int]:
    """Write a backup of an open store, as of one moment, while it is in use. Return (files, bytes).

    The directory `path` must not exist; it appears whole or not at all. On the same file system, the backup's table
    files are hard links to those of the store, which never change: this costs neither time nor space, and protects from
    mistakes, but not from the loss of the disk. Raises StorageError or StorageFull.
    """
    if engine.read_only:
        raise InvalidOperation("this runtime is open for reading only: the one that writes can make a backup")
    path = Path(os.path.abspath(path))
    with _appearing(path, f"cannot back up to {path}") as part:
        _refuse_existing(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint = rocksdict.Checkpoint(engine._db)
        try:
            checkpoint.create_checkpoint(str(part))
        finally:
            del checkpoint  # it keeps the store open
        sizes = [entry.stat().st_size for entry in os.scandir(part)]
    return len(sizes), sum(sizes)


def restore_backup(
    backup: Path, path: Path, check: Callable[[Path], None], on_progress: Callable[[int, int], None] | None = None
) -> tuple[int, int]:
    """Copy a backup to a new store and return (files, bytes). `check` looks at the copy before it gets its name.

    `path` must not exist, or must be an empty directory; the store appears there whole or not at all. The backup is
    only read. Raises StorageError or StorageFull.
    """
    path = Path(os.path.abspath(path))
    with _appearing(path, f"cannot restore {backup} to {path}") as part:
        files = _files_of(backup)
        total = sum(size for _, size in files)
        if not (path.is_dir() and not path.is_symlink() and not any(path.iterdir())):
            _refuse_existing(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
        done = 0
        for source, _ in files:
            reader = open_regular(source, f"cannot read {source}", follow=False)
            with reader, (part / source.name).open("xb") as writer:
                while block := reader.read(_COPY_BYTES):
                    writer.write(block)
                    done += len(block)
                    if on_progress is not None:
                        on_progress(min(done, total), total)
                writer.flush()
                os.fsync(writer.fileno())
        Engine(part, Durability.WAL, EngineOptions()).close()  # checks that it is a store, and of a known format
        check(part)
    return len(files), total


@contextlib.contextmanager
def _appearing(path: Path, what: str) -> Iterator[Path]:
    """Yield a path for a directory that gets the name `path` once it is whole. After a failure nothing of it stays."""
    part = part_beside(path)
    try:
        yield part
        part.rename(path)
        sync_directory(path.parent)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError) or type(error) is Exception:  # RocksDB raises no other class
            raise_storage_error(error, what)
        raise  # greenroom's, or raised by the caller's `on_progress`


def _files_of(backup: Path) -> list[tuple[Path, int]]:
    if not (backup / "CURRENT").is_file():
        raise StorageError(f"there is no backup at {backup}", path=str(backup))
    files = []
    for entry in sorted(os.scandir(backup), key=lambda each: each.name):
        if entry.name.startswith(_NOT_COPIED):
            continue
        if not entry.is_file(follow_symlinks=False):
            raise StorageError(f"{backup} is no backup: {entry.name} is not a plain file", path=str(backup))
        files.append((Path(entry.path), entry.stat().st_size))
    return files


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise StorageError(f"{path} exists already: choose another path", path=str(path))
