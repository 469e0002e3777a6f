"""diskcache: a Cache, whose larger values are files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from diskcache import Cache

from peers import side as s

REQUIRES: Final = "diskcache"


def sides(folder: Path, level: s.Level) -> s.Side:
    cache = Cache(str(folder), sqlite_synchronous={"process": 1, "machine": 2}[level])
    cache["k"] = s.VALUE
    return s.Side(
        "diskcache",
        {
            s.SET: lambda: cache.set("k", s.VALUE),
            s.GET: lambda: cache["k"],
            s.STORE: lambda: cache.set(*s.artifact()),
        },
        close=cache.close,
    )
