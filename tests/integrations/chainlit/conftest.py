"""Both implementations of the contract, as Chainlit calls them outside of a browser's session."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final
from unittest.mock import Mock

import pytest

os.environ.setdefault("CHAINLIT_APP_ROOT", tempfile.mkdtemp(prefix="chainlit-"))  # where Chainlit writes its files

from chainlit.context import ChainlitContext, context_var
from chainlit.data.base import BaseDataLayer
from chainlit.data.sql_alchemy import SQLAlchemyDataLayer
from chainlit.data.storage_clients.base import BaseStorageClient
from chainlit.session import HTTPSession
from sqlalchemy import create_engine, text

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.chainlit import GreenroomDataLayer

TABLES: Final = {
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


class Files(BaseStorageClient):
    """Where SQLAlchemyDataLayer puts the contents of elements."""

    def __init__(self) -> None:
        self.files: dict[str, Any] = {}

    async def upload_file(self, object_key: str, data: bytes | str, *more: Any, **options: Any) -> dict[str, Any]:
        self.files[object_key] = data
        return {"object_key": object_key, "url": f"https://files.invalid/{object_key}"}

    async def delete_file(self, object_key: str) -> bool:
        return self.files.pop(object_key, None) is not None

    async def get_read_url(self, object_key: str) -> str:
        return f"https://files.invalid/{object_key}"

    async def close(self) -> None: ...


def sql_layer(path: Path, storage: BaseStorageClient | None = None) -> SQLAlchemyDataLayer:
    """Return Chainlit's own layer over a database with its tables."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        for name, columns in TABLES.items():
            connection.execute(text(f"CREATE TABLE {name} ({columns})"))
    engine.dispose()
    return SQLAlchemyDataLayer(f"sqlite+aiosqlite:///{path}", storage_provider=storage or Files())


async def outside_of_a_session(work: Coroutine[Any, Any, Any]) -> Any:
    """Await work as a request does that no browser's session stands behind: Chainlit queues nothing then."""
    context_var.set(ChainlitContext(Mock(spec=HTTPSession), emitter=Mock()))
    return await work


Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield lambda work: runner.run(outside_of_a_session(work))


@pytest.fixture(params=["SQLite", "greenroom"])
def layer(request: pytest.FixtureRequest, rt: Runtime, run: Run, tmp_path: Path) -> Iterator[BaseDataLayer]:
    layer = sql_layer(tmp_path / "db") if request.param == "SQLite" else GreenroomDataLayer(rt)
    yield layer
    run(layer.close())  # before the loop is, or the threads of its connections end with an error
