"""Bytes on disk: the RocksDB engine, the journal, the catalog of sessions, content and artifacts.

The lowest floor: it knows nothing of actors, hosts or scripts. docs/format.md is its specification.
"""

from __future__ import annotations

from .artifacts import Artifact, ArtifactId, ArtifactInfo, Artifacts
from .catalog import Catalog, Page, SessionInfo, SessionQuery, SessionRow, SessionStatus
from .content import Contents
from .engine import CF, Durability, Engine, EngineOptions
from .journal import Event, Journal

__all__ = [
    "CF",
    "Artifact",
    "ArtifactId",
    "ArtifactInfo",
    "Artifacts",
    "Catalog",
    "Contents",
    "Durability",
    "Engine",
    "EngineOptions",
    "Event",
    "Journal",
    "Page",
    "SessionInfo",
    "SessionQuery",
    "SessionRow",
    "SessionStatus",
]
