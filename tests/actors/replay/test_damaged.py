"""A journal that is damaged in one place: what was before is there, and what comes behind says where the damage is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from blake3 import blake3

from greenroom.actors.replay.history import History
from greenroom.actors.session.state.model import SessionState
from greenroom.runtime import IntegrityError, Runtime, Session
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.codec.records import seal
from greenroom.storage.engine.engine import CF, Engine

from ...conftest import DrivenClock

OnDisk = Callable[[], AbstractContextManager[Engine]]
WHERE = 9


def filled(path: Path, clock: DrivenClock) -> str:
    """A session with an event every ten seconds, a message every third."""
    with Runtime.open(path, clock=clock) as rt:
        s = rt.create_session()
        for number in range(2, 21):
            clock.advance(10)
            if number % 3:
                s.set("k", number)
            else:
                s.add_message("user", f"message {number}")
        return s.id


def read(history: History) -> tuple[list[int], int]:
    """The events that come before the damage, and where it is."""
    found: list[int] = []
    try:
        found += (sequence for sequence, _ in history.events())
    except IntegrityError as error:
        return found, error.sequence
    raise AssertionError("nothing was damaged")


def check(s: Session, *, last: int = 20) -> None:
    """Everything before the damage is served, and everything behind it names the place."""
    for sequence in range(1, WHERE):
        past = s.at(sequence=sequence)
        assert past.variables.get("k") == max((n for n in range(2, sequence + 1) if n % 3), default=None)
        assert [each.sequence for each in past.messages] == [n for n in range(3, sequence + 1) if n % 3 == 0]
    for sequence in range(WHERE, last + 1):
        with pytest.raises(IntegrityError) as caught:
            s.at(sequence=sequence)
        assert (caught.value.sequence, caught.value.session_id) == (WHERE, s.id)
    began = s.at(sequence=1).time
    for sequence in range(1, WHERE):
        assert s.at(time=began + timedelta(seconds=10 * (sequence - 1))).sequence == sequence
    for sequence in (WHERE, last) if last == 20 else ():
        with pytest.raises(IntegrityError) as caught:
            s.at(time=began + timedelta(seconds=10 * (sequence - 1)))
        assert caught.value.sequence == WHERE
    with pytest.raises(IntegrityError):  # at some time within these ten seconds the lost event came
        s.at(time=began + timedelta(seconds=10 * (WHERE - 1) - 5))


@pytest.mark.parametrize("how", ["garbage", "another event", "missing"])
def test_the_place_is_named(store_path: Path, on_disk: OnDisk, clock: DrivenClock, how: str) -> None:
    session_id = filled(store_path, clock)
    key = sequence_key(session_bytes(session_id), WHERE)
    with on_disk() as engine:
        other = engine.get(CF.JOURNAL, sequence_key(session_bytes(session_id), 2))
        engine.write([(CF.JOURNAL, key, {"garbage": b"garbage", "another event": other, "missing": None}[how])])
        engine.write([(CF.SNAPSHOTS, sequence_key(session_bytes(session_id), 20), None)])  # closing has written it
    for read_only in (True, False):
        with Runtime.open(store_path, read_only=read_only) as rt:
            check(rt.session(session_id))
            history = History(rt._store, session_id)
            assert read(history) == (list(range(1, WHERE)), WHERE)


def test_what_an_intact_snapshot_behind_the_damage_tells_is_served(
    store_path: Path, on_disk: OnDisk, clock: DrivenClock
) -> None:
    session_id = filled(store_path, clock)
    with on_disk() as engine:
        engine.write([(CF.JOURNAL, sequence_key(session_bytes(session_id), WHERE), b"garbage")])
    with Runtime.open(store_path) as rt:
        s = rt.session(session_id)
        check(s, last=19)
        s.set("k", "after")
        assert s.at(sequence=20).variables == {"k": 20}
        assert s.at(sequence=21).variables == {"k": "after"}
        with pytest.raises(IntegrityError) as caught:  # the conversation is in no snapshot
            _ = s.at(sequence=20).messages
        assert caught.value.sequence == WHERE


def test_a_damaged_block_of_a_file_ends_what_is_served_where_it_begins(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        s = rt.create_session()
        for number in range(2, 1500):
            s.set("k", number)
        rt.compact()
    largest = max(store_path.rglob("*.sst"), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 0xFF
    largest.write_bytes(data)
    with Runtime.open(store_path) as rt:
        before, where = read(History(rt._store, s.id))
        assert before == list(range(1, where))
        assert 1 < where < 1499
        s = rt.session(s.id)
        assert s.at(sequence=where - 1).variables == {"k": where - 1}
        with pytest.raises(IntegrityError) as caught:
            s.at(sequence=where + 1)
        assert caught.value.sequence == where


def test_every_snapshot_is_checked_against_the_journal(store_path: Path, on_disk: OnDisk) -> None:
    with Runtime.open(store_path) as rt:
        s = rt.create_session()
        for number in range(6000):
            s.set(f"k{number % 50}", number)
        places = rt._store.journal.snapshot_sequences(session_bytes(s.id))
    assert len(places) == 2
    lying, torn = (sequence_key(session_bytes(s.id), place) for place in places)
    state = SessionState(s.id)
    state.sequence = places[0]
    with on_disk() as engine:
        data = state.encode()
        engine.write([(CF.SNAPSHOTS, lying, seal(lying, [blake3(data).digest(), data, 0, 1 << 20]))])
        engine.write([(CF.SNAPSHOTS, torn, b"garbage")])
    with Runtime.open(store_path) as rt:
        s = rt.session(s.id)
        assert s.at(sequence=places[0]).variables == {}, "what has its digest is believed until it is verified"
        named = [(each.kind, each.where) for each in rt.verify().problems]
        assert named == [("snapshot", f"{s.id}/{place}") for place in places]
        rt.verify(repair=True)
        assert rt.verify().ok
        assert rt._store.journal.snapshot_sequences(session_bytes(s.id)) == [s.info().sequence]
        for place in places:
            last = range(place - 51, place - 1)  # event 1 created the session
            assert s.at(sequence=place).variables == {f"k{number % 50}": number for number in last}
