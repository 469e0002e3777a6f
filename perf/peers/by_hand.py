"""Other ways to do the same: plain pykka actors, each with a thread of its own; tables of SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgpack
import pykka

__all__ = ["SQLITE_LEVELS", "SqliteArtifacts", "SqliteMessages", "SqliteRecords", "StoredMessage", "ThreadedVariables"]


SQLITE_LEVELS: Final = {"process": "NORMAL", "machine": "FULL"}
"""SQLite's `synchronous` by what an acknowledged write survives: a crash of the process, or one of the machine."""


class _Variables(pykka.ThreadingActor):
    """Holds encoded variables, as a session does."""

    def __init__(self) -> None:
        super().__init__()
        self._variables = {"k": msgpack.packb(1)}

    def on_receive(self, message: Any) -> Any:
        return msgpack.unpackb(self._variables[message.key])


class ThreadedVariables:
    """A `pykka.ThreadingActor` that answers the same question, alone in its process but for what is measured."""

    def __init__(self) -> None:
        self._ref = _Variables.start()
        self.ask = self._ref.ask

    def __enter__(self) -> ThreadedVariables:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ref.stop()


_ADD_MESSAGE = "INSERT INTO messages (session, role, content, created) VALUES (?, ?, ?, ?)"


class SqliteMessages:
    """Keeps conversations in a table of SQLite, with a log (WAL) and, by default, `synchronous=NORMAL`: what a host
    would write without greenroom."""

    def __init__(self, folder: Path, level: str = "NORMAL") -> None:
        self._db = sqlite3.connect(folder / "messages.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={level}")
        self._db.execute(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, session TEXT, role TEXT, content TEXT, created REAL)"
        )
        self._db.execute("CREATE INDEX by_session ON messages (session, id)")

    def add(self, session: str, role: str, content: str) -> int:
        """Add a message and return its id."""
        added = self._db.execute(_ADD_MESSAGE, (session, role, content, time.time()))
        return added.lastrowid or 0

    def add_all(self, session: str, messages: list[tuple[str, str]]) -> None:
        """Add several in one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(_ADD_MESSAGE, [(session, role, content, time.time()) for role, content in messages])
        self._db.execute("COMMIT")

    def read(self, session: str, limit: int) -> list[StoredMessage]:
        rows = self._db.execute(
            "SELECT id, role, content, created FROM messages WHERE session = ? ORDER BY id DESC LIMIT ?",
            (session, limit),
        ).fetchall()
        return [StoredMessage(*row) for row in reversed(rows)]

    def after(self, session: str, place: int) -> list[StoredMessage]:
        """Return the messages with a greater id."""
        rows = self._db.execute(
            "SELECT id, role, content, created FROM messages WHERE session = ? AND id > ? ORDER BY id",
            (session, place),
        ).fetchall()
        return [StoredMessage(*row) for row in rows]

    def __enter__(self) -> SqliteMessages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()


class SqliteRecords:
    """Keeps values under keys in a table of SQLite, set up like `SqliteMessages`."""

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "records.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS records (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def put(self, key: bytes, value: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (key, value))

    def put_all(self, values: list[tuple[bytes, bytes]]) -> None:
        """Put several in one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT OR REPLACE INTO records VALUES (?, ?)", values)
        self._db.execute("COMMIT")

    def get(self, key: bytes) -> bytes | None:
        row = self._db.execute("SELECT value FROM records WHERE key = ?", (key,)).fetchone()
        return row[0] if row is not None else None

    def newest(self, prefix: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        return self._db.execute(
            "SELECT key, value FROM records WHERE key >= ? AND key < ? ORDER BY key DESC LIMIT ?",
            (prefix, prefix + b"\xff" * 8, limit),
        ).fetchall()

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> SqliteRecords:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SqliteArtifacts:
    """Keeps facts about artifacts in a table of SQLite, set up like `SqliteMessages`: names, versions, types, sizes."""

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "artifacts.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE artifacts (id INTEGER PRIMARY KEY, session TEXT, name TEXT, version INTEGER, type TEXT,"
            " size INTEGER, tags TEXT, description TEXT, created REAL)"
        )
        self._db.execute("CREATE UNIQUE INDEX by_name ON artifacts (session, name, version)")
        self._db.execute("CREATE INDEX by_type ON artifacts (session, type, id)")

    def fill(self, rows: Iterable[tuple[str, str, int, str, int, str, str, float]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO artifacts (session, name, version, type, size, tags, description, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        self._db.execute("COMMIT")

    def count(self, session: str, type: str) -> int:
        row = self._db.execute("SELECT count(*) FROM artifacts WHERE session = ? AND type = ?", (session, type))
        return int(row.fetchone()[0])

    def latest(self, session: str, limit: int) -> list[tuple[Any, ...]]:
        return self._db.execute(
            "SELECT * FROM artifacts AS a WHERE session = ? AND version ="
            " (SELECT max(version) FROM artifacts WHERE session = a.session AND name = a.name)"
            " ORDER BY id DESC LIMIT ?",
            (session, limit),
        ).fetchall()

    def __enter__(self) -> SqliteArtifacts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()


@dataclass(slots=True)
class StoredMessage:
    """A message as a host would have it."""

    id: int
    role: str
    content: str
    created: float
