"""Read and write the files of users: only regular files, and a written file appears whole or not at all.

Everything that greenroom exports goes through `written_file`, everything that it imports through `open_regular`. A path
to a FIFO, a device, a socket or a directory is refused: opening a FIFO would wait for its other end, and renaming a new
file over a device would take the device from the whole machine.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn, cast

from greenroom.storage.concurrency.interrupts import by_signal
from greenroom.storage.errors import StorageError, StorageFull, ValidationError

__all__ = ["file_path", "open_regular", "part_beside", "sync_directory", "written_file"]

_BUFFER: Final = 1 << 18
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_NOT_SYNCED: Final = (errno.EINVAL, errno.ENOTSUP)  # the answer of a file system that cannot sync a directory
_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISLNK, "a symbolic link (name the file that it leads to)"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def file_path(given: Any, field: str = "path") -> Path:
    """Return the path that a caller has given; "~/" at its beginning is the user's home. Raises ValidationError for
    anything that cannot be a path."""
    why: Exception | None = None
    try:
        text = os.fspath(given)
        if issubclass(type(text), str):
            text = str.__str__(text)
            if text and "\0" not in text:
                os.fsencode(text)
                return Path(text).expanduser() if text == "~" or text.startswith("~/") else Path(text)
    except Exception as error:  # not a path, text that no file name can have, an object whose methods raise
        if by_signal(error):
            raise
        why = error
    raise ValidationError(f"{field}: a path is needed, as text or a Path", field=field) from why


def open_regular(
    path: Path, what: str, flags: int = os.O_RDONLY, *, follow: bool = True
) -> io.BufferedReader | io.BufferedWriter | io.BufferedRandom:
    """Open a regular file without ever waiting. `what` begins the messages of errors and names the file.

    The file is opened for what `flags` say: reading, writing or both. A symbolic link at the end of the path is
    followed unless `follow` is false. A later failure to read or write is a StorageError as well. Raises StorageError,
    StorageFull or ValidationError.
    """
    try:
        with contextlib.suppress(FileNotFoundError):  # opening creates the file, or reports that it is missing
            facts = os.stat(path, follow_symlinks=follow)
            _require_regular(facts.st_mode, path, what)  # opening a device, such as a tape, may have effects
        flags |= os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        _raise(error, path, what)
    except ValueError:
        raise ValidationError(f"{what}: the path of a file is needed", field="path") from None
    try:
        _require_regular(os.fstat(descriptor).st_mode, path, what)
    except BaseException:
        os.close(descriptor)
        raise
    access = flags & os.O_ACCMODE
    appending = flags & os.O_APPEND
    if access == os.O_RDONLY:
        return io.BufferedReader(_File(descriptor, "rb", path, what), _BUFFER)
    if access == os.O_WRONLY:
        return io.BufferedWriter(_File(descriptor, "ab" if appending else "wb", path, what), _BUFFER)
    return io.BufferedRandom(_File(descriptor, "ab+" if appending else "rb+", path, what), _BUFFER)


@contextlib.contextmanager
def written_file(path: Path, what: str, ready: Callable[[], object] | None = None) -> Iterator[BinaryIO]:
    """Yield a file to write to. When the block ends, its content is synced to disk and becomes the file at `path`.

    `ready` is called before the file gets that name; an exception from it, or from the block, leaves what was at `path`
    untouched and nothing else behind. Until then the file has a random name in the same directory, so nobody sees it
    half written, and writers to one path do not meet: the last to end wins. A regular file at `path` is replaced, and
    its permissions are kept. Anything else is refused, also a symbolic link: a caller should not change a file that it
    did not name. `what` begins the messages of errors and names the file. Raises StorageError, StorageFull or
    ValidationError.
    """
    mode = _mode_of_replaced(path, what)
    part = part_beside(path)
    with _reported(path, what):
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with io.BufferedWriter(_File(descriptor, "wb", path, what), _BUFFER) as file:
            yield file
            file.flush()
            with _reported(path, what):
                if mode is not None:
                    os.fchmod(descriptor, mode)
                os.fsync(descriptor)
        if ready is not None:
            ready()
        _mode_of_replaced(path, what)  # something may have been put there meanwhile
        with _reported(path, what):
            os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    with _reported(path, what):
        sync_directory(path.parent)


def part_beside(path: Path) -> Path:
    """Return a new name in the directory of `path`, so that giving the right name is one step.

    The new name does not contain the name of `path`: a name of 250 characters would leave no room for more.
    """
    return path.with_name(f".{os.urandom(8).hex()}.part")


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SYNCED:
            raise
    finally:
        os.close(descriptor)


class _File(io.FileIO):
    """A file whose failures are StorageErrors, whoever reads or writes it."""

    def __init__(self, descriptor: int, mode: str, path: Path, what: str) -> None:
        super().__init__(descriptor, mode)
        self._path = path
        self._what = what

    def readinto(self, buffer: Any) -> int:
        with _reported(self._path, self._what):
            count = cast(int | None, super().readinto(buffer))
        if count is None:  # kernel files such as /proc/kmsg have nothing to read until something happens
            raise StorageError(f"{self._what}: it is a file that gives nothing now", path=str(self._path))
        return count

    def readall(self) -> bytes:
        pieces = []
        buffer = bytearray(_BUFFER)
        while count := self.readinto(buffer):
            pieces.append(bytes(buffer[:count]))
        return b"".join(pieces)

    def write(self, data: Any) -> int:
        with _reported(self._path, self._what):
            return super().write(data)


@contextlib.contextmanager
def _reported(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _raise(error, path, what)


def _raise(error: OSError, path: Path, what: str) -> NoReturn:
    if error.errno in _FULL:
        raise StorageFull(f"{what}: the disk is full", path=str(path)) from error
    if error.errno == errno.ENXIO:  # from opening a socket, or a FIFO without a reader
        raise StorageError(f"{what}: it is not a regular file", path=str(path)) from error
    raise StorageError(f"{what}: {error.strerror or error}", path=str(path)) from error


def _require_regular(mode: int, path: Path, what: str) -> None:
    if stat.S_ISREG(mode):
        return
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
    raise StorageError(f"{what}: it is {kind}, not a regular file", path=str(path))


def _mode_of_replaced(path: Path, what: str) -> int | None:
    """Return the permissions of the regular file at `path`; None if there is no file."""
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise StorageError(f"{what}: there is no directory {path.parent}", path=str(path)) from None
        return None
    except ValueError:
        raise ValidationError(f"{what}: the path of a file is needed", field="path") from None
    except OSError as error:
        _raise(error, path, what)
    _require_regular(facts.st_mode, path, what)
    return stat.S_IMODE(facts.st_mode)
