"""Repair a store with damaged files: read what can be read, repair it, and swap it with the old store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenroom.actors.maintenance.verification.findings import Progress, Verifiable, VerifyReport
from greenroom.storage.engine.salvage import rebuild
from greenroom.storage.errors import StorageError
from greenroom.storage.files.swapping import swap

__all__ = ["SalvageReport", "salvage_store"]


@dataclass(frozen=True, slots=True)
class SalvageReport:
    """The result of a salvage: what was read, what was not, and the repair of the rest. Sizes are bytes."""

    entries: int
    bytes: int
    lost: tuple[str, ...]
    """The ranges of keys that could not be read."""
    unreadable: tuple[str, ...]
    """The table files of which nothing could be read, or which are missing."""
    log_damaged: bool
    """Whether the newest changes before the store was last closed may be missing."""
    original: Path
    """The path of the damaged store now."""
    repair: VerifyReport

    @property
    def ok(self) -> bool:
        """Whether everything could be read, and everything in the new store is whole."""
        return self.repair.ok and not (self.lost or self.unreadable or self.log_damaged)

    def to_dict(self) -> dict[str, Any]:
        """Return every field by name as JSON values."""
        return {
            "ok": self.ok,
            "entries": self.entries,
            "bytes": self.bytes,
            "lost": list(self.lost),
            "unreadable": list(self.unreadable),
            "log_damaged": self.log_damaged,
            "original": str(self.original),
            "repair": self.repair.to_dict(),
        }


def salvage_store(
    open_store: Callable[[Path], AbstractContextManager[Verifiable]], path: Path, on_progress: Progress | None = None
) -> SalvageReport:
    """Salvage the store at `path`; see `Runtime.salvage`. Nothing at `path` changes until the very end."""
    path = Path(os.path.realpath(path))
    part = path.with_name(path.name + ".salvaged")
    copied = None if on_progress is None else (lambda entries, _bytes: on_progress("entries read", entries))
    salvage = rebuild(path, part, copied)
    try:
        with open_store(part) as runtime:
            report = runtime.verify(repair=True, on_progress=on_progress)
        for name in salvage.unreadable:
            report.add("file", name, "nothing of it can be read; it stays with the damaged store")
        if salvage.log_damaged:
            report.add("file", "the log", "it was damaged or is missing: the newest changes may be lost")
        # The copy takes the name that the damaged store will have, then the two are swapped: whatever interrupts this,
        # there is a store at `path`, and no later salvage removes something that it has not made.
        original = _free_name(path)
        try:
            part.rename(original)
            swap(path, original)
        except OSError as error:
            shutil.rmtree(original, ignore_errors=True)
            raise StorageError(f"cannot put the salvaged store at {path}: {error.strerror}") from error
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return SalvageReport(
        entries=salvage.entries,
        bytes=salvage.bytes,
        lost=tuple(map(str, salvage.lost)),
        unreadable=tuple(salvage.unreadable),
        log_damaged=salvage.log_damaged,
        original=original,
        repair=report,
    )


def _free_name(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return candidate
