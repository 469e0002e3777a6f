"""LangChain: its memory, and a table of SQLite with a row of JSON for each message, as its SQL histories have it."""

from __future__ import annotations

import itertools
import json
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from langchain_core.chat_history import BaseChatMessageHistory, InMemoryChatMessageHistory
from langchain_core.messages import BaseMessage, HumanMessage, message_to_dict, messages_from_dict
from measure import Row, size_of

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.langchain import GreenroomChatMessageHistory


class OnSqlite(BaseChatMessageHistory):
    def __init__(self, path: Path, level: str, session: str) -> None:
        super().__init__()
        self.db, self.session = sqlite3.connect(path), session
        self.db.executescript(
            f"pragma journal_mode = wal; pragma synchronous = {level};"
            "create table if not exists messages (id integer primary key autoincrement, session text, message text);"
            "create index if not exists by_session on messages (session, id)"
        )

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        rows = self.db.execute("select message from messages where session = ? order by id", (self.session,))
        return messages_from_dict([json.loads(row[0]) for row in rows])

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        rows = [(self.session, json.dumps(message_to_dict(each))) for each in messages]
        with self.db:
            self.db.executemany("insert into messages (session, message) values (?, ?)", rows)

    def clear(self) -> None:
        with self.db:
            self.db.execute("delete from messages where session = ?", (self.session,))


def rows(folder: Path) -> Iterator[Row]:
    warnings.simplefilter("ignore")
    rt = Runtime.open(folder / "store")
    numbers = itertools.count()
    makers: dict[str, Callable[[str], BaseChatMessageHistory]] = {
        "greenroom": lambda name: GreenroomChatMessageHistory(name, rt),
        "SQLite NORMAL": lambda name: OnSqlite(folder / "normal.db", "normal", name),
        "SQLite FULL": lambda name: OnSqlite(folder / "full.db", "full", name),
        "memory": lambda name: InMemoryChatMessageHistory(),
    }

    def some(count: int) -> list[BaseMessage]:
        return [HumanMessage(f"question {next(numbers)} " + "word " * 20) for _ in range(count)]

    def filled(count: int) -> dict[str, BaseChatMessageHistory]:
        made = {side: make(str(count)) for side, make in makers.items()}
        for each in made.values():
            each.add_messages(some(count))
        return made

    def read(history: BaseChatMessageHistory) -> list[BaseMessage]:
        return history.messages

    yield Row("append 1", {s: lambda h=h: h.add_messages(some(1)) for s, h in filled(1).items()})
    yield Row("append 2", {s: lambda h=h: h.add_messages(some(2)) for s, h in filled(2).items()})
    yield Row("append 100", {s: lambda h=h: h.add_messages(some(100)) for s, h in filled(100).items()})
    yield Row("read 20", {s: lambda h=h: read(h) for s, h in filled(20).items()})
    yield Row("read 1000", {s: lambda h=h: read(h) for s, h in filled(1000).items()})
    rt.close()
    yield _growth(folder, some)


def _growth(folder: Path, some: Callable[[int], list[BaseMessage]]) -> Row:
    ours, theirs = folder / "ours", folder / "theirs"
    theirs.mkdir()
    history = GreenroomChatMessageHistory("s", ours)
    sqlite = OnSqlite(theirs / "db", "normal", "s")
    for _ in range(1000):
        messages = some(1)
        history.add_messages(messages)
        sqlite.add_messages(messages)
    history.close()
    sqlite.db.close()
    return Row("on disk after 1000 turns", sizes={"greenroom": size_of(ours), "SQLite NORMAL": size_of(theirs)})
