"""Conversations: adding a message, and reading them, against SQLite and against a list in memory."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness import MICRO, Bench, Measured, at_most, row
from peers import SqliteMessages, StoredMessage

from greenroom.runtime import Session

_TEXT = "Some text of a message, as long as a sentence or two of a chat usually is. " * 2
_COUNT = 1000


def _sides(bench: Bench) -> tuple[Session, SqliteMessages]:
    """The same 1000 messages in a session and in SQLite."""
    session, peer = bench.runtime().create_session(), bench.keep(SqliteMessages(bench.directory()))
    for number in range(_COUNT):
        role = "assistant" if number % 2 else "user"
        session.add_message(role, f"{number} {_TEXT}")
        peer.add(session.id, role, f"{number} {_TEXT}")
    return session, peer


@row("add a message", at_most(15 * MICRO))
def add_message(bench: Bench) -> Measured:
    session, peer = _sides(bench)
    return bench.compare(
        lambda: session.add_message("user", _TEXT), lambda: peer.add(session.id, "user", _TEXT), "SQLite WAL/NORMAL"
    )


@row("add 20 messages in one write", None)
def add_messages(bench: Bench) -> Measured:
    session, peer = _sides(bench)
    rows = [{"role": "user", "content": _TEXT}] * 20

    def by_hand() -> None:
        for each in rows:
            peer.add(session.id, each["role"], each["content"])

    return bench.compare(lambda: session.add_messages(rows), by_hand, "SQLite WAL/NORMAL, one by one", batch=20)


@row("read 20 messages of 1000", at_most(60 * MICRO))
def read_twenty(bench: Bench) -> Measured:
    session, peer = _sides(bench)
    return bench.compare(_read(session, 20), lambda: _contents(peer.read(session.id, 20)), "SQLite WAL/NORMAL")


@row("read 1000 messages", at_most(2.5 * MICRO * _COUNT))
def read_thousand(bench: Bench) -> Measured:
    session, peer = _sides(bench)
    read = lambda: _contents(peer.read(session.id, _COUNT))  # noqa: E731
    return bench.compare(_read(session, _COUNT), read, "SQLite WAL/NORMAL", batch=5, note="with every content read")


@row("read 1000 messages, against a list", None)
def read_list(bench: Bench) -> Measured:
    session, _ = _sides(bench)
    kept = [(number, "user", f"{number} {_TEXT}", time.time()) for number in range(_COUNT)]
    in_memory = lambda: _contents([StoredMessage(*each) for each in kept])  # noqa: E731
    return bench.compare(_read(session, _COUNT), in_memory, "objects made from a list", batch=5)


def _read(session: Session, limit: int) -> Callable[[], list[object]]:
    return lambda: [turn.content for turn in session.messages(limit=limit)]


def _contents(rows: list[StoredMessage]) -> list[str]:
    return [each.content for each in rows]
