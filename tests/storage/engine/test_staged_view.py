"""A view with staged operations reads what the store will have once they are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.storage.engine.engine import CF, Durability, Engine, EngineOptions
from greenroom.storage.engine.staged_view import StagedView

KEYS = st.binary(min_size=1, max_size=3).map(lambda key: bytes(byte % 3 + 97 for byte in key))
VALUES = st.one_of(st.none(), st.binary(max_size=3))
OPS = st.lists(st.tuples(st.sampled_from([CF.INDEX, CF.META]), KEYS, VALUES), max_size=12)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(Path(tmp_path_factory.mktemp("staged")) / "store", Durability.WAL, EngineOptions())
    yield engine
    engine.close()


def readings(engine: Engine, begin: bytes, end: bytes, prefix: bytes, limit: int) -> list[Any]:
    found: list[Any] = []
    for cf in (CF.INDEX, CF.META):
        found += [engine.get(cf, prefix), engine.last(cf, prefix), engine.count(cf, begin, end)]
        found += [engine.scan(cf, begin, end), [*engine.pages(cf, begin, end, page=2)]]
        found += [engine.keys(cf, begin, end, limit=limit)]
        found += [engine.keys(cf, begin, end, limit=limit, beyond=lambda key: key[:1] + b"\xff")]
        found += [engine.lasts(cf, [prefix, begin])]
        for reverse in (False, True):
            found += [engine.scan_keys(cf, [(begin, end), (prefix, b"d")], reverse=reverse, limit=limit)]
            found += [engine.scan(cf, begin, end, reverse=reverse, limit=limit)]
            found += [[*engine.pages(cf, begin, end, reverse=reverse, page=3)]]
        if engine.get(cf, prefix) is not None:
            assert engine.may_exist(cf, prefix)
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(there=OPS, first=OPS, later=OPS, begin=KEYS, end=KEYS, prefix=KEYS, limit=st.integers(0, 4))
def test_what_is_staged_is_read_as_if_it_was_written(
    engine: Engine, there: Any, first: Any, later: Any, begin: bytes, end: bytes, prefix: bytes, limit: int
) -> None:
    engine.write([(cf, key, None) for cf in (CF.INDEX, CF.META) for key, _ in engine.scan(cf, b"a", b"d")])
    engine.write(there)
    staged = list(first)
    view = StagedView(engine, staged)
    before = readings(view, begin, end, prefix, limit)
    staged += later  # what is added to the list later is seen too
    seen = readings(view, begin, end, prefix, limit)
    engine.write(first)
    assert before == readings(engine, begin, end, prefix, limit)
    engine.write(later)
    assert seen == readings(engine, begin, end, prefix, limit)
