"""LangGraph: GreenroomSaver and GreenroomStore beside LangGraph's SQLite and in-memory implementations."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from measure import Row, size_of
from peers.langgraph import Conversation, Saver, sqlite_saver, sqlite_store

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.langgraph import GreenroomSaver, GreenroomStore

TURNS = 1000
SQLITE = {"SQLite NORMAL": "NORMAL", "SQLite FULL": "FULL"}


def _messages(count: int) -> list[Any]:
    """Return messages of 200 to 400 characters, the same ones every time."""
    words = random.Random(1)
    return [
        (HumanMessage if number % 2 == 0 else AIMessage)(
            "".join(words.choices("abcdefghij klmno", k=words.randint(200, 400))), id=str(number)
        )
        for number in range(count)
    ]


def _savers(folder: Path) -> dict[str, Saver]:
    folder.mkdir(parents=True)
    return {
        "greenroom": GreenroomSaver(Runtime.open(folder / "greenroom")),
        **{name: sqlite_saver(folder / f"{level}.db", level) for name, level in SQLITE.items()},
        "memory": InMemorySaver(),
    }


def _stores(folder: Path) -> dict[str, BaseStore]:
    return {
        "greenroom": GreenroomStore(Runtime.open(folder / "items")),
        **{name: sqlite_store(folder / f"items-{level}.db", level) for name, level in SQLITE.items()},
        "memory": InMemoryStore(),
    }


def rows(folder: Path) -> Iterator[Row]:
    """Yield the rows of the saver and of the store."""
    messages = _messages(2 * TURNS)
    for length in (20, 200):
        savers = _savers(folder / f"put {length}")
        talks = {name: Conversation(saver) for name, saver in savers.items()}
        for talk in talks.values():
            for end in range(2, length + 1, 2):
                talk.turn(messages[:end])
        yield Row(f"put a checkpoint of {length} messages", {
            name: _putting(talk, messages[:length]) for name, talk in talks.items()
        })  # fmt: skip
        yield Row(f"put the writes of a task, {length} messages", {
            name: _writing(talk, messages[0]) for name, talk in talks.items()
        })  # fmt: skip
        yield Row(f"get the newest checkpoint of {length} messages", {
            name: _getting(talk) for name, talk in talks.items()
        })  # fmt: skip
        if length == 20:
            yield Row("list the newest 20 checkpoints of 20 messages", {
                name: _listing(talk) for name, talk in talks.items()
            })  # fmt: skip
    yield from _store_rows(folder)
    yield Row(f"a conversation of {TURNS} turns, on disk", sizes=_growth(folder / "growth", messages))


def _putting(talk: Conversation, messages: list[Any]) -> Callable[[], object]:
    """Return what puts the list with another last message each time, as a turn does."""
    numbers = itertools.count()
    return lambda: talk.put([*messages[:-1], HumanMessage(f"{next(numbers)} " * 40, id="last")])


def _writing(talk: Conversation, message: Any) -> Callable[[], object]:
    numbers = itertools.count()
    return lambda: talk.saver.put_writes(
        talk.config if next(numbers) % 5 else _next(talk), [("messages", message)], f"task {next(numbers)}"
    )


def _next(talk: Conversation) -> Any:
    """Return a configuration of the next checkpoint: a checkpoint has the writes of a few tasks."""
    configurable = {**talk.config["configurable"], "checkpoint_id": str(uuid6())}
    talk.config = {"configurable": configurable}
    return talk.config


def _getting(talk: Conversation) -> Callable[[], object]:
    return lambda: talk.saver.get_tuple(talk.thread)  # type: ignore[arg-type]


def _listing(talk: Conversation) -> Callable[[], object]:
    return lambda: [*talk.saver.list(talk.thread, limit=20)]  # type: ignore[arg-type]


def _growth(folder: Path, messages: list[Any]) -> dict[str, int]:
    """Return the bytes of a conversation on disk, after closing."""
    folder.mkdir()
    sizes = {}
    with GreenroomSaver(folder / "greenroom") as ours:
        _converse(ours, messages)
    sizes["greenroom"] = size_of(folder / "greenroom")
    (folder / "sqlite").mkdir()
    saver = sqlite_saver(folder / "sqlite" / "x.db", "NORMAL")
    with closing(saver.conn):
        _converse(saver, messages)
    sizes["SQLite"] = size_of(folder / "sqlite")
    return sizes


def _converse(saver: Saver, messages: list[Any]) -> None:
    talk = Conversation(saver)
    for end in range(2, len(messages) + 1, 2):
        talk.turn(messages[:end])


def _store_rows(folder: Path) -> Iterator[Row]:
    stores = _stores(folder)
    value = {"text": "olives and bread " * 10, "n": 1, "tags": ["a", "b"]}
    for store in stores.values():
        for number in range(1000):
            store.put(("users", str(number % 10)), f"{number:04}", {**value, "n": number})
    numbers = itertools.count()
    yield Row("put an item", {
        name: lambda each=each: each.put(("new",), f"{next(numbers)}", value) for name, each in stores.items()
    })  # fmt: skip
    yield Row("get an item of 1000", {
        name: lambda each=each: each.get(("users", "3"), "0003") for name, each in stores.items()
    })  # fmt: skip
    yield Row("read 20 items of a namespace", {
        name: lambda each=each: each.search(("users", "3"), limit=20) for name, each in stores.items()
    })  # fmt: skip
    yield Row("read 1000 items", {
        name: lambda each=each: each.search(("users",), limit=1000) for name, each in stores.items()
    })  # fmt: skip
    yield Row("filter 1000 items for 10", {
        name: lambda each=each: each.search(("users",), filter={"n": {"$gte": 990}}) for name, each in stores.items()
    })  # fmt: skip
