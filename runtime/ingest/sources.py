"""Opens the sources of conversations: files, folders, standard input, .gz and .zip."""

from __future__ import annotations

import gzip
import os
import select
import stat
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final

from greenroom.storage.errors import GreenroomError

from .records import Readable

__all__ = [
    "MAX_UNPACKED_BYTES",
    "PIPE_TIMEOUT",
    "STDIN",
    "Source",
    "UnreadableSource",
    "open_sources",
    "require_readable",
    "sample_paths",
    "shown",
    "source_files",
]


STDIN: Final = "-"
"""The name that stands for standard input."""
MAX_UNPACKED_BYTES: Final = 16 << 30
"""Limit of bytes that one packed file may unpack to."""
MAX_RATIO: Final = 200
_FREE_UNPACKED: Final = 64 << 20
"""What a packed file unpacks to may be `MAX_RATIO` times as large as the file, and this much is free."""
MAX_MEMBERS: Final = 100_000
"""Limit of files in an archive."""
PIPE_TIMEOUT: Final = 30.0
"""Seconds in which the first bytes of a named pipe must arrive."""

_PLAIN: Final = (".json", ".jsonl", ".ndjson", ".traj")
_PACKED: Final = (".gz", ".zip")


class UnreadableSource(GreenroomError):
    """A source cannot be read, or not to its end; the text says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """One stream with records: `label` names it in reports, `name` in the metadata of its sessions.

    `position` tells how many bytes of the file on disk have been read.
    """

    label: str
    name: str
    stream: Readable
    position: Callable[[], int]
    in_archive: bool = False


def shown(path: str | os.PathLike[str]) -> str:
    """Return the path as text, with escapes for bytes that are not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def source_files(path: str | os.PathLike[str]) -> Iterator[str | os.PathLike[str]]:
    """Yield every file that a path names: the path itself, or what is in the folder.

    A folder names all files below it with the endings .json, .jsonl, .ndjson and .traj, each also with .gz, and .zip,
    in the order of their names; hidden ones, pipes and devices are skipped. Raises UnreadableSource for a folder
    without any.
    """
    if os.fspath(path) == STDIN or not os.path.isdir(path):  # which is false for what cannot be looked at
        yield path
        return
    found = False
    for each in _files_below(Path(path)):
        found = True
        yield each
    if not found:
        raise UnreadableSource(f"there is no conversation file in this folder ({', '.join(_PLAIN + _PACKED)})")


def open_sources(path: str | os.PathLike[str]) -> Iterator[Source]:
    """Yield every source in one file, or standard input. Each is open until the next one is requested.

    A .zip has the files in it that end as conversations do, but no archives. Raises OSError or UnreadableSource.
    """
    if os.fspath(path) == STDIN:
        stdin = _Counted(sys.stdin.buffer)
        yield Source("standard input", "stdin", stdin, lambda: stdin.count)
    else:
        yield from _open_file(Path(path))


def require_readable(paths: Iterable[str]) -> None:
    """Raise UnreadableSource if none of these paths has anything to read."""
    problems = []
    for path in paths:
        if path == STDIN:
            return
        try:
            os.stat(path)
        except OSError as error:
            problems.append(f"{shown(path)}: {error.strerror or type(error).__name__}")
        except ValueError:
            problems.append(f"{shown(path)}: no path has a NUL")
        else:
            return
    raise UnreadableSource("there is nothing to ingest: " + "; ".join(problems))


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(parent, name)
            # pipes, sockets and devices are read only if somebody names them
            is_special = path.exists() and not path.is_file()
            if name.lower().endswith(_PLAIN + _PACKED) and not name.startswith(".") and not is_special:
                yield path


def _open_file(path: Path) -> Iterator[Source]:
    label, name = shown(path), shown(path.name)
    mode = path.stat().st_mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise UnreadableSource("it is a device, which may have no end: use - for standard input")
    with open(path, "rb", opener=_open_descriptor) as file:
        counted = _Counted(file)
        if path.suffix.lower() == ".zip" and stat.S_ISREG(mode) and _is_archive(file):
            yield from _members(label, file)
        elif path.suffix.lower() == ".gz":
            with gzip.GzipFile(fileobj=counted, mode="rb") as unpacked:  # type: ignore[call-overload]
                yield Source(label, name, _Guarded(unpacked, lambda: _most(counted.count)), lambda: counted.count)
        else:
            yield Source(label, name, counted, lambda: counted.count)


def _is_archive(file: IO[bytes]) -> bool:
    """Return whether a file is a .zip. Raises UnreadableSource for one that was cut short."""
    if zipfile.is_zipfile(file):
        return True
    file.seek(0)
    begins = file.read(2)
    file.seek(0)
    if begins == b"PK":
        raise UnreadableSource("the archive is damaged or cut short: the list of its files, at its end, is not there")
    return False


def _open_descriptor(path: str, flags: int) -> int:
    """Open a file. For a named pipe, wait a limited time for the first bytes or for the writer to close it."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)  # opening a pipe could otherwise wait for a writer for ever
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            waiting = select.poll()
            waiting.register(descriptor, select.POLLIN)
            if not waiting.poll(PIPE_TIMEOUT * 1000):
                raise UnreadableSource(
                    f"nothing has come through this pipe in {PIPE_TIMEOUT:g} seconds: does anything write to it? "
                    "What takes longer can be given as standard input, named -"
                )
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _members(label: str, file: IO[bytes]) -> Iterator[Source]:
    """Yield the conversation files in an archive, in its order. Skip all other files."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise UnreadableSource(
                    f"the archive has {len(members)} files, and {MAX_MEMBERS} is the limit: unpack it"
                )
            shown_members = [each for each in members if not _is_hidden(each.filename)]
            chosen = [each for each in shown_members if each.filename.lower().endswith(_PLAIN)]
            left = MAX_UNPACKED_BYTES
            done = 0
            for member in chosen:
                with archive.open(member) as unpacked:
                    most = min(left, _most(member.compress_size))
                    guarded = _Guarded(unpacked, lambda most=most: most)  # type: ignore[misc]
                    name = shown(member.filename)
                    position = partial(int, done)
                    yield Source(f"{label}: {name}", name.rpartition("/")[2], guarded, position, in_archive=True)
                left -= guarded.count
                done += member.compress_size
            packed = [shown(each.filename) for each in shown_members if each.filename.lower().endswith(_PACKED)]
            if packed:
                raise UnreadableSource(
                    f"archives within an archive are not read, unpack it first: {', '.join(packed[:5])}"
                )
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise UnreadableSource(f"the archive cannot be read: {error}") from error
    if not chosen:
        raise UnreadableSource(f"there is no conversation file in this archive ({', '.join(_PLAIN)})")


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _most(packed: int) -> int:
    """Return how many bytes a packed file of this size may unpack to."""
    return min(MAX_UNPACKED_BYTES, _FREE_UNPACKED + packed * MAX_RATIO)


class _Counted:
    """Counts the bytes read from a file object. Has the methods of a file object that gzip needs."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        return data


class _Guarded:
    """Limits the bytes that are unpacked, and raises one type of error for damage."""

    def __init__(self, stream: IO[bytes], limit: Callable[[], int]) -> None:
        self._stream = stream
        self._limit = limit
        self.count = 0

    def read(self, size: int, /) -> bytes:
        try:
            data = self._stream.read(size)
        except (EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
            raise UnreadableSource(f"what it packs is damaged: {error}") from error
        self.count += len(data)
        if self.count > self._limit():
            raise UnreadableSource(f"it unpacks to more than {self._limit()} bytes, the limit for its size")
        return data


def sample_paths() -> list[Path]:
    """Return the sample files, ordered by name."""
    return sorted((Path(__file__).parent / "samples").glob("*.jsonl"))
