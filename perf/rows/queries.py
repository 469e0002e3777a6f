"""Finding artifacts: in one session, whatever else the store holds, and across all sessions."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Callable

from harness import MICRO, MILLI, Bench, Measured, at_most, row
from peers.by_hand import SqliteArtifacts

from greenroom.actors.word_listing import ListWords
from greenroom.runtime import Runtime, Session
from greenroom.storage.artifacts.index import UNLISTED

OWN = 1000
_BATCH = 1000
TYPES = ("tool_result", "agent_output", "user_input", "system_generated")
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")


@row("query 1000 artifacts by type, 20 rows", at_most(150 * MICRO))
def by_type(bench: Bench) -> Measured:
    _, session = _store(bench, 0)
    return _timed(bench, session, lambda: session.query_artifacts(artifact_type="tool_result", limit=20))


@row("the same with 99 000 artifacts elsewhere", at_most(150 * MICRO))
def by_type_among_many(bench: Bench) -> Measured:
    return _among(bench, 99_000)


@row("the same with 999 000 artifacts elsewhere", at_most(150 * MICRO), scaled=True)
def by_type_among_a_million(bench: Bench) -> Measured:
    return _among(bench, 999_000 if bench.scale == "full" else 99_000)


def _among(bench: Bench, others: int) -> Measured:
    _, session = _store(bench, others)
    return _timed(bench, session, lambda: session.query_artifacts(artifact_type="tool_result", limit=20))


@row("query 1000 artifacts by type, newest 20 of page 10", None)
def last_page(bench: Bench) -> Measured:
    _, session = _store(bench, 0)
    return _timed(
        bench,
        session,
        lambda: session.query_artifacts(artifact_type="tool_result", descending=True, offset=200, limit=20),
    )


@row("query 1000 artifacts by tag, 20 largest", None)
def by_tag(bench: Bench) -> Measured:
    _, session = _store(bench, 0)
    return _timed(
        bench, session, lambda: session.query_artifacts(tags=["tag-3"], sort="size", descending=True, limit=20)
    )


@row("query all of 100 000 artifacts by tag and type, 20 rows", None)
def by_tag_everywhere(bench: Bench) -> Measured:
    rt, session = _store(bench, 99_000)
    query = functools.partial(rt.query_artifacts, tags=["rare-7"], artifact_type="tool_result", limit=20)
    return _timed(bench, session, query)


@row("search all of 100 000 artifacts for two words, 20 rows", at_most(5 * MILLI))
def by_text_everywhere(bench: Bench) -> Measured:
    rt, session = _store(bench, 99_000)
    begin: bytes | None = UNLISTED
    while begin is not None:  # the writer does it while nobody writes
        begin = rt._store.ask(ListWords(begin), 60)
    rt._store.engine.compact()
    return _timed(bench, session, lambda: rt.query_artifacts(text="rare7 alph", limit=20))


@row("count 1000 artifacts of a type", None)
def count(bench: Bench) -> Measured:
    session, peer = _versions(bench)
    assert session.count_artifacts(artifact_type="tool_result") == peer.count(session.id, "tool_result") == OWN
    return bench.compare(
        lambda: session.count_artifacts(artifact_type="tool_result"),
        lambda: peer.count(session.id, "tool_result"),
        "SQLite WAL/NORMAL",
    )


@row("the latest of each name, 20 rows of 250 names in 1000 versions", None)
def latest(bench: Bench) -> Measured:
    session, peer = _versions(bench)
    names = [info.name for info in session.query_artifacts(latest_only=True, limit=20)]
    assert names == [row[2] for row in peer.latest(session.id, 20)]
    return bench.compare(
        lambda: session.query_artifacts(latest_only=True, limit=20),
        lambda: peer.latest(session.id, 20),
        "SQLite WAL/NORMAL",
        batch=20,
    )


def _versions(bench: Bench) -> tuple[Session, SqliteArtifacts]:
    """A session of 250 names with four versions each, and a table with the same facts."""
    session, peer = bench.runtime().create_session(), bench.keep(SqliteArtifacts(bench.directory()))
    names = [f"name-{number % 250}" for number in range(OWN)]
    infos = session.store_many({"type": "tool_result", "name": name, "content": name} for name in names)
    peer.fill(
        (session.id, each.name, each.version, each.artifact_type, each.size, "", "", each.created_at.timestamp())
        for each in infos
    )
    return session, peer


def _timed(bench: Bench, session: Session, query: Callable[[], object]) -> Measured:
    assert len(query()), "nothing is found"  # type: ignore[arg-type]
    measured = bench.time(query, batch=20)
    return dataclasses.replace(measured, note=f"{len(query())} of {query().total:,}")  # type: ignore[arg-type, attr-defined]


def _store(bench: Bench, others: int) -> tuple[Runtime, Session]:
    """A session of 1000 artifacts of four types, and `others` in sessions of 1000 each."""
    rt = bench.runtime()
    session = rt.create_session()
    dice = random.Random(1)
    for number in range(others // OWN):
        _fill(rt.create_session(), dice, number)
        if number == others // OWN // 2:
            _fill(session, dice, -1)
    if others < OWN:
        _fill(session, dice, -1)
    rt._store.engine.compact()
    return rt, session


def _fill(session: Session, dice: random.Random, number: int) -> None:
    for begin in range(0, OWN, _BATCH):
        session.store_many(
            {
                "type": dice.choice(TYPES),
                "name": f"{dice.choice(WORDS)}-{number}-{index}.json",
                "content": f"{dice.randrange(50)}",
                "tags": [f"tag-{dice.randrange(5)}", f"rare-{dice.randrange(1000)}"],
                "description": f"{dice.choice(WORDS)} rare{dice.randrange(1000)}",
                "metadata": {"step": index % 10},
            }
            for index in range(begin, begin + _BATCH)
        )
