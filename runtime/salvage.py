"""Repairing a store whose files are damaged: read what can be read, repair it, and put it in the place of the old."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenroom.storage.errors import StorageError
from greenroom.storage.salvage import rebuild

from .findings import Progress, VerifyReport

if TYPE_CHECKING:
    from .runtime import Runtime

__all__ = ["SalvageReport", "salvage_store"]


@dataclass(frozen=True, slots=True)
class SalvageReport:
    """What was read, what was not, and what repair made of it. Sizes are bytes."""

    entries: int
    bytes: int
    lost: tuple[str, ...]
    """The ranges of keys that could not be read."""
    log_damaged: bool
    """The newest changes before the store was last closed may be missing."""
    original: Path
    """Where the damaged store is now."""
    repair: VerifyReport

    @property
    def ok(self) -> bool:
        """Whether everything in the new store is whole."""
        return self.repair.ok

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "ok": self.ok,
            "entries": self.entries,
            "bytes": self.bytes,
            "lost": list(self.lost),
            "log_damaged": self.log_damaged,
            "original": str(self.original),
            "repair": self.repair.to_dict(),
        }


def salvage_store(
    open_store: Callable[[Path], Runtime], path: Path, on_progress: Progress | None = None
) -> SalvageReport:
    """Salvage the store at `path`; see `Runtime.salvage`. Until the very end `path` is not touched."""
    path = path.resolve()
    part = path.with_name(path.name + ".salvaged")
    copied = None if on_progress is None else (lambda entries, _bytes: on_progress("entries read", entries))
    salvage = rebuild(path, part, copied)
    try:
        with open_store(part) as runtime:
            report = runtime.verify(repair=True, on_progress=on_progress)
        original = _free_name(path)
        try:
            path.rename(original)
            part.rename(path)
        except OSError as error:
            if not path.exists():
                with contextlib.suppress(OSError):
                    original.rename(path)
            raise StorageError(f"cannot put the salvaged store at {path}: {error.strerror}") from error
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return SalvageReport(
        entries=salvage.entries,
        bytes=salvage.bytes,
        lost=tuple(map(str, salvage.lost)),
        log_damaged=salvage.log_damaged,
        original=original,
        repair=report,
    )


def _free_name(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return candidate
