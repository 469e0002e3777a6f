"""Swap two directories in one step, so that a kill at any moment leaves both of them in place."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final

__all__ = ["swap"]

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


def swap(first: Path, second: Path) -> None:
    """Exchange the names of two directories, in one step if the system can do that, else in three.

    Raises OSError, with both directories as they were, if that can be done.
    """
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    places = (_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second))
    if rename is not None and rename(*places, _RENAME_EXCHANGE) == 0:
        return
    between = second.with_name(second.name + ".swapped")
    second.rename(between)
    try:
        first.rename(second)
        try:
            between.rename(first)
        except OSError:
            second.rename(first)
            raise
    except OSError:
        between.rename(second)
        raise
