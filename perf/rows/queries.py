"""Finding artifacts: in one session, whatever else the store holds, and across all sessions."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Callable

from harness import MICRO, Bench, Measured, at_most, row

from greenroom.runtime import Runtime, Session

OWN = 1000
_BATCH = 1000
TYPES = ("tool_result", "agent_output", "user_input", "system_generated")
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")


@row("query 1000 artifacts by type, 20 rows", at_most(190 * MICRO))
def by_type(bench: Bench) -> Measured:
    _, session = _store(bench, 0)
    return _timed(bench, session, lambda: session.query_artifacts(artifact_type="tool_result", limit=20))


@row("the same with 99 000 artifacts elsewhere", at_most(190 * MICRO))
def by_type_among_many(bench: Bench) -> Measured:
    return _among(bench, 99_000)


@row("the same with 999 000 artifacts elsewhere", at_most(190 * MICRO), scaled=True)
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


@row("search all of 100 000 artifacts for two words, 20 rows", None)
def by_text_everywhere(bench: Bench) -> Measured:
    rt, session = _store(bench, 99_000)
    return _timed(bench, session, lambda: rt.query_artifacts(text="rare7 alph", limit=20))


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
