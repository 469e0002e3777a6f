"""Tasks of A2A: greenroom beside the SDK's in-memory store, and its SQLite store where SQLAlchemy is installed."""

from __future__ import annotations

import asyncio
import importlib
import itertools
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from a2a.server.context import ServerCallContext
from a2a.server.tasks import InMemoryTaskStore, TaskStore
from a2a.types.a2a_pb2 import ListTasksRequest, Message, Part, Task, TaskState
from measure import Row, size_of

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.a2a import GreenroomTaskStore

TURNS: Final = 1000
TASKS: Final = 200
CONTEXT: Final = ServerCallContext()


def _task(id: str, messages: int) -> Task:
    task = Task(id=id, context_id="c")
    task.status.state = TaskState.TASK_STATE_WORKING
    for n in range(messages):
        task.history.append(_message(n))
    return task


def _message(n: int) -> Message:
    return Message(message_id=str(n), parts=[Part(text="A sentence of a conversation, as people write them. " * 4)])


def _sqlite(path: Path, level: str) -> tuple[TaskStore, Any]:
    """The SDK's store over SQLite, in WAL mode, at a synchronous level."""
    from a2a.server.tasks import DatabaseTaskStore

    alchemy: Any = importlib.import_module("sqlalchemy.ext.asyncio")
    events: Any = importlib.import_module("sqlalchemy.event")
    engine = alchemy.create_async_engine(f"sqlite+aiosqlite:///{path}")

    def connected(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={level}")

    events.listen(engine.sync_engine, "connect", connected)
    return DatabaseTaskStore(engine), engine


def rows(folder: Path) -> Iterator[Row]:
    """Yield the rows: save, get, list, append a message to a task, read tasks of 20 and 1000 messages, growth."""
    with asyncio.Runner() as runner, Runtime.open(folder / "greenroom") as rt:
        stores: dict[str, TaskStore] = {"greenroom": GreenroomTaskStore(rt)}
        engines = []
        if find_spec("sqlalchemy") is not None and find_spec("aiosqlite") is not None:
            for level in ("NORMAL", "FULL"):
                (folder / level).mkdir()
                stores[f"SQLite {level}"], engine = _sqlite(folder / level / "tasks.db", level)
                engines.append(engine)
        stores["memory"] = InMemoryTaskStore()

        def row(name: str, work: Callable[[TaskStore], Any]) -> Row:
            return Row(name, {side: _called(runner, work, store) for side, store in stores.items()})

        for store in stores.values():
            for n in range(TASKS):
                task = _task(f"t{n:04}", 2)
                task.status.timestamp.FromNanoseconds(n * 10**9)
                runner.run(store.save(task, CONTEXT))
            for length in (20, TURNS):
                runner.run(store.save(_task(f"long {length}", length), CONTEXT))
        numbers = itertools.count()
        short = _task("new", 2)

        def saved(store: TaskStore) -> Any:
            short.id = f"new {next(numbers) % 1000}"
            return store.save(short, CONTEXT)

        growing = {id(store): _task("growing", 20) for store in stores.values()}

        def appended(store: TaskStore) -> Any:
            task = growing[id(store)]
            del task.history[20:]
            task.history.append(_message(next(numbers)))
            return store.save(task, CONTEXT)

        yield row("save a task of 2 messages", saved)
        yield row("get a task of 2 messages", lambda store: store.get("t0007", CONTEXT))
        yield row("list 20 of the tasks", lambda store: store.list(ListTasksRequest(page_size=20), CONTEXT))
        yield row("save a task of 20 messages with a new one", appended)
        yield row("get a task of 20 messages", lambda store: store.get("long 20", CONTEXT))
        yield row("get a task of 1000 messages", lambda store: store.get(f"long {TURNS}", CONTEXT))
        for engine in engines:
            runner.run(engine.dispose())
    yield Row("growth on disk over 1000 turns of one task", sizes=_growth(folder))


def _called(runner: asyncio.Runner, work: Callable[[TaskStore], Any], store: TaskStore) -> Callable[[], object]:
    async def awaited() -> object:
        return await work(store)

    return lambda: runner.run(awaited())


def _growth(folder: Path) -> dict[str, int]:
    """Return how large stores have become after saving a task with each of 1000 messages."""
    sizes = {}
    kinds = ["greenroom"] + (["SQLite NORMAL"] if find_spec("sqlalchemy") and find_spec("aiosqlite") else [])
    for side in kinds:
        place = folder / f"growth {side}"
        place.mkdir()

        async def grow(store: TaskStore) -> None:
            task = _task("t", 0)
            for n in range(TURNS):
                task.history.append(_message(n))
                await store.save(task, CONTEXT)

        if side == "greenroom":
            store = GreenroomTaskStore(place / "store")
            asyncio.run(grow(store))
            store.close()
        else:
            database, _ = _sqlite(place / "tasks.db", "NORMAL")
            asyncio.run(grow(database))
        sizes[side] = size_of(place)
    return sizes
