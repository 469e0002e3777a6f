"""Chunks that several contents of one batch share."""

from __future__ import annotations

import random

from greenroom.runtime import Runtime
from greenroom.storage.content.contents import CHUNK
from greenroom.storage.engine.engine import CF


def test_a_batch_that_replaces_damaged_content_keeps_the_chunks_that_it_refers_to(rt: Runtime) -> None:
    session, engine = rt.create_session(), rt._store.engine
    value = random.Random(1).randbytes(100_000)
    session.records.put(b"damaged", value)
    [first, *_] = engine.keys(CF.CHUNKS, CHUNK, b"\x02", limit=1)
    engine.write([(CF.CHUNKS, first, b"\x00damaged")])
    assert len(rt.verify(repair=True).quarantined) == 1
    with session.batch() as batch:
        batch.records.put(b"longer", value + b"and more")
        batch.store_artifact("t", "the same", value)
    assert session.records.get(b"longer") == value + b"and more"
    assert session.records.get(b"damaged") == value
    assert rt.verify().problems == []
    assert not rt._store.totals.miscounted()
