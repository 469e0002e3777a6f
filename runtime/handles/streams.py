"""Streams that report how far they have been read."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = ["StreamProgress", "Watched"]

StreamProgress = Callable[[int, int | None], object]
"""Called with the bytes done and the total, None if unknown."""


class Watched:
    """A binary stream that reports progress after each read. The total is known if the stream is seekable."""

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
    """Return the bytes from a stream's position to its end, or None if it is not seekable."""
    try:
        here: int = source.tell()
        end: int = source.seek(0, os.SEEK_END)
        source.seek(here)
    except (AttributeError, OSError):
        return None
    return max(0, end - here)
