"""Temporary directories that do not outlive a process which was killed for long."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["TemporaryFolder"]

_MARK: Final = "in-use"


class TemporaryFolder:
    """A directory for this process alone. Whoever makes one removes those with the same prefix whose process is gone:
    it kept a file in them locked."""

    def __init__(self, prefix: str) -> None:
        """Make the directory. Raises OSError."""
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        made = self.path / f"{_MARK}.new"
        self._lock = os.open(made, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(OSError):  # a file system without locks: it is left if the process is killed
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            made.rename(self.path / _MARK)  # under this name it is locked, or of a process that is gone
        _remove_abandoned(self.path.parent, prefix)

    def remove(self) -> None:
        """Remove the directory with all that is in it. Idempotent."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _remove_abandoned(within: Path, prefix: str) -> None:
    with contextlib.suppress(OSError):
        for entry in os.scandir(within):
            if entry.name.startswith(prefix):
                with contextlib.suppress(OSError):
                    _remove_if_abandoned(Path(entry.path))


def _remove_if_abandoned(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return
    lock = os.open(folder / _MARK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
