"""The file of the full-text index: SQLite's FTS5, beside the store. docs/format.md is the specification.

Everything in it follows from the store: whoever deletes the file loses nothing but the time to make it again. SQLite
gets words that are split and folded by greenroom's own rules, so that the same words match wherever one searches.
"""

from __future__ import annotations

import contextlib
import ctypes
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from blake3 import blake3

from greenroom.storage.errors import StorageError, StorageFull

from .model import Document, FollowedSession, Found
from .query import Term
from .writing import SessionChange, followed_sessions, words_of, write_changes

__all__ = [
    "MAX_RANKED",
    "MAX_SCOPES",
    "IndexFile",
    "artifact_scope",
    "is_busy",
    "is_damage",
    "kind_scope",
    "remove_index",
    "session_scope",
    "storage_error",
]

VERSION: Final = 1
"""The format of the file. A file of another one is made anew."""
MAX_RANKED: Final = 2000
"""Of so many newest texts with all the words, the best are found."""
MAX_SCOPES: Final = 1000
"""Among so many sessions the index itself chooses; among more, each text is looked at."""
_PATIENCE: Final = 60.0
"""Seconds to wait for another process that has the file locked."""
_LOOK: Final = 4096
"""How many characters of a text count for its score."""
_SCHEMA: Final = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE sessions (id INTEGER PRIMARY KEY, session BLOB NOT NULL UNIQUE, position INTEGER, mark INTEGER);
CREATE TABLE documents (id INTEGER PRIMARY KEY AUTOINCREMENT, session INTEGER, kind INTEGER, number INTEGER,
    version INTEGER, length INTEGER);
CREATE UNIQUE INDEX places ON documents (session, kind, number);
CREATE VIRTUAL TABLE texts USING fts5 (scope, title, body, tokenize = 'ascii');
"""


def remove_index(path: Path) -> None:
    """Remove the file of an index, and those beside it. Raises StorageError."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        try:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"the search index {path.name + suffix} cannot be removed ({error.strerror}): remove it by hand",
                path=str(path),
            ) from error


def is_damage(error: BaseException) -> bool:
    """Return whether an error says that the file is damaged, and not, for example, that the disk is full."""
    cause = error if isinstance(error, sqlite3.Error) else error.__cause__
    return type(cause) is sqlite3.DatabaseError or "no such" in str(cause)


def is_busy(error: BaseException) -> bool:
    """Return whether an error says that another process has the file locked."""
    cause = error if isinstance(error, sqlite3.Error) else error.__cause__
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def session_scope(session: int) -> str:
    return f"s{session}"


def artifact_scope(session: int, number: int) -> str:
    return f"a{session}x{number}"


def kind_scope(kind: int) -> str:
    return f"k{kind}"


class IndexFile:
    """An open index. One thread at a time may change it, and any may search meanwhile."""

    def __init__(self, path: Path, patience: float = _PATIENCE) -> None:
        """Open the file, creating it if there is none. A file that is damaged or of another format is made anew. Waits
        up to `patience` seconds for another process that has it locked. Raises StorageError."""
        self.path = path
        self._patience = patience
        self._reading = threading.Lock()
        if path.is_symlink() and not path.exists():  # SQLite would make the file somewhere else, or fail
            remove_index(path)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise storage_error(error, path) from error
            self.close()
            remove_index(path)
            self._open()

    def _open(self) -> None:
        self._writer = self._connection()
        if self._writer.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            self._writer.close()
            remove_index(self.path)
            self._writer = self._connection()
            self._writer.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        self._writer.execute("INSERT OR IGNORE INTO facts VALUES ('secret', abs(random()))")
        self._secret = self.fact("secret").to_bytes(32, "big")
        self._reader = self._connection()

    def _connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=self._patience)
        for setting in ("journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON", "cache_size = -8192"):
            connection.execute(f"PRAGMA {setting}")
        return connection

    def wait_at_most(self, seconds: float) -> None:
        """Let changes wait so long for another process that has the file locked."""
        self._writer.execute(f"PRAGMA busy_timeout = {max(1, int(1000 * min(seconds, _PATIENCE)))}")

    def close(self) -> None:
        for connection in (getattr(self, "_reader", None), getattr(self, "_writer", None)):
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()

    def abandon(self) -> None:
        """Leave the file to the parent of this forked process: closing it here would write to it."""
        for connection in (self._reader, self._writer):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))

    # -- changing; the caller sees to it that one thread does

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """Make all changes of a block, or none of them. Raises StorageError."""
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            raise storage_error(error, self.path) from error

    def fact(self, name: str) -> int:
        """Return a number that the file has under this name; 0 if it has none."""
        found = self._writer.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return found[0] if found is not None else 0

    def set_fact(self, name: str, value: int) -> None:
        self._writer.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def followed(self, sessions: Sequence[bytes]) -> dict[bytes, FollowedSession]:
        """Return how far those of these sessions are indexed that are in the index."""
        return followed_sessions(self._writer, sessions)

    def write(self, changes: Iterable[SessionChange]) -> None:
        """Write what is new in sessions, all of it or nothing. Raises StorageError."""
        with self.change():
            write_changes(self._writer, changes)

    def sessions(self) -> Iterator[bytes]:
        """Yield the sessions in the index, in order."""
        after = b""
        while True:
            page = self._writer.execute(
                "SELECT session FROM sessions WHERE session > ? ORDER BY session LIMIT 1000", (after,)
            ).fetchall()
            yield from (row[0] for row in page)
            if len(page) < 1000:
                return
            after = page[-1][0]

    def forget(self, session: bytes) -> None:
        """Remove a session and all of its texts. Raises StorageError."""
        with self.change():
            for wanted in (
                "DELETE FROM texts WHERE rowid IN (SELECT d.id FROM sessions s JOIN documents d ON d.session = s.id "
                "WHERE s.session = ?)",
                "DELETE FROM documents WHERE session IN (SELECT id FROM sessions WHERE session = ?)",
                "DELETE FROM sessions WHERE session = ?",
            ):
                self._writer.execute(wanted, (session,))

    # -- checking

    def damage(self) -> str | None:
        """Return what is wrong with the file itself; None if it is whole."""
        try:
            found = self._writer.execute("PRAGMA quick_check(1)").fetchone()[0]
            self._writer.execute("INSERT INTO texts (texts) VALUES ('integrity-check')")
        except sqlite3.DatabaseError as error:
            return str(error)
        return None if found == "ok" else str(found)

    def texts(self, session: bytes) -> dict[tuple[int, int], tuple[int, int]]:
        """Return the texts of a session by kind and number: the place of each, and its version."""
        rows = self._writer.execute(
            "SELECT d.kind, d.number, d.id, d.version FROM sessions s JOIN documents d ON d.session = s.id "
            "WHERE s.session = ?",
            (session,),
        )
        return {(kind, number): (place, version) for kind, number, place, version in rows}

    def has(self, text: tuple[int, int], document: Document) -> bool:
        """Return whether a text in the index, by its place and version, has the words of a document."""
        place, version = text
        row = self._writer.execute("SELECT title, body FROM texts WHERE rowid = ?", (place,)).fetchone()
        return version == document.version and row == words_of(document)

    def purge(self) -> None:
        """Remove what was deleted from the bytes of the file too. Raises StorageError, also if another process that
        reads the file keeps them."""
        try:
            self._writer.execute("INSERT INTO texts (texts) VALUES ('optimize')")
            with self._reading:  # what a reader still sees cannot leave the log
                is_kept = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            raise storage_error(error, self.path) from error
        if is_kept:
            raise StorageError(
                f"what was deleted is still in the log of the search index {self.path.name}: another process reads it; "
                "compact the store when that has ended",
                path=str(self.path),
            )

    # -- searching

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            with self._reading:
                yield
        except sqlite3.Error as error:
            raise storage_error(error, self.path) from error

    def scopes(self, sessions: Iterable[bytes]) -> dict[bytes, int]:
        """Return the ids of those of these sessions that are in the index. Raises StorageError."""
        with self._asking():
            found = (
                self._reader.execute("SELECT session, id FROM sessions WHERE session = ?", (session,)).fetchone()
                for session in sessions
            )
            return {row[0]: row[1] for row in found if row is not None}

    def newest_place(self) -> int:
        """Return the place of the newest text. Raises StorageError."""
        with self._asking():
            found = self._reader.execute("SELECT max(id) FROM documents").fetchone()
        return found[0] or 0

    def sealed(self, place: int, nonce: bytes) -> int:
        """Return a place so that it tells nothing (it counts the texts of all sessions); the same again opens it."""
        return place ^ (int.from_bytes(blake3(nonce, key=self._secret).digest(8), "big") >> 1)

    def find(
        self,
        terms: Sequence[Term],
        scopes: Sequence[Sequence[str]],
        upto: int,
        accept: Callable[[bytes], bool] | None,
    ) -> list[Found]:
        """Return the texts with all of these terms, the best first: of more than 2000 the best of the newest.

        `scopes`: each text must be in one scope of each list. `upto` is the newest place to look at. `accept` says for
        a session whether its texts are wanted. Raises StorageError.
        """
        wanted = " AND ".join(f"{{title body}} : {term.expression()}" for term in terms)
        within = "".join(f" AND scope : ({' OR '.join(scope)})" for scope in scopes)
        with self._asking():
            rows = self._candidates(f"({wanted}){within}", upto, accept)
        found = [
            Found(place, session, kind, number, version, _score(terms, length, title, body))
            for place, session, kind, number, version, length, title, body in rows
        ]
        found.sort(key=lambda each: (-each.score, -each.place))
        return found

    def _candidates(self, wanted: str, upto: int, accept: Callable[[bytes], bool] | None) -> list[tuple]:  # type: ignore[type-arg]
        rows = self._reader.execute(
            "SELECT d.id, s.session, d.kind, d.number, d.version, d.length, title, substr(body, 1, ?) FROM texts "
            "CROSS JOIN documents d ON d.id = texts.rowid CROSS JOIN sessions s ON s.id = d.session "
            f"WHERE texts MATCH ? AND texts.rowid <= ? ORDER BY texts.rowid DESC{'' if accept else ' LIMIT ?'}",
            (_LOOK, wanted, upto, *([] if accept else [MAX_RANKED])),
        )
        if accept is None:
            return rows.fetchall()
        known: dict[bytes, bool] = {}
        found: list[tuple] = []  # type: ignore[type-arg]
        for row in rows:
            session = row[1]
            if session not in known:
                known[session] = accept(session)
            if known[session]:
                found.append(row)
                if len(found) == MAX_RANKED:
                    break
        rows.close()
        return found


def _score(terms: Sequence[Term], length: int, title: str, body: str) -> float:
    """Return how well a text fits: more hits in a shorter text are better, and those in a title best."""
    title, body = f" {title} ", f" {body} "
    usual = 0.5 + length / 1000
    score = 0.0
    for term in terms:
        hits = term.count_in(body)
        score += hits / (hits + usual) + (1.0 if term.count_in(title) else 0.0)
    return round(score / len(terms), 6)


def storage_error(error: sqlite3.Error, path: Path) -> StorageError:
    """Return what tells of an error of SQLite."""
    text = str(error)
    if is_busy(error):
        return StorageError(
            f"the search index {path.name} is locked by another process: search again when that has ended",
            path=str(path),
        )
    if "full" in text:
        return StorageFull(f"the search index {path.name} cannot be written: the disk is full; free some space")
    return StorageError(
        f"the search index {path.name} cannot be used ({text}): greenroom verify --repair makes it anew",
        path=str(path),
    )
