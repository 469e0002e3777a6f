"""Both implementations of the contract, as Chainlit calls them outside of a browser's session."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

os.environ.setdefault("CHAINLIT_APP_ROOT", tempfile.mkdtemp(prefix="chainlit-"))  # where Chainlit writes its files

from chainlit.context import ChainlitContext, context_var
from chainlit.data.base import BaseDataLayer
from chainlit.data.storage_clients.base import BaseStorageClient
from chainlit.session import HTTPSession

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.chainlit import GreenroomDataLayer

from .own_layer import sql_layer


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
    layer = sql_layer(tmp_path / "db", Files()) if request.param == "SQLite" else GreenroomDataLayer(rt)
    yield layer
    run(layer.close())  # before the loop is, or the threads of its connections end with an error
