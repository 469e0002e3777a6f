"""LangGraph: SqliteSaver and SqliteStore. A turn is two checkpoints of a conversation of 20 messages with their
writes, a step a task of a run that waits for each write (`durability="sync"`)."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.func import entrypoint, task
from langgraph.store.sqlite import SqliteStore
from measure import Many

from peers import side as s
from peers.by_hand import SQLITE_LEVELS

REQUIRES: Final = "langgraph langgraph-checkpoint-sqlite"
Saver = BaseCheckpointSaver[Any]


def _connection(path: Path, level: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={level}")
    return connection


def sqlite_saver(path: Path, level: str) -> SqliteSaver:
    saver = SqliteSaver(_connection(path, level))
    saver.setup()  # sets the journal, not the level
    return saver


def sqlite_store(path: Path, level: str) -> SqliteStore:
    store = SqliteStore(_connection(path, level))
    store.setup()
    return store


class Conversation:
    """A thread whose list of messages grows, as a graph puts it: two writes and two checkpoints for each turn."""

    def __init__(self, saver: Saver, thread: str = "1") -> None:
        self.saver, self.config = saver, {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
        self.thread, self.version = self.config, None
        self.step = itertools.count()

    def put(self, messages: list[Any]) -> None:
        self.version = self.saver.get_next_version(self.version, None)
        checkpoint: Any = {
            **empty_checkpoint(),
            "id": str(uuid6()),
            "channel_values": {"messages": messages, "step": next(self.step)},
            "channel_versions": {"messages": self.version, "step": self.version},
        }
        self.config = self.saver.put(  # type: ignore[assignment]
            self.config, checkpoint, {"source": "loop"}, checkpoint["channel_versions"]
        )

    def turn(self, messages: list[Any]) -> None:
        """Put the last two of these messages, each as a write and in a checkpoint."""
        for end in (len(messages) - 1, len(messages)):
            if end > 1:
                self.saver.put_writes(self.config, [("messages", messages[end - 1])], f"task {end}")
            self.put(messages[:end])


def sides(folder: Path, level: s.Level) -> s.Side:
    folder.mkdir()
    saver = sqlite_saver(folder / "saver.db", SQLITE_LEVELS[level])
    store = sqlite_store(folder / "store.db", SQLITE_LEVELS[level])
    messages = _messages(s.TURNS // 2)
    talks = {count: Conversation(saver, str(count)) for count in (20, s.TURNS)}
    for count, talk in talks.items():
        talk.put(messages[:count])
    talk = Conversation(saver, "growing")
    talk.put(messages[:18])
    store.put(("session",), "k", s.VALUE)

    def store_text() -> None:
        name, content = s.artifact()
        store.put(("session",), name, {"text": content.decode()})

    return s.Side(
        "LangGraph",
        {
            s.APPEND: lambda: talk.turn(messages[:20]),
            s.READ_20: lambda: saver.get_tuple(talks[20].thread),  # type: ignore[arg-type]
            s.READ_1000: lambda: saver.get_tuple(talks[s.TURNS].thread),  # type: ignore[arg-type]
            s.SET: lambda: store.put(("session",), "k", s.VALUE),
            s.GET: lambda: store.get(("session",), "k"),
            s.STORE: store_text,
            s.STEP: _stepping(saver),
        },
        lambda: s.grown(folder / "growth", _write),
        lambda: (saver.conn.close(), store.conn.close()),
    )


def _messages(turns: int) -> list[Any]:
    """Return the messages of so many turns."""
    kinds = (HumanMessage, AIMessage)
    return [
        kind(text, id=f"{number}-{kind.__name__}")
        for number in range(turns)
        for kind, text in zip(kinds, s.turn(number), strict=True)
    ]


def _stepping(saver: SqliteSaver) -> Many:
    threads = itertools.count()

    @task
    def step(number: int) -> dict[str, int]:
        return {"n": number}

    @entrypoint(checkpointer=saver)
    def flow(times: int) -> int:
        for number in range(times):
            step(number).result()
        return times

    def run(times: int) -> None:
        flow.invoke(times, {"configurable": {"thread_id": f"steps {next(threads)}"}}, durability="sync")

    return Many(run)


def _write(folder: Path) -> None:
    saver, messages = sqlite_saver(folder / "saver.db", "NORMAL"), _messages(s.TURNS)
    with closing(saver.conn):
        talk = Conversation(saver)
        for end in range(2, len(messages) + 1, 2):
            talk.turn(messages[:end])
