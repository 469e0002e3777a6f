"""What the processes of a replay share: each recorded crossing answers one of them."""

from __future__ import annotations

import os

from greenroom.runtime.recording.tape.model import Crossing

__all__ = ["Claims"]


class Claims:
    """Marks in the folder of a run, one for each crossing that has answered."""

    def __init__(self, folder: str) -> None:
        self._folder = os.path.join(folder, "claims")
        os.makedirs(self._folder, exist_ok=True)

    def take(self, crossing: Crossing) -> bool:
        """Take a crossing. Returns False if another process has it."""
        try:
            os.close(os.open(self._path(crossing), os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return False
        return True

    def has(self, crossing: Crossing) -> bool:
        """Return whether a process has taken a crossing."""
        return os.path.exists(self._path(crossing))

    def _path(self, crossing: Crossing) -> str:
        return os.path.join(self._folder, f"{crossing.process}-{crossing.number}")
