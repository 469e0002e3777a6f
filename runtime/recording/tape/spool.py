"""Spools: the files to which the processes of a recorded run append, and in which a tape is handed to a replay.

A spool begins with eight bytes, `GRSPOOL1`. Frames follow: the length of the payload and its CRC-32, four bytes each,
least significant first, then the payload, a MessagePack list that begins with the kind of the frame. What a process
that was killed leaves at the end of its spool is not whole, and is not read.

========  ===============================================================================================
kind      payload
========  ===============================================================================================
about     a map: what `Tape.about` says; of each further process, what it says of itself
crossing  the fields of a `Crossing` in their order
reads     the process, the texts that occur, and the reads, each four indexes of texts and the value
========  ===============================================================================================
"""

from __future__ import annotations

import heapq
import os
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields
from operator import attrgetter, itemgetter
from typing import Any, Final
from zlib import crc32

import msgpack

from greenroom.storage.errors import IntegrityError

from .model import Crossing, Reads, Tape, in_order, type_name

__all__ = [
    "END",
    "SPOOL",
    "SpoolFolder",
    "SpoolReader",
    "SpoolSink",
    "SpoolWriter",
    "frame_of_crossing",
    "frame_of_reads",
    "read_spool",
    "read_spools",
    "write_tape",
]

_MAGIC: Final = b"GRSPOOL1"
_HEAD: Final = struct.Struct("<II")
_LARGEST: Final = (1 << 32) - 1
_FIELDS: Final = tuple(each.name for each in fields(Crossing))
_fields_of: Final = attrgetter(*_FIELDS)
_HELD: Final = 256 << 10
"""Bytes of reads that wait for a crossing."""
_CHUNK: Final = 4 << 20
_BATCH: Final = 1 << 20
"""Bytes that are read from a spool at once."""

_packer: Final = msgpack.Packer(unicode_errors="surrogatepass", strict_types=True)
"""One for all threads: of plain values it runs no Python code, and so holds the GIL from start to end."""

SPOOL: Final = ".spool"
"""What the names of spools end with."""
END: Final = f"end{SPOOL}"
"""The file in which the launcher says how the program ended."""

Record = Crossing | Reads | dict[str, Any]
"""What a frame holds; a map is what a process says of itself."""


class SpoolWriter:
    """Appends frames to a spool, one write for each call."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Make the file. Raises FileExistsError if it is there."""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        _write(self._file, _MAGIC)
        self.size = len(_MAGIC)
        """Bytes in the file."""

    @property
    def is_open(self) -> bool:
        """Whether it can be appended to."""
        return self._file >= 0

    def append(self, frames: bytes) -> None:
        """Append frames. When this returns, the operating system has them."""
        if (written := os.write(self._file, frames)) < len(frames):
            _write(self._file, frames[written:])
        self.size += len(frames)

    def begin_anew(self, told: dict[str, Any]) -> None:
        """Remove all frames, and put into the spool what is told of them."""
        os.ftruncate(self._file, len(_MAGIC))
        self.size = len(_MAGIC)
        self.append(_framed(["about", told]))

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


class SpoolSink:
    """Puts what a recorder has into a spool. Reads go with the crossing that follows them."""

    def __init__(self, writer: SpoolWriter) -> None:
        self._writer = writer
        self._held = b""

    def about(self, told: dict[str, Any]) -> None:
        """Put what this process says of itself into the spool."""
        self._append(_framed(["about", told]))

    def crossing(self, crossing: Crossing) -> None:
        """Append a crossing."""
        held, self._held = self._held, b""
        self._writer.append(held + frame_of_crossing(crossing))

    def reads(self, reads: Reads) -> None:
        """Hold reads for the next crossing, unless they have become many."""
        self._held += frame_of_reads(reads)
        if len(self._held) > _HELD:
            self._append(b"")

    def close(self) -> None:
        """Append what is held, and close the spool."""
        self._append(b"")
        self._writer.close()

    def sync(self) -> None:
        """Append what is held."""
        if self._held:
            self._append(b"")

    def _append(self, frame: bytes) -> None:
        held, self._held = self._held, b""
        self._writer.append(held + frame if held else frame)


class SpoolReader:
    """Reads a spool while it grows."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self.at = 0
        """How many bytes were read."""
        self._is_damaged = False

    @property
    def is_end(self) -> bool:
        """Whether it is the spool in which the launcher says how the program ended."""
        return os.path.basename(self._path) == END

    def poll(self) -> list[Record]:
        """Return the records that were appended since the last call. A frame that is not whole yet is left for the
        next one. Raises IntegrityError for what is no spool."""
        return list(self.records())

    def records(self) -> Iterator[Record]:
        """Yield the same, one at a time. The file is open for a moment only, since a run may have many."""
        while batch := self._batch():
            yield from batch

    def _batch(self) -> list[Record]:
        """Return the next records: about a MiB of them, as far as there are any that this version knows."""
        found: list[Record] = []
        if not os.path.exists(self._path):  # nothing was put there
            return found
        with open(self._path, "rb") as file:
            if self.at == 0:
                magic = file.read(len(_MAGIC))
                if magic != _MAGIC:
                    if _MAGIC.startswith(magic):
                        return found  # the process was killed, or has not got further yet
                    raise IntegrityError(f"{os.path.basename(self._path)} is no spool of a recording", path=self._path)
                self.at = len(_MAGIC)
            begin = self.at
            file.seek(begin)
            while not self._is_damaged and not (found and self.at - begin > _BATCH):
                head = file.read(_HEAD.size)
                if len(head) < _HEAD.size:
                    break
                length, checksum = _HEAD.unpack(head)
                payload = file.read(length)
                if len(payload) < length:
                    break
                if crc32(payload) != checksum:
                    self._is_damaged = True  # nothing behind it can be found
                    break
                self.at += _HEAD.size + length
                record = _record(payload)
                if record is not None:
                    found.append(record)
        return found


def read_spool(path: str | os.PathLike[str]) -> Tape:
    """Return the tape in one spool."""
    return _tape(SpoolReader(path).poll())


class SpoolFolder:
    """Reads the spools of all processes of a run while they grow."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = os.fspath(folder)
        self._readers: dict[str, SpoolReader] = {}

    def records(self) -> Iterator[Record]:
        """Yield what was appended since the last call: of each process in its order, crossings of several processes in
        the order in which they began, as far as it is known yet. Memory holds a few records at a time."""
        names = os.listdir(self._folder) if os.path.isdir(self._folder) else []
        for name in sorted(name for name in names if name.endswith(SPOOL)):
            if name not in self._readers:
                self._readers[name] = SpoolReader(os.path.join(self._folder, name))
        for _, record in heapq.merge(*map(_timed, self._readers.values()), key=itemgetter(0)):
            yield record


def _timed(reader: SpoolReader) -> Iterator[tuple[int, Record]]:
    """Yield the records of a spool, each with the time by which it takes its place among those of other processes."""
    last = sys.maxsize if reader.is_end else 0
    behind: list[Record] = []
    for record in reader.records():
        if isinstance(record, Reads):  # which go with the crossing that follows
            behind.append(record)
            continue
        if isinstance(record, Crossing):
            last = max(last, record.time)
        yield from ((last, each) for each in (*behind, record))
        behind = []
    yield from ((last, each) for each in behind)


def read_spools(folder: str | os.PathLike[str]) -> Tape:
    """Return the tape of a run whose processes left their spools in a folder. Crossings of several processes stand in
    the order of their times."""
    return _tape(SpoolFolder(folder).records())


def write_tape(path: str | os.PathLike[str], tape: Tape) -> None:
    """Write a tape to a file, from which a replay takes it."""
    writer = SpoolWriter(path)
    try:
        waiting = [_framed(["about", tape.about])]
        size = 0
        for frame in _frames(tape):
            waiting.append(frame)
            size += len(frame)
            if size > _CHUNK:
                writer.append(b"".join(waiting))
                waiting, size = [], 0
        writer.append(b"".join(waiting))
    finally:
        writer.close()


def frame_of_crossing(crossing: Crossing) -> bytes:
    """Return the frame of a crossing."""
    return _framed(["crossing", *_fields_of(crossing)])


def frame_of_reads(reads: Reads) -> bytes:
    """Return the frame of reads."""
    texts: dict[str, int] = {}
    number = texts.setdefault
    packed = [
        [number(kind, len(texts)), number(name, len(texts)), number(place, len(texts)), number(lane, len(texts)), value]
        for kind, name, place, lane, value in reads.reads
    ]
    return _framed(["reads", reads.process, list(texts), packed])


def _frames(tape: Tape) -> Iterator[bytes]:
    yield from map(frame_of_reads, tape.reads)
    yield from map(frame_of_crossing, tape.crossings)


def _tape(records: Iterable[Record]) -> Tape:
    tape = Tape()
    for record in records:
        if isinstance(record, Crossing):
            tape.crossings.append(record)
        elif isinstance(record, Reads):
            tape.reads.append(record)
        elif not record.get("process"):
            tape.about.update(record)
    if any(crossing.process for crossing in tape.crossings):
        tape.crossings = in_order(tape.crossings)
    return tape


def _framed(payload: list[Any]) -> bytes:
    packed: bytes
    try:
        packed = _packer.pack(payload)
    except TypeError:  # what no tape can hold
        packed = msgpack.packb(payload, default=type_name, unicode_errors="surrogatepass")
    if len(packed) > _LARGEST:
        raise IntegrityError(f"a call of {len(packed)} bytes is too large for a recording: 4 GiB is the most")
    return _HEAD.pack(len(packed), crc32(packed)) + packed


def _record(payload: bytes) -> Record | None:
    """Return what a frame holds; None for a kind that this version does not know."""
    try:
        kind, *rest = msgpack.unpackb(payload, unicode_errors="surrogatepass", strict_map_key=False)
        if kind == "crossing":
            return Crossing(*rest[: len(_FIELDS)])
        if kind == "reads":
            process, texts, reads = rest[:3]
            return Reads([(texts[a], texts[b], texts[c], texts[d], value) for a, b, c, d, value in reads], process)
        return dict(rest[0]) if kind == "about" else None
    except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
        raise IntegrityError(f"a spool holds a frame that cannot be read ({type(error).__name__})") from error


def _write(file: int, data: bytes) -> None:
    written = os.write(file, data)
    while written < len(data):
        written += os.write(file, memoryview(data)[written:])
