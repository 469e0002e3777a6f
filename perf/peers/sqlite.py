"""Tables of SQLite with a log (WAL), in one file. A step is two writes: what was called, and what it returned."""

from __future__ import annotations

import itertools
import json
import uuid
from pathlib import Path
from typing import Final

from peers import side as s
from peers.by_hand import SQLITE_LEVELS, SqliteMessages

REQUIRES: Final = "sqlite3"
_TABLES: Final = (
    "CREATE TABLE sessions (id TEXT PRIMARY KEY, name TEXT, created REAL)",
    'CREATE TABLE "values" (session TEXT, key TEXT, value TEXT, PRIMARY KEY (session, key)) WITHOUT ROWID',
    "CREATE TABLE artifacts (id INTEGER PRIMARY KEY, session TEXT, name TEXT, content BLOB)",
    "CREATE UNIQUE INDEX by_name ON artifacts (session, name)",
    "CREATE TABLE steps (id INTEGER PRIMARY KEY, session TEXT, input TEXT, output TEXT)",
)


class Store(SqliteMessages):
    """Conversations, and all else that a session has."""

    def __init__(self, folder: Path, level: s.Level) -> None:
        super().__init__(folder, SQLITE_LEVELS[level])
        for each in _TABLES:
            self._db.execute(each)

    def create(self) -> str:
        name = str(uuid.uuid4())
        self._db.execute("INSERT INTO sessions VALUES (?, ?, julianday())", (name, "peer"))
        return name

    def set(self, session: str, key: str, value: object) -> None:
        self._db.execute('INSERT OR REPLACE INTO "values" VALUES (?, ?, ?)', (session, key, json.dumps(value)))

    def get(self, session: str, key: str) -> object:
        row = self._db.execute('SELECT value FROM "values" WHERE session = ? AND key = ?', (session, key)).fetchone()
        return json.loads(row[0])

    def store(self, session: str, name: str, content: bytes) -> None:
        self._db.execute("INSERT INTO artifacts (session, name, content) VALUES (?, ?, ?)", (session, name, content))

    def step(self, session: str, number: int) -> None:
        called = self._db.execute("INSERT INTO steps (session, input) VALUES (?, ?)", (session, json.dumps(number)))
        self._db.execute("UPDATE steps SET output = ? WHERE id = ?", (json.dumps({"n": number}), called.lastrowid))


def sides(folder: Path, level: s.Level) -> s.Side:
    folder.mkdir()
    store = Store(folder, level)
    session, full, numbers = store.create(), store.create(), itertools.count()
    store.set(session, "k", s.VALUE)
    for number in range(s.TURNS // 2):
        _append(store, full, number)
    return s.Side(
        "SQLite by hand",
        {
            s.CREATE: store.create,
            s.APPEND: lambda: _append(store, session, next(numbers)),
            s.READ_20: lambda: [each.content for each in store.read(full, 20)],
            s.READ_1000: lambda: [each.content for each in store.read(full, 1000)],
            s.SET: lambda: store.set(session, "k", s.VALUE),
            s.GET: lambda: store.get(session, "k"),
            s.STORE: lambda: store.store(session, *s.artifact()),
            s.STEP: lambda: store.step(session, next(numbers)),
        },
        lambda: s.grown(folder / "growth", _write),
        lambda: store.__exit__(None, None, None),
    )


def _append(store: Store, session: str, number: int) -> None:
    question, answer = s.turn(number)
    store.add_all(session, [("user", question), ("assistant", answer)])


def _write(folder: Path) -> None:
    with Store(folder, "process") as store:
        session = store.create()
        for number in range(s.TURNS):
            _append(store, session, number)
