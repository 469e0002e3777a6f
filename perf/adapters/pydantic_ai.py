"""Pydantic AI, which has no store of its own: a file of its JSON, and a table of SQLite with a row for each message."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from measure import Row, size_of
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    UserPromptPart,
)

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.pydantic_ai import GreenroomMessageHistory

NUMBERS = itertools.count()


class OnSqlite:
    def __init__(self, path: Path, level: str, name: str) -> None:
        self.db, self.name = sqlite3.connect(path), name
        self.db.executescript(
            f"pragma journal_mode = wal; pragma synchronous = {level};"
            "create table if not exists messages (id integer primary key, name text, message text);"
            "create index if not exists by_name on messages (name, id)"
        )

    def load(self) -> list[ModelMessage]:
        rows = self.db.execute("select message from messages where name = ? order by id", (self.name,))
        return ModelMessagesTypeAdapter.validate_json(f"[{','.join(row[0] for row in rows)}]")

    def add(self, messages: list[ModelMessage]) -> None:
        payloads = ModelMessagesTypeAdapter.dump_python(messages, mode="json")
        with self.db:
            self.db.executemany(
                "insert into messages (name, message) values (?, ?)",
                [(self.name, json.dumps(each)) for each in payloads],
            )


class OnFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> list[ModelMessage]:
        return ModelMessagesTypeAdapter.validate_json(self.path.read_bytes())

    def save(self, messages: list[ModelMessage]) -> None:
        self.path.write_bytes(ModelMessagesTypeAdapter.dump_json(messages))


def some(count: int) -> list[ModelMessage]:
    made: list[ModelMessage] = []
    while len(made) < count:
        made.append(ModelRequest(parts=[UserPromptPart(f"question {next(NUMBERS)} " + "word " * 20)]))
        made.append(ModelResponse(parts=[TextPart("answer " + "word " * 20)], model_name="m"))
    return made


def rows(folder: Path) -> Iterator[Row]:
    rt = Runtime.open(folder / "store")
    sides = {
        count: {
            "greenroom": GreenroomMessageHistory(str(count), rt),
            "SQLite NORMAL": OnSqlite(folder / "normal.db", "normal", str(count)),
            "SQLite FULL": OnSqlite(folder / "full.db", "full", str(count)),
        }
        for count in (2, 20, 1000)
    }
    for count, histories in sides.items():
        for history in histories.values():
            history.add(some(count))
    yield Row("add 2", {name: lambda h=h: h.add(some(2)) for name, h in sides[2].items()})
    yield Row("load 20", {name: lambda h=h: h.load() for name, h in sides[20].items()})
    yield Row("load 1000", {name: lambda h=h: h.load() for name, h in sides[1000].items()})

    transcripts = {name: some(100) for name in ("greenroom", "file")}
    whole = {"greenroom": GreenroomMessageHistory("whole", rt), "file": OnFile(folder / "file")}

    def grow(name: str) -> None:
        transcripts[name] = [*transcripts[name], *some(2)] if len(transcripts[name]) < 140 else some(100)
        whole[name].save(transcripts[name])

    yield Row("save 100 to 140 messages of which 2 are new", {name: lambda n=name: grow(n) for name in whole})
    rt.close()
    yield _growth(folder)


def _growth(folder: Path) -> Row:
    ours, theirs = folder / "ours", folder / "theirs"
    theirs.mkdir()
    history, sqlite = GreenroomMessageHistory("s", ours), OnSqlite(theirs / "db", "normal", "s")
    for _ in range(500):
        messages = some(2)
        history.add(messages)
        sqlite.add(messages)
    history.close()
    sqlite.db.close()
    return Row("on disk after 1000 messages", sizes={"greenroom": size_of(ours), "SQLite NORMAL": size_of(theirs)})
