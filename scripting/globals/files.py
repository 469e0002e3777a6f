"""The files that a script may use: none, those in granted directories, or all (profile trusted)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from greenroom.runtime import AccessDenied
from greenroom.runtime.scripts import files

__all__ = ["Files"]


class Files(files.Files):
    """The files of one run, by its profile."""

    def __init__(self, profile: str, directories: Sequence[Path] = ()) -> None:
        super().__init__({"files": directories, "trusted": None}.get(profile, ()), "this script")
        self._none = profile not in ("files", "trusted")

    @property
    def granted(self) -> bool:
        return not self._none

    def path(self, given: Any) -> Path:
        if self._none:
            raise AccessDenied("this script has no access to files: run it with profile 'files' or 'trusted'")
        return super().path(given)
