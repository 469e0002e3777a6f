"""Listing sessions and finding them by key: in a small store and a large one, beside SQLite and a dict."""

from __future__ import annotations

import heapq
import itertools
import json
import sqlite3
from typing import Any

from harness import MICRO, MILLI, Bench, Measured, at_most, row

from greenroom.runtime import Runtime

FEW = 60
MANY = 60_000
_SQLITE = "SQLite WAL/NORMAL"


@row("list the newest 20 of 60 sessions by tag", at_most(300 * MICRO))
def by_tag_of_few(bench: Bench) -> Measured:
    return _by_tag(bench, FEW)


@row("list the newest 20 of 60 000 sessions by tag", at_most(300 * MICRO))
def by_tag(bench: Bench) -> Measured:
    return _by_tag(bench, MANY)


def _by_tag(bench: Bench, count: int) -> Measured:
    rt, table, held = _store(bench, count), _table(bench, count), _held(count)

    def newest() -> list[dict[str, Any]]:
        return heapq.nlargest(20, (each for each in held.values() if "t" in each["tags"]), key=_created)

    return bench.compare(lambda: _newest(rt), lambda: _newest_rows(table), _SQLITE, memory=newest, batch=20)


@row("list the newest 20 of 60 000 sessions by tag, against 60", None)
def by_tag_among_many(bench: Bench) -> Measured:
    few, many = _store(bench, FEW), _store(bench, MANY)
    return bench.compare(lambda: _newest(many), lambda: _newest(few), "60 sessions", batch=20)


@row("list 100 of 60 000 sessions", at_most(1 * MILLI))
def a_hundred(bench: Bench) -> Measured:
    many, table, held = _store(bench, MANY), _table(bench, MANY), _held(MANY)

    def rows() -> list[tuple[Any, ...]]:
        found = table.execute("SELECT * FROM sessions WHERE status < 2 ORDER BY created LIMIT 100").fetchall()
        return [(*each[:4], json.loads(each[4])) for each in found]

    return bench.compare(
        lambda: list(many.list_sessions(limit=100)),
        rows,
        _SQLITE,
        memory=lambda: list(itertools.islice(held.values(), 100)),
        batch=20,
    )


@row("get_or_create of an existing key", None)
def existing_key(bench: Bench) -> Measured:
    many, table, held = _store(bench, MANY), _table(bench, MANY), _held(MANY)
    many.get_or_create("user-7/chat-3")

    def row_of_key() -> tuple[Any, ...]:
        found: tuple[Any, ...] = table.execute("SELECT * FROM sessions WHERE key = ?", ("k7",)).fetchone()
        return found

    return bench.compare(
        lambda: many.get_or_create("user-7/chat-3"), row_of_key, _SQLITE, memory=lambda: held["k7"], batch=1000
    )


@row("get_or_create of a new key", None)
def new_key(bench: Bench) -> Measured:
    rt, table, held = bench.runtime(), _table(bench, 0), dict[str, dict[str, Any]]()
    numbers = itertools.count()

    def inserted(number: int) -> None:
        facts = json.dumps(_facts(number))
        table.execute("INSERT INTO sessions VALUES (NULL, 0, ?, ?, ?)", (number, f"k{number}", facts))
        table.commit()

    return bench.compare(
        lambda number: rt.get_or_create(f"k{number}"),
        inserted,
        _SQLITE,
        memory=lambda number: held.setdefault(f"k{number}", _facts(number)),
        prepare=lambda count: itertools.islice(numbers, count),
    )


def _newest(rt: Runtime) -> list[Any]:
    found = list(rt.list_sessions(tags=["t"], descending=True, limit=20))
    assert len(found) == 20
    return found


def _newest_rows(table: sqlite3.Connection) -> list[tuple[Any, ...]]:
    found = table.execute(
        "SELECT sessions.* FROM tags JOIN sessions USING (id) WHERE tag = 't' AND tags.status < 2 "
        "ORDER BY tags.created DESC LIMIT 20"
    ).fetchall()
    assert len(found) == 20
    return [(*each[:4], json.loads(each[4])) for each in found]


def _created(facts: dict[str, Any]) -> int:
    created: int = facts["created"]
    return created


def _held(count: int) -> dict[str, dict[str, Any]]:
    """The same sessions in a dict, by their keys."""
    return {f"k{number}": _facts(number) for number in range(count)}


def _facts(number: int) -> dict[str, Any]:
    return {"created": number, "name": f"session {number}", "tags": ["t", f"t{number % 50}"]}


def _store(bench: Bench, count: int) -> Runtime:
    rt = bench.runtime()
    for number in range(count):
        facts = _facts(number)
        rt.create_session(name=facts["name"], tags=facts["tags"], created_by=f"u{number % 100}")
    rt._store.engine.compact()
    return rt


def _table(bench: Bench, count: int) -> sqlite3.Connection:
    """The same sessions in SQLite, by its WAL and with synchronous=NORMAL."""
    table = bench.keep(sqlite3.connect(bench.directory() / f"{count}.sqlite"))
    table.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        "CREATE TABLE sessions (id INTEGER PRIMARY KEY, status, created, key UNIQUE, facts);"
        "CREATE INDEX by_created ON sessions (created);"
        "CREATE TABLE tags (tag, created, status, id);"
        "CREATE INDEX by_tag ON tags (tag, created);"
    )
    for number in range(count):
        facts = _facts(number)
        table.execute("INSERT INTO sessions VALUES (?, 0, ?, ?, ?)", (number, number, f"k{number}", json.dumps(facts)))
        table.executemany("INSERT INTO tags VALUES (?, ?, 0, ?)", [(tag, number, number) for tag in facts["tags"]])
    table.commit()
    return table
