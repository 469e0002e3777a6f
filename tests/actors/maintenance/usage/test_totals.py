"""The figures of content are kept as it changes, and are exact, known and never believed where they may be old."""

from __future__ import annotations

import os
import random
from pathlib import Path

from greenroom.runtime import Runtime
from greenroom.storage.codec.keys import TOTALS_KEY, after_prefix
from greenroom.storage.content.contents import CHUNK
from greenroom.storage.engine.engine import CF, Durability, Engine, EngineOptions


def kept(rt: Runtime) -> bool:
    """Whether the figures are known without counting, and right."""
    totals = rt._store.totals
    return totals._known is not None and not totals.miscounted()


def test_the_figures_stay_known_through_everything_that_changes_content(store_path: Path, tmp_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session()
        large = os.urandom(400_000)
        session.store_artifact("t", "large", large)
        session.store_artifact("t", "large", large[:200_000] + b"inserted" + large[200_000:])
        session.store_many([{"type": "t", "name": "twice", "content": "words " * 2000} for _ in range(2)])
        session.add_message("user", "a long text " * 2000)
        session.records.put(b"record", {"text": "of a record " * 20_000})
        assert kept(rt)
        fork = session.fork()
        assert kept(rt)
        session.export(tmp_path / "one.bundle")
        rt.import_session(tmp_path / "one.bundle", keep_ids=False)
        assert kept(rt)
        session.records.delete(b"record")
        session.delete_artifact("large")
        fork.delete()
        assert kept(rt)
        rt.verify(repair=True)
        figures = rt.stats()["artifacts"]
    with Runtime.open(store_path) as rt:
        assert kept(rt)
        assert rt.stats()["artifacts"] == figures


def test_figures_that_are_not_of_the_last_close_are_not_believed(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        rt.create_session().store_artifact("t", "one", b"content")
    engine = Engine(store_path, Durability.WAL, EngineOptions())
    assert engine.get(CF.META, TOTALS_KEY) is not None
    engine.write([(CF.META, b"counts", engine.get(CF.META, b"counts"))])  # as one that does not know these figures
    engine.close()
    with Runtime.open(store_path) as rt:
        assert rt._store.totals._known is None
        assert rt.stats()["artifacts"]["count"] == 1
        assert kept(rt)


def test_wrong_figures_are_found_and_counted_anew(rt: Runtime) -> None:
    rt.create_session().store_artifact("t", "one", b"content")
    totals = rt._store.totals
    assert totals._known is not None
    totals._known = totals._known._replace(stored_bytes=1)
    assert [(each.kind, each.where) for each in rt.verify().problems] == [("count", "content totals")]
    rt.verify(repair=True)
    assert rt.stats()["artifacts"]["stored_bytes"] == len(b"content")
    assert rt.verify().problems == []


def test_a_chunk_that_replaces_a_damaged_one_counts_once(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session, engine = rt.create_session(), rt._store.engine
        values = [random.Random(number).randbytes(60_000) for number in range(8)]
        for number, value in enumerate(values):
            session.records.put(b"%d" % number, value)
        chunks = engine.keys(CF.CHUNKS, CHUNK, after_prefix(CHUNK), limit=1000)
        engine.write([(CF.CHUNKS, key, b"\x00damaged") for key in chunks])
        assert len(rt.verify(repair=True).quarantined) == len(values)
        rt.stats()
        assert kept(rt)
        for time in range(3):
            for number, value in enumerate(values):
                # The references of the damaged contents, which state no size, may come before those of the new ones.
                session.records.put(b"%d new %d" % (number, time), value + b"%d" % time)
                assert kept(rt)
        for number in range(len(values)):
            for time in range(3):
                # What is left refers to the chunk without a size.
                session.records.delete(b"%d new %d" % (number, time))
                assert not rt._store.totals.miscounted()
                rt.stats()
