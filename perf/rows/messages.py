"""Conversations: adding messages, reading them and following their events, beside SQLite and a list in memory."""

from __future__ import annotations

import itertools
import time

from harness import MICRO, Bench, Measured, at_most, row
from peers.by_hand import SqliteMessages, StoredMessage

from greenroom.runtime import Session

_TEXT = "Some text of a message, as long as a sentence or two of a chat usually is. " * 2
_COUNT = 1000
_SQLITE = "SQLite WAL/NORMAL"


def _sides(bench: Bench) -> tuple[Session, SqliteMessages, list[StoredMessage]]:
    """The same 1000 messages in a session, in SQLite and in a list."""
    session, peer = bench.runtime().create_session(), bench.keep(SqliteMessages(bench.directory()))
    held: list[StoredMessage] = []
    for number in range(_COUNT):
        role = "assistant" if number % 2 else "user"
        text = f"{number} {_TEXT}"
        session.add_message(role, text)
        peer.add(session.id, role, text)
        held.append(StoredMessage(number, role, text, time.time()))
    return session, peer, held


def _added(held: list[StoredMessage]) -> StoredMessage:
    message = StoredMessage(len(held), "user", _TEXT, time.time())
    held.append(message)
    return message


@row("add a message", at_most(15 * MICRO))
def add_message(bench: Bench) -> Measured:
    session, peer, held = _sides(bench)
    return bench.compare(
        lambda: session.add_message("user", _TEXT),
        lambda: peer.add(session.id, "user", _TEXT),
        _SQLITE,
        memory=lambda: _added(held),
    )


@row("add 20 messages in one write", None)
def add_messages(bench: Bench) -> Measured:
    session, peer, held = _sides(bench)
    rows = [{"role": "user", "content": _TEXT}] * 20
    pairs = [(each["role"], each["content"]) for each in rows]
    return bench.compare(
        lambda: session.add_messages(rows),
        lambda: peer.add_all(session.id, pairs),
        f"{_SQLITE}, one transaction",
        memory=lambda: [_added(held) for _ in rows],
        batch=20,
    )


@row("read 20 messages of 1000", at_most(60 * MICRO))
def read_twenty(bench: Bench) -> Measured:
    return _read(bench, 20, batch=200)


@row("read 1000 messages", at_most(2.5 * MICRO * _COUNT))
def read_thousand(bench: Bench) -> Measured:
    return _read(bench, _COUNT, batch=5)


def _read(bench: Bench, limit: int, batch: int) -> Measured:
    session, peer, held = _sides(bench)
    return bench.compare(
        lambda: [turn.content for turn in session.messages(limit=limit)],
        lambda: [each.content for each in peer.read(session.id, limit)],
        _SQLITE,
        memory=lambda: [each.content for each in held[-limit:]],
        batch=batch,
        note="with every content read",
    )


@row("add a message and read it as the next event that is followed", None)
def follow(bench: Bench) -> Measured:
    session, peer, held = _sides(bench)
    events = bench.keep(session.follow(after=session.info().sequence))
    place = peer.add(session.id, "user", _TEXT)

    def by_hand() -> list[StoredMessage]:
        nonlocal place
        before, place = place, peer.add(session.id, "user", _TEXT)
        return peer.after(session.id, before)

    def in_memory() -> StoredMessage:
        _added(held)
        return held[-1]

    def ours() -> object:
        session.add_message("user", _TEXT)
        return next(events)

    return bench.compare(ours, by_hand, _SQLITE, memory=in_memory)


@row("follow 1000 events of the past", None)
def follow_past(bench: Bench) -> Measured:
    session, peer, held = _sides(bench)
    return bench.compare(
        lambda: _followed(session),
        lambda: peer.after(session.id, 0),
        _SQLITE,
        memory=lambda: list(held),
        batch=2,
    )


def _followed(session: Session) -> int:
    with session.follow() as events:
        return sum(1 for _ in itertools.islice(events, _COUNT))
