"""LlamaIndex: its own stores, in memory and in SQLite (through SQLAlchemy and aiosqlite, asynchronous)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.storage.chat_store import SimpleChatStore
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore
from measure import Row, size_of
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.llama_index import GreenroomAsyncChatStore, GreenroomChatStore

NUMBERS = itertools.count()


def sql(path: Path, level: str) -> SQLAlchemyChatStore:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")

    @event.listens_for(engine.sync_engine, "connect")
    def _(connection: Any, _record: Any) -> None:
        connection.execute("pragma journal_mode = wal")
        connection.execute(f"pragma synchronous = {level}")

    return SQLAlchemyChatStore("messages", async_engine=engine)


def some(count: int) -> list[ChatMessage]:
    return [ChatMessage(f"question {next(NUMBERS)} " + "word " * 20, role="user") for _ in range(count)]


def rows(folder: Path) -> Iterator[Row]:
    rt = Runtime.open(folder / "store")
    ours, memory = GreenroomChatStore(rt), SimpleChatStore()
    both: dict[str, Any] = {"greenroom": ours, "memory": memory}
    for store in both.values():
        for key, count in ("1", 1), ("20", 20), ("1000", 1000):
            store.set_messages(key, some(count))
    yield Row("add a message", {n: lambda s=s: s.add_message("1", some(1)[0]) for n, s in both.items()})
    yield Row("get 20", {n: lambda s=s: s.get_messages("20") for n, s in both.items()})
    yield Row("get 1000", {n: lambda s=s: s.get_messages("1000") for n, s in both.items()})

    loop = asyncio.new_event_loop()
    run = loop.run_until_complete
    queues: dict[str, AsyncDBChatStore] = {
        "greenroom": GreenroomAsyncChatStore(rt),
        "SQLite NORMAL": sql(folder / "normal.db", "normal"),
        "SQLite FULL": sql(folder / "full.db", "full"),
    }
    for queue in queues.values():
        for key, count in ("q1", 1), ("q20", 20), ("q1000", 1000):
            run(queue.add_messages(key, some(count)))

    def row(name: str, do: Callable[[AsyncDBChatStore], Coroutine[Any, Any, Any]]) -> Row:
        return Row(f"{name} (async)", {n: lambda q=q: run(do(q)) for n, q in queues.items()})

    yield row("add a message", lambda queue: queue.add_message("q1", some(1)[0]))
    yield row("add 10 messages", lambda queue: queue.add_messages("q1", some(10)))
    yield row("get 20", lambda queue: queue.get_messages("q20"))
    yield row("get 1000", lambda queue: queue.get_messages("q1000"))
    rt.close()
    yield _growth(folder, run)
    loop.close()


def _growth(folder: Path, run: Callable[..., Any]) -> Row:
    ours, theirs = folder / "ours", folder / "theirs"
    theirs.mkdir()
    store, queue = GreenroomChatStore(ours), sql(theirs / "db", "normal")
    for _ in range(1000):
        [message] = some(1)
        store.add_message("s", message)
        run(queue.add_message("s", message))
    store.close()
    assert queue._async_engine is not None
    run(queue._async_engine.dispose())  # which empties its write-ahead log
    return Row("on disk after 1000 turns", sizes={"greenroom": size_of(ours), "SQLite NORMAL": size_of(theirs)})
