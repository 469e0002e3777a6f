"""Streams that tell how far they have been read."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = ["StreamProgress", "Watched"]

StreamProgress = Callable[[int, int | None], object]
"""Called with the bytes that are done and the bytes there are, None where that is not known."""


class Watched:
    """A binary stream that reports after each read. Its length is known where it can be sought in."""

    def __init__(self, source: Any, on_progress: StreamProgress) -> None:
        self._source = source
        self._on_progress = on_progress
        self._done = 0
        self._total = _length(source)

    def read(self, size: int = -1, /) -> bytes:
        part: bytes = self._source.read(size)
        if part:
            self._done += len(part)
            self._on_progress(self._done, self._total)
        return part


def _length(source: Any) -> int | None:
    """Return bytes from where a stream stands to its end."""
    try:
        here: int = source.tell()
        end: int = source.seek(0, os.SEEK_END)
        source.seek(here)
    except (AttributeError, OSError):
        return None
    return max(0, end - here)
