"""Ranges of the index: what several prefixes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.storage.engine.engine import CF, Durability, Engine, EngineOptions
from greenroom.storage.engine.ranges import shared

PREFIXES = [b"Pa", b"Pb", b"Pc"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    opened = Engine(Path(tmp_path_factory.mktemp("ranges")) / "store", Durability.MEMORY, EngineOptions())
    yield opened
    opened.close()


def tail(number: int) -> bytes:
    return number.to_bytes(2, "big")


def numbers() -> st.SearchStrategy[set[int]]:
    """Few, in one place or far between, or more than are read at once."""
    spread = st.builds(
        lambda start, step, count: set(range(start, start + step * count, step)),
        st.integers(0, 900),
        st.integers(1, 7),
        st.integers(0, 300),
    )
    return st.one_of(st.sets(st.integers(0, 2000), max_size=5), spread)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(
    there=st.lists(numbers(), min_size=1, max_size=3),
    low=st.integers(0, 300),
    high=st.integers(0, 3000),
    reverse=st.booleans(),
    first=st.integers(1, 70),
)
def test_what_prefixes_share_is_found_in_order(
    engine: Engine, there: list[set[int]], low: int, high: int, reverse: bool, first: int
) -> None:
    keys = [prefix + tail(number) for prefix, found in zip(PREFIXES, there, strict=False) for number in found]
    engine.write([(CF.INDEX, key, b"") for key in keys])
    try:
        found = shared(engine, PREFIXES[: len(there)], tail(low), tail(high), reverse=reverse, first=first)
        in_all = set.intersection(*there) & set(range(low, high))
        assert list(found) == [tail(number) for number in sorted(in_all, reverse=reverse)]
    finally:
        engine.write([(CF.INDEX, key, None) for key in keys])
