"""A journal that is not what it was: altered events are named, and damage stops the replay where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import IntegrityError, Runtime, Session
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.codec.records import pack_value
from greenroom.storage.engine.engine import CF
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.model import StoredEvent


@pytest.fixture
def rt(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime.open(tmp_path / "store") as rt:
        yield rt


@pytest.fixture
def s(rt: Runtime) -> Session:
    s = rt.create_session(tags=["t"])
    s.set("a", 1)  # 2
    s.set("b", 1)  # 3
    message = s.add_message("user", "one").sequence  # 4
    s.edit_message(message, content="two")  # 5
    s.edit_message(message, metadata={"m": 1})  # 6
    s.store_artifact("note", "n", "one")  # 7
    s.store_artifact("note", "n", "two")  # 8
    s.delete_artifact("n", version=1)  # 9
    s.update_metadata({"m": 1})  # 10
    s.records.put(b"k", 1)  # 11
    s.records.put(b"k", 2)  # 12
    s.set("a", 2)  # 13
    s.save()  # 14, and a snapshot
    s.set("c", 3)  # 15
    return s


def alter(rt: Runtime, session: Session, sequence: int, change: Callable[[StoredEvent], StoredEvent]) -> None:
    """Put another event in the place of one, sealed as if it had always been there."""
    raw = session_bytes(session.id)
    stored = rt._store.journal.stored(raw, sequence)
    rt._store.engine.write([Journal.append(raw, sequence, change(stored))])


def data(**changes: Any) -> Callable[[StoredEvent], StoredEvent]:
    return lambda stored: stored._replace(data={**stored.data, **changes})


def deletion_of_a(stored: StoredEvent) -> StoredEvent:
    return stored._replace(type="variable.deleted", data={"key": "a"})


ALTERED: dict[str, tuple[int, Callable[[StoredEvent], StoredEvent]]] = {
    "another value of a variable": (3, data(value=pack_value(7))),
    "another variable": (3, data(key="z")),
    "another time of the creation": (1, lambda stored: stored._replace(time=stored.time - 5)),
    "a time before": (6, lambda stored: stored._replace(time=1)),
    "another number": (6, lambda stored: stored._replace(operation_count=stored.operation_count + 1)),
    "the same number": (6, lambda stored: stored._replace(operation_count=stored.operation_count - 1)),
    "other totals": (8, lambda stored: stored._replace(artifact_bytes=1)),
    "another version": (8, data(version=5)),
    "another previous content": (8, data(previous_hash=b"x" * 32)),
    "another type of artifact": (8, data(type="log")),
    "a deletion of another artifact": (9, data(sequence=2)),
    "another turn": (5, data(sequence=2)),
    "no pointer to the edit before": (6, lambda stored: stored._replace(data=without(stored.data, "content_at"))),
    "a pointer to another edit": (6, data(base=3)),
    "another record that was replaced": (12, data(changes=[[b"k", b"x" * 32, 1, 1, 77]])),
    "a deletion in the place of a setting": (13, deletion_of_a),
    "a number that is a truth": (8, data(version=True)),
    "a field more": (3, data(more=1)),
}  # fmt: skip


def without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


@pytest.mark.parametrize("what", ALTERED)
def test_the_first_event_that_is_not_what_it_was_is_named(rt: Runtime, s: Session, what: str) -> None:
    sequence, change = ALTERED[what]
    assert rt.replay(s).identical
    alter(rt, s, sequence, change)
    result = rt.replay(s)
    assert not result.identical
    assert result.divergence is not None
    assert result.divergence.sequence == sequence, result.divergence
    assert result.divergence.reason
    assert result.stopped is None
    assert result.last == 15


def test_what_becomes_impossible_by_an_altered_event_is_named(rt: Runtime, s: Session) -> None:
    alter(rt, s, 3, lambda stored: stored._replace(type="session.suspended", data={}))
    result = rt.replay(s)
    assert result.divergence is not None
    assert (result.errors[0].sequence, result.errors[0].code) == (4, "InvalidSessionState")
    assert result.divergence.sequence == 3  # as the snapshot tells
    assert (result.last, result.identical) == (15, False)
    assert rt.replay(s, {"stop_on_error": True}).stopped_at == 4


def test_a_replay_that_only_folds_sees_it_by_the_snapshot_after_it(rt: Runtime, s: Session) -> None:
    alter(rt, s, 3, data(value=pack_value(7)))
    result = rt.replay(s, {"compare_results": False})
    assert not result.identical
    assert [check.intact for check in result.checks] == [False]
    assert result.divergence is not None
    assert result.divergence.sequence == 3
    (difference,) = result.divergence.differences
    assert (difference.path, difference.recorded, difference.replayed) == ("variables.b", 1, 7)


def test_an_event_of_a_type_that_is_not_known_is_taken_as_it_is(rt: Runtime, s: Session) -> None:
    alter(rt, s, 15, lambda stored: stored._replace(type="newer.kind", data={"anything": 1}))
    result = rt.replay(s)
    assert result.identical
    assert result.taken == 2  # and the creation


@pytest.mark.parametrize("harm", ["damaged", "missing", "misshapen"])
def test_at_damage_a_replay_stops_and_says_where(rt: Runtime, s: Session, harm: str) -> None:
    key = sequence_key(session_bytes(s.id), 8)
    if harm == "misshapen":
        alter(rt, s, 8, lambda stored: stored._replace(data={}))
    else:
        record = rt._store.engine.get(CF.JOURNAL, key)
        assert record is not None
        rt._store.engine.write([(CF.JOURNAL, key, record[:-1] + b"x" if harm == "damaged" else None)])
    for config in ({}, {"mode": "debug"}, {"compare_results": False}):
        result = rt.replay(s, config)
        assert (result.stopped, result.stopped_at, result.identical) == ("damage", 8, False)
        assert result.last == 7
        assert result.variables == {"a": 1, "b": 1}
        assert "8" in str(result.reason)
    assert rt.replay(s, {"target_sequence": 7}).identical
    if harm != "misshapen":
        with pytest.raises(IntegrityError):
            s.at(sequence=8)


def test_after_a_repair_the_lost_event_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with Runtime.open(path) as rt:
        s = rt.create_session()
        s.set("a", 1)
        s.set("b", 1)
        s.save()
        s.set("c", 1)
        key = sequence_key(session_bytes(s.id), 2)
        record = rt._store.engine.get(CF.JOURNAL, key)
        assert record is not None
        rt._store.engine.write([(CF.JOURNAL, key, record[:-1] + b"x")])
        assert rt.replay(s).stopped_at == 2
        rt.verify(repair=True)
        result = rt.replay(s)
        assert (result.stopped, result.identical) == (None, False)
        assert result.divergence is not None
        assert (result.divergence.sequence, result.divergence.type) == (2, "event.lost")
        assert {**result.variables, "a": 0} == {"a": 0, "b": 1, "c": 1}
