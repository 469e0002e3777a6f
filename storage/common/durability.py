"""The failures that an acknowledged write survives."""

from __future__ import annotations

import enum

__all__ = ["Durability"]


class Durability(enum.StrEnum):
    """The failures that an acknowledged write survives."""

    MEMORY = "memory"
    """None: no log is written. Data reaches the disk when a buffer fills up and on close."""
    WAL = "wal"
    """The death of the process (`kill -9`)."""
    FSYNC = "fsync"
    """The death of the machine. Concurrent writers share one fsync."""
