"""Damaged records: an error where they are read, a name in the report, and no harm to any other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from greenroom.runtime import GreenroomError, IntegrityError, Runtime, Session
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.engine.engine import CF, Engine
from greenroom.storage.records.records import record_key

CONFIG = {"artifact_cache_bytes": 0, "handle_signals": False}
LARGE = b"".join(b"line %d of a large value\n" % number for number in range(500))
VALUES = {b"a": b"first", b"b": {"second": 2}, b"c": LARGE, b"d": b"last"}
OnDisk = Callable[[], AbstractContextManager[Engine]]


@pytest.fixture
def session(rt: Runtime) -> Session:
    session = rt.create_session()
    session.records.put_many(VALUES)
    return session


def flip(rt: Runtime, family: int, key: bytes) -> None:
    engine = rt._store.engine
    value = bytearray(engine.get(family, key) or b"")
    value[len(value) // 2] ^= 0x10
    engine.write([(family, key, bytes(value))])


def chunk_of(rt: Runtime, session: Session) -> bytes:
    return rt._store.engine.scan(CF.CHUNKS, b"\x01", b"\x02", limit=1)[0][0]


def check_the_others(session: Session, damaged: bytes) -> None:
    for key, value in VALUES.items():
        if key != damaged:
            assert session.records.get(key) == value
    assert session.records.keys() == list(VALUES)
    with pytest.raises(IntegrityError):
        session.records.scan()
    with pytest.raises(IntegrityError):
        session.records.get_many([*VALUES])
    others = [key for key in VALUES if key != damaged]
    assert session.records.get_many(others) == {key: VALUES[key] for key in others}
    assert session.records.scan(after=damaged) == [row for row in VALUES.items() if row[0] > damaged]


@pytest.mark.parametrize("key", [b"a", b"b"])
def test_a_flipped_byte_in_a_record(rt: Runtime, session: Session, key: bytes) -> None:
    flip(rt, CF.INDEX, record_key(session_bytes(session.id), key))
    with pytest.raises(IntegrityError) as caught:
        session.records.get(key)
    assert repr(key) in str(caught.value)
    check_the_others(session, key)
    for read in (session.fork, lambda: session.export("/dev/null")):
        with pytest.raises(GreenroomError):
            read()
    problems = rt.verify().problems
    assert [(each.kind, each.where) for each in problems] == [("record", session.id)]
    assert repr(key) in problems[0].detail

    report = rt.verify(repair=True)
    assert report.ok
    assert report.quarantined == [f"{session.id}/{key.hex()}"]
    with pytest.raises(IntegrityError):
        session.records.get(key)
    check_the_others(session, key)
    assert rt.verify().problems == []
    assert session.records.count() == len(VALUES)

    session.records.put(key, VALUES[key])
    assert session.records.scan() == list(VALUES.items())
    report = rt.verify()
    assert (report.problems, report.quarantined) == ([], [])
    assert session.records.count() == len(VALUES)


@pytest.mark.parametrize("repaired", [True, False])
def test_a_damaged_record_can_be_put_anew_and_deleted(rt: Runtime, session: Session, repaired: bool) -> None:
    for key in (b"a", b"b"):
        flip(rt, CF.INDEX, record_key(session_bytes(session.id), key))
    if repaired:
        rt.verify(repair=True)
    session.records.put(b"a", b"new")
    assert session.records.delete(b"b") is True
    assert session.records.scan() == [(b"a", b"new"), (b"c", LARGE), (b"d", b"last")]
    assert session.records.count() == 3
    assert rt.verify().problems == []


def test_a_flipped_byte_in_a_chunk(rt: Runtime, session: Session) -> None:
    flip(rt, CF.CHUNKS, chunk_of(rt, session))
    with pytest.raises(IntegrityError):
        session.records.get(b"c")
    check_the_others(session, b"c")
    assert [each.kind for each in rt.verify().problems] == ["content"]
    assert rt.verify(repair=True).ok
    check_the_others(session, b"c")
    session.records.put(b"c", LARGE)
    assert session.records.scan() == list(VALUES.items())
    report = rt.verify()
    assert (report.problems, report.quarantined) == ([], [])


def test_a_damaged_entry_of_a_large_value_is_written_anew(rt: Runtime, session: Session) -> None:
    flip(rt, CF.INDEX, record_key(session_bytes(session.id), b"c"))
    check_the_others(session, b"c")
    assert rt.verify(repair=True).ok
    assert session.records.scan() == list(VALUES.items())
    assert rt.verify().problems == []


def test_a_value_of_another_record_is_found_by_its_hash(rt: Runtime, session: Session) -> None:
    engine, raw = rt._store.engine, session_bytes(session.id)
    session.records.put(b"a", b"older")
    older = engine.get(CF.INDEX, record_key(raw, b"a"))
    session.records.put(b"a", b"newer")
    engine.write([(CF.INDEX, record_key(raw, b"a"), older)])  # a write that the disk has lost
    assert [each.kind for each in rt.verify().problems] == ["record"]


def test_a_missing_and_an_unknown_record(rt: Runtime, session: Session) -> None:
    engine, raw = rt._store.engine, session_bytes(session.id)
    session.records.put(b"x", 1)
    entry = engine.get(CF.INDEX, record_key(raw, b"x"))
    session.records.delete(b"x")
    engine.write([(CF.INDEX, record_key(raw, b"x"), entry), (CF.INDEX, record_key(raw, b"a"), None)])
    details = sorted(each.detail for each in rt.verify().problems)
    assert details == ["has record b'x' that its journal does not know", "record b'a' is missing"]
    assert rt.verify(repair=True).ok
    assert session.records.keys() == list(VALUES)
    with pytest.raises(IntegrityError):
        session.records.get(b"a")
    assert rt.verify().problems == []


def test_a_record_of_no_session_is_moved_to_the_quarantine(rt: Runtime, session: Session) -> None:
    engine, raw = rt._store.engine, session_bytes(session.id)
    key = record_key(raw, b"\xff" * 1024)
    session.records.put(b"\xff" * 1024, 1)
    entry = engine.get(CF.INDEX, key)
    session.delete()
    engine.write([(CF.INDEX, key, entry)])
    assert [each.kind for each in rt.verify().problems] == ["index"]
    assert rt.verify(repair=True).ok
    assert rt.verify().problems == []
    assert engine.get(CF.META, b"quarantine/" + bytes([CF.INDEX]) + key) == entry


@pytest.mark.parametrize("how", ["flipped", "missing"])
def test_a_lost_event_is_told_by_its_records(rt: Runtime, session: Session, how: str) -> None:
    session.records.put(b"a", b"later")
    event = sequence_key(session_bytes(session.id), 2)
    if how == "flipped":
        flip(rt, CF.JOURNAL, event)
    else:
        rt._store.engine.write([(CF.JOURNAL, event, None)])
    rt._supervisor.forget()
    assert not rt.verify().ok
    assert rt.verify(repair=True).ok
    assert rt.verify().problems == []
    assert session.records.scan() == list({**VALUES, b"a": b"later"}.items())
    assert session.records.count() == len(VALUES)
    assert rt._supervisor.table.actors[session.id].state.more["records"] == {
        "count": len(VALUES),
        "bytes": sum(len(key) + each.size for key, each in rt._store.records.all(session_bytes(session.id))),
    }
    session.records.put(b"c", LARGE[:-1])
    session.records.delete(b"b")
    assert session.records.keys() == [b"a", b"c", b"d"]
    assert rt.verify().problems == []
    session.delete()
    assert rt.stats()["artifacts"]["contents"] == 0


@pytest.mark.parametrize("lost", [[3], [4], [3, 4], [2, 4], [2, 3, 4, 5]])
@pytest.mark.parametrize("saved", [False, True])
def test_the_totals_are_right_after_events_were_lost(
    rt: Runtime, session: Session, lost: list[int], saved: bool
) -> None:
    session.records.delete(b"a")
    session.records.put_many({b"a": b"again", b"b": LARGE, b"x": 1})
    session.records.delete_many([b"x", b"d"])
    if saved:
        session.save()
    for number in lost:
        flip(rt, CF.JOURNAL, sequence_key(session_bytes(session.id), number))
    rt._supervisor.forget()
    there = session_bytes(session.id)
    assert rt.verify(repair=True).ok
    assert rt.verify().problems == []
    session.accept_losses()
    assert session.records.keys() == [b"a", b"b", b"c"]
    assert session.records.count() == 3
    held = sum(len(key) + each.size for key, each in rt._store.records.all(there))
    assert rt._supervisor.table.actors[session.id].state.more["records"] == {"count": 3, "bytes": held}
    session.records.delete_prefix(b"")
    assert "records" not in rt._supervisor.table.actors[session.id].state.more
    assert rt.verify().problems == []


def test_a_session_with_damaged_records_can_be_deleted(rt: Runtime, session: Session) -> None:
    for key in VALUES:
        flip(rt, CF.INDEX, record_key(session_bytes(session.id), key))
    session.delete()
    assert not rt.exists(session.id)
    rt.verify(repair=True)
    assert rt.verify().problems == []
    assert rt.stats()["artifacts"]["contents"] == 0


def test_damage_of_a_closed_store_is_found_after_opening(store_path: Path, on_disk: OnDisk) -> None:
    with Runtime.open(store_path, config=CONFIG) as rt:
        session = rt.create_session()
        session.records.put_many(VALUES)
    key = record_key(session_bytes(session.id), b"a")
    with on_disk() as engine:
        value = engine.get(CF.INDEX, key)
        assert value is not None
        engine.write([(CF.INDEX, key, value[:-1])])
    with Runtime.open(store_path, config=CONFIG) as rt:
        check_the_others(rt.session(session.id), b"a")
