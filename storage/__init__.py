"""Bytes on disk: the RocksDB engine, the journal, the catalog of sessions, content and artifacts.

The lowest floor: it knows nothing of actors, hosts or scripts. docs/format.md is its specification.
"""

from __future__ import annotations

from greenroom.storage.artifacts.model import Artifact, ArtifactId, ArtifactInfo
from greenroom.storage.artifacts.records import Artifacts
from greenroom.storage.catalog.catalog import Catalog
from greenroom.storage.catalog.model import SessionInfo, SessionQuery, SessionRow, SessionStatus
from greenroom.storage.common.page import Page
from greenroom.storage.content.contents import Contents
from greenroom.storage.engine.engine import CF, Durability, Engine, EngineOptions
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.model import Event

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
