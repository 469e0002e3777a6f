"""Write texts into the full-text index, many in one statement.

Each statement lets other threads have Python, and where these are busy it takes some milliseconds to get it back. So a
statement gets all texts of a batch, as JSON.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from .model import Document, FollowedSession
from .query import MAX_WORD, indexed_words

__all__ = ["SessionChange", "followed_sessions", "words_of", "write_changes"]

_SEPARATOR: Final = "\0"
_NO_WORD: Final = re.compile(f"[^a-z0-9{_SEPARATOR}]+")
_LONG_WORD: Final = re.compile(f"[a-z0-9]{{{MAX_WORD + 1}}}")
_ID: Final = 16
_COLUMNS: Final = ", ".join(f"json_extract(value, '$[{column}]')" for column in range(5))


class SessionChange(NamedTuple):
    """What is new in a session: its texts as they are now, and how far its journal was read. An empty text is
    removed."""

    session: bytes
    position: int
    mark: int
    documents: Sequence[Document]


def followed_sessions(connection: sqlite3.Connection, sessions: Sequence[bytes]) -> dict[bytes, FollowedSession]:
    """Return how far those of these sessions are indexed that are in the index."""
    # One row, because each row lets other threads have Python.
    found = connection.execute(
        "SELECT json_group_array(json_array(given.key, sessions.id, position, mark)) FROM json_each(?) given "
        f"JOIN sessions ON session = substr(?, {_ID} * given.key + 1, {_ID})",
        (json.dumps([0] * len(sessions)), b"".join(sessions)),
    ).fetchone()[0]
    return {sessions[number]: FollowedSession(*known) for number, *known in json.loads(found)}


def write_changes(connection: sqlite3.Connection, changes: Iterable[SessionChange]) -> None:
    """Write changes, within a transaction."""
    latest: dict[bytes, tuple[int, int]] = {}
    documents: dict[tuple[bytes, int, int], Document] = {}
    for change in changes:
        latest[change.session] = change.position, change.mark
        documents.update({(change.session, each.kind, each.number): each for each in change.documents})
    known = followed_sessions(connection, list(latest))
    ids = {session: each.id for session, each in known.items()}
    last = connection.execute("SELECT coalesce(max(id), 0) FROM sessions").fetchone()[0]
    ids.update({session: number for number, session in enumerate((s for s in latest if s not in ids), last + 1)})
    connection.execute(
        f"INSERT INTO sessions SELECT json_extract(value, '$[0]'), substr(?, {_ID} * key + 1, {_ID}), "
        "json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?) WHERE true "
        "ON CONFLICT (session) DO UPDATE SET position = excluded.position, mark = excluded.mark",
        (b"".join(latest), json.dumps([[ids[session], *at] for session, at in latest.items()])),
    )
    before = [[ids[session], kind, number] for session, kind, number in documents if session in known]
    if before:
        _remove(connection, before)
    _insert(connection, [(ids[key[0]], each) for key, each in documents.items() if each.title or each.body])


def _remove(connection: sqlite3.Connection, texts: list[list[int]]) -> None:
    found = connection.execute(
        "SELECT json_group_array(documents.id) FROM json_each(?) given JOIN documents "
        "ON session = json_extract(value, '$[0]') AND kind = json_extract(value, '$[1]') "
        "AND number = json_extract(value, '$[2]')",
        (json.dumps(texts),),
    ).fetchone()[0]
    if found != "[]":
        for name, column in (("texts", "rowid"), ("documents", "id")):
            connection.execute(f"DELETE FROM {name} WHERE {column} IN (SELECT value FROM json_each(?))", (found,))


def _insert(connection: sqlite3.Connection, texts: list[tuple[int, Document]]) -> None:
    if not texts:
        return
    bodies = _words_of_all([each.body for _, each in texts])
    titles = [" ".join(indexed_words(each.title)) if each.title else "" for _, each in texts]
    last = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'documents'").fetchone()[
        0
    ]
    rows = [
        [session, each.kind, each.number, each.version, len(body)]
        for (session, each), body in zip(texts, bodies, strict=True)
    ]
    connection.execute(
        f"INSERT INTO documents SELECT ? + key, {_COLUMNS} FROM json_each(?)",
        (last + 1, json.dumps(rows)),
    )
    scope = "'s' || session || ' k' || kind || CASE kind WHEN 1 THEN ' a' || session || 'x' || number ELSE '' END"
    if not any(titles):
        connection.execute(
            f"INSERT INTO texts (rowid, scope, title, body) SELECT documents.id, {scope}, '', given.value "
            "FROM json_each(?) given CROSS JOIN documents ON documents.id = ? + given.key",
            (_json(bodies), last + 1),
        )
        return
    connection.execute(
        f"INSERT INTO texts (rowid, scope, title, body) SELECT documents.id, {scope}, json_extract(value, '$[0]'), "
        "json_extract(value, '$[1]') FROM json_each(?) given CROSS JOIN documents ON documents.id = ? + given.key",
        (_json(list(zip(titles, bodies, strict=True))), last + 1),
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # words are letters, digits and marks


def words_of(document: Document) -> tuple[str, str]:
    """Return title and body as the index has them."""
    return " ".join(indexed_words(document.title)), " ".join(indexed_words(document.body))


def _words_of_all(texts: list[str]) -> list[str]:
    """Return what the index has of texts: their words, joined by spaces. Those of ASCII are split together, in few
    calls."""
    plain = [text if text.isascii() and _SEPARATOR not in text else "" for text in texts]
    joined = _NO_WORD.sub(" ", _SEPARATOR.join(plain).lower())
    if _LONG_WORD.search(joined) is not None:
        return [" ".join(indexed_words(text)) for text in texts]
    return [
        split.strip() if same or not text else " ".join(indexed_words(text))
        for split, text, same in zip(joined.split(_SEPARATOR), texts, map(bool, plain), strict=True)
    ]
