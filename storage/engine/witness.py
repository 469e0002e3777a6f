"""Note outside RocksDB's files which change a store has acknowledged last, so that an opening after a kill can tell
whether the log has lost its end.

The note is a page of a file that is mapped into memory: writing it costs no call, and it outlives the process, as the
log does. A closed store has no note: its tables have everything.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from pathlib import Path
from typing import Final

__all__ = ["WITNESS", "Witness", "acknowledged"]

WITNESS: Final = "WITNESS"
_MAGIC: Final = b"greenroom witness 1\n"
_PAGE: Final = 4096
_NUMBERS: Final = struct.Struct("<QQ")
_PLACE: Final = 128
_FULL: Final = (1 << 64) - 1
_FILE_SYSTEMS: Final = frozenset(("ext2", "ext3", "ext4", "xfs", "tmpfs", "overlay"))
"""File systems on which a page with allocated space can always be written. On others a full disk would make the system
kill the process."""


class Witness:
    """The note of a store that is open for writing. Without effect if it cannot be made."""

    def __init__(self, path: Path) -> None:
        self._file = path / WITNESS
        self._page: mmap.mmap | bytearray = bytearray(_PAGE)

    def begin(self, sequence: int) -> None:
        """Begin a new note at the change with this number, and replace an earlier opening's note."""
        path = self._file.parent
        head = _MAGIC + _boot().encode()
        note = head.ljust(_PLACE, b"\x00") + _NUMBERS.pack(sequence, sequence ^ _FULL)
        new = path / f"{WITNESS}.tmp"
        with contextlib.suppress(OSError, ValueError):
            if _boot() and _file_system(path) in _FILE_SYSTEMS:
                with new.open("wb") as file:
                    file.write(note.ljust(_PAGE, b"\x00"))
                with new.open("r+b") as file:
                    self._page = mmap.mmap(file.fileno(), _PAGE)
                new.rename(self._file)
                return
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        self.remove()

    def note(self, sequence: int) -> None:
        """Note that everything up to this change is in the log. Called before the change is acknowledged."""
        _NUMBERS.pack_into(self._page, _PLACE, sequence, sequence ^ _FULL)

    def remove(self) -> None:
        """Remove the note: everything is in the tables."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)


def acknowledged(path: Path) -> int:
    """Return the number of the last change that the store acknowledged before it was killed; 0 if nothing tells.

    After a crash of the system the log may lack changes that were not on disk yet, so a note from before that counts as
    none.
    """
    try:
        note = (path / WITNESS).read_bytes()
    except OSError:
        return 0
    if len(note) != _PAGE or note[:_PLACE].rstrip(b"\x00") != _MAGIC + _boot().encode() or not _boot():
        return 0
    sequence, check = _NUMBERS.unpack_from(note, _PLACE)
    return sequence if sequence ^ _FULL == check else 0


def _boot() -> str:
    """Return the id of the current run of the system."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _file_system(path: Path) -> str:
    number = path.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, kind = line.partition(" - ")
        if fields.split()[2] == device:
            return kind.split()[0]
    return ""
