"""Chainlit's own layer over a database with its tables and indexes; the benchmarks use it too."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from chainlit.data.sql_alchemy import SQLAlchemyDataLayer
from chainlit.data.storage_clients.base import BaseStorageClient
from sqlalchemy import create_engine, text

__all__ = ["sql_layer"]

_TABLES: Final = {
    "users": "id TEXT PRIMARY KEY, identifier TEXT UNIQUE, metadata TEXT, createdAt TEXT",
    "threads": "id TEXT PRIMARY KEY, createdAt TEXT, name TEXT, userId TEXT, userIdentifier TEXT, tags TEXT, "
    "metadata TEXT",
    "steps": "id TEXT PRIMARY KEY, name TEXT, type TEXT, threadId TEXT, parentId TEXT, streaming BOOLEAN, "
    "waitForAnswer BOOLEAN, isError BOOLEAN, metadata TEXT, tags TEXT, input TEXT, output TEXT, createdAt TEXT, "
    '"start" TEXT, "end" TEXT, generation TEXT, showInput TEXT, language TEXT',
    "elements": "id TEXT PRIMARY KEY, threadId TEXT, type TEXT, url TEXT, chainlitKey TEXT, name TEXT, display TEXT, "
    "objectKey TEXT, size TEXT, page INT, language TEXT, forId TEXT, mime TEXT, props TEXT DEFAULT '{}'",
    "feedbacks": "id TEXT PRIMARY KEY, forId TEXT, threadId TEXT, value INT, comment TEXT",
}
_INDEXES: Final = (
    'steps ("threadId", "createdAt")',
    'threads ("userId")',
    'elements ("threadId")',
    'feedbacks ("forId")',
)


def sql_layer(path: Path, storage: BaseStorageClient | None = None) -> SQLAlchemyDataLayer:
    """Return Chainlit's own layer over a new database; `storage` takes the contents of elements."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        for name, columns in _TABLES.items():
            connection.execute(text(f"CREATE TABLE {name} ({columns})"))
        for number, index in enumerate(_INDEXES):
            connection.execute(text(f"CREATE INDEX i{number} ON {index}"))
    engine.dispose()
    return SQLAlchemyDataLayer(f"sqlite+aiosqlite:///{path}", storage_provider=storage)
