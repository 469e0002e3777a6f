"""Where the full-text index of a store is: for who asks whether there is one, and needs nothing of SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["index_path"]

_NAME: Final = "search.sqlite"


def index_path(store: Path) -> Path:
    """Return where the index of a store is."""
    return store / _NAME
