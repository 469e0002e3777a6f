"""Decides which files scripts and tools may use: none, those in granted directories, or all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final

from greenroom.storage.errors import AccessDenied, ValidationError
from greenroom.storage.files.regular_file import open_regular

__all__ = ["FILE_MODES", "Files"]

FILE_MODES: Final = {
    "r": os.O_RDONLY,
    "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "r+": os.O_RDWR,
    "w+": os.O_RDWR | os.O_CREAT | os.O_TRUNC,
    "a+": os.O_RDWR | os.O_CREAT | os.O_APPEND,
}


class Files:
    """Allows paths below `directories`, or all paths with None.

    Links are resolved first, so they cannot lead outside. A file with several names (hard links) is refused: another of
    its names may be outside. Errors use `whose` to name who got the directories.
    """

    def __init__(self, directories: Iterable[Path] | None, whose: str) -> None:
        self._all = directories is None
        self._roots = [Path(os.path.realpath(each)) for each in directories or ()]
        self._whose = whose

    @property
    def granted(self) -> bool:
        """Whether any path is allowed."""
        return self._all or bool(self._roots)

    def path(self, given: Any) -> Path:
        """Return the real path behind a name. Raises AccessDenied or ValidationError."""
        if not isinstance(given, str) or not given or "\0" in given:
            raise ValidationError("path: the path of a file is needed", field="path")
        real = Path(os.path.realpath(given))
        if not self._all and not any(real.is_relative_to(root) for root in self._roots):
            raise AccessDenied(f"{given[:200]!r} is outside the directories granted to {self._whose}")
        if not self._all and _has_other_names(real):
            raise AccessDenied(
                f"{given[:200]!r} has several names (hard links), and one may be outside the directories granted to"
                f" {self._whose}: use a copy of it"
            )
        return real

    def open_for_reading(self, path: Path) -> BinaryIO:
        """Open a file for reading. Raises StorageError."""
        return self.open(path, "r")

    def open(self, path: Path, mode: str) -> BinaryIO:
        """Open a regular file, but nothing that could block, such as a pipe. Raises StorageError."""
        return open_regular(path, f"cannot open {path.name}", FILE_MODES[mode], follow=False)


def _has_other_names(path: Path) -> bool:
    try:
        facts = path.lstat()
    except (OSError, ValueError):  # there is no such file yet, or it cannot be looked at: opening it says so
        return False
    return facts.st_nlink > 1 and not stat.S_ISDIR(facts.st_mode)
