"""The folder of a run beside the store: where its processes put their spools until these are in the store."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from greenroom.runtime.core import RECORDINGS
from greenroom.runtime.recording.tape.spool import END, SPOOL, SpoolReader

__all__ = ["Run", "RunFolder", "folders_in"]

_RUN: Final = "run.json"
_LOCK: Final = "recorder"


@dataclass(frozen=True, slots=True)
class Run:
    """What a run becomes in the store. `session` is the id of the session that takes it, None as long as there is none:
    then `name`, `tags` and `key` are what it is made with."""

    session: str | None = None
    name: str | None = None
    tags: list[str] = field(default_factory=list)
    key: str | None = None
    number: int | None = None
    """The event with which the recording in the session began, of a fork."""
    about: dict[str, Any] = field(default_factory=dict)
    """What is added to what the program says of itself when it starts."""
    ended: dict[str, Any] = field(default_factory=dict)
    """The same, when it has ended."""


class RunFolder:
    """The folder of a run. Its recorder holds it as long as it lives, so that another process knows whether the run
    goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1

    @classmethod
    def make(cls, data: Path, run: Run) -> RunFolder:
        """Make the folder of a new run beside the store in `data`, and hold it. Raises OSError."""
        made = cls(data / RECORDINGS / uuid4().hex)
        made.path.mkdir(parents=True)
        try:
            made.hold()
            made.write(run)
        except OSError:
            made.remove()
            raise
        return made

    def read(self) -> Run | None:
        """Return what the run becomes; None if nobody got so far as to say it."""
        try:
            return Run(**json.loads((self.path / _RUN).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, run: Run) -> None:
        """Say what the run becomes. Raises OSError."""
        new = self.path / f"{_RUN}.new"
        new.write_text(json.dumps(asdict(run)), "utf-8")
        os.replace(new, self.path / _RUN)

    def hold(self) -> bool:
        """Hold the folder. Returns False if another process does."""
        try:
            if self._lock < 0:
                self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Hold the folder no more."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()

    @property
    def has_ended(self) -> bool:
        """Whether the recorder has said how the program ended."""
        with suppress(OSError):
            return bool(SpoolReader(self.path / END).poll())
        return False

    @property
    def is_running(self) -> bool:
        """Whether a process of the run still runs."""
        for path in self.path.glob(f"*{SPOOL}"):
            pid = next((each.get("pid") for each in SpoolReader(path).poll() if isinstance(each, dict)), None)
            if isinstance(pid, int) and _is_alive(pid):
                return True
        return False

    @property
    def size(self) -> int:
        """How many bytes the spools have."""
        return sum(path.stat().st_size for path in self.path.glob(f"*{SPOOL}"))


def folders_in(data: Path) -> Iterator[RunFolder]:
    """Yield the folders of runs beside a store: of those that go on, and of those that are not in the store yet."""
    root = data / RECORDINGS
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if path.is_dir():  # besides, there are the spools of blocks
            yield RunFolder(path)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # a number that is somebody else's is that of another process
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state != "Z"
