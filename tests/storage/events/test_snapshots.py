"""Snapshots are a shortcut that may be missing, and they are paid for by the events between them."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from greenroom.storage.codec.keys import sequence_key
from greenroom.storage.codec.records import seal
from greenroom.storage.engine.engine import CF, Engine
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.snapshots import ANCHOR_BYTES, SnapshotTrail, is_anchor


@pytest.fixture
def session() -> bytes:
    return os.urandom(16)


class Kept:
    """A journal of events of one size, with the snapshots that are written on the way."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.session = os.urandom(16)
        self.journal = Journal(engine)
        self.trail = SnapshotTrail()
        self.sequence = 0
        self.events = 0

    def grow(self, size: int) -> None:
        """Journal one event of about so many bytes."""
        self.sequence += 1
        op = Journal.append(self.session, self.sequence, StoredEvent("x", 1, {"k": bytes(size)}, 1, 0, 0))
        self.engine.write([op])
        self.events += len(op[2] or b"")
        self.trail.bytes += len(op[2] or b"")
        self.trail.events += 1

    def save(self, state: bytes) -> None:
        self.engine.write(self.trail.write(self.journal, self.session, self.sequence, state))

    @property
    def bytes(self) -> int:
        return sum(snapshot.size for snapshot in self.journal.snapshots(self.session))

    def reopen(self) -> None:
        """Remember what a newly loaded session does."""
        newest = next(self.journal.snapshots(self.session), None)
        trail = SnapshotTrail.behind(newest) if newest is not None else SnapshotTrail()
        for run in self.journal.runs(self.session, newest.sequence if newest is not None else 0):
            trail.bytes += run.bytes
            trail.events += len(run.events)
        assert {name: getattr(trail, name) for name in trail.__slots__} == {
            name: getattr(self.trail, name) for name in self.trail.__slots__
        }
        self.trail = trail


def test_the_newest_snapshot_takes_the_place_of_the_one_before(engine: Engine) -> None:
    kept = Kept(engine)
    for _ in range(5):
        kept.grow(100)
        kept.save(b"state %d" % kept.sequence)
    (only,) = kept.journal.snapshots(kept.session)
    assert (only.sequence, only.state, only.digest) == (5, b"state 5", blake3(b"state 5").digest())
    assert (only.anchor, only.since) == (0, kept.events)


@given(
    st.lists(
        st.tuples(st.integers(120, ANCHOR_BYTES), st.floats(0, 1), st.booleans(), st.booleans()),
        min_size=1,
        max_size=30,
    )
)
def test_snapshots_never_take_more_than_the_journal_and_none_is_far(
    engine: Engine, steps: list[tuple[int, float, bool, bool]]
) -> None:
    kept, state = Kept(engine), 0
    for size, share, save, reopen in steps:
        kept.grow(size)
        state += int(size * share)  # what an event adds to the state is less than its own size
        if save or kept.trail.bytes > kept.trail.due:
            kept.save(bytes(max(0, state - 100)))
        if reopen:
            kept.reopen()
        assert kept.bytes <= kept.events
    anchors = [each for each in kept.journal.snapshots(kept.session) if is_anchor(each.since, each.size)]
    assert len(list(kept.journal.snapshots(kept.session))) - len(anchors) <= 1
    before = 0
    for each in reversed(anchors):
        assert each.anchor == before
        assert each.since == kept.journal.size(kept.session, before, each.sequence)
        before = each.sequence


def test_any_event_of_a_long_journal_is_near_a_snapshot(engine: Engine) -> None:
    kept = Kept(engine)
    for number in range(4000):
        kept.grow(400)
        if kept.trail.bytes > kept.trail.due or number % 50 == 0:
            kept.save(bytes(1000))
        if number % 100 == 0:
            kept.reopen()
    places = [0, *kept.journal.snapshot_sequences(kept.session), kept.sequence]
    far = max(kept.journal.size(kept.session, before, after) for before, after in pairwise(places))
    assert far < ANCHOR_BYTES + 50 * 500
    assert kept.bytes < kept.events // 50


def test_bytes_that_a_truncation_has_removed_pay_for_nothing(engine: Engine) -> None:
    kept = Kept(engine)
    for _ in range(20):
        kept.grow(ANCHOR_BYTES // 16)
    engine.write([Journal.rebase(kept.session, 19, b"base")])
    engine.write([(CF.JOURNAL, sequence_key(kept.session, each), None) for each in range(1, 20)])
    kept.save(b"state")
    (only,) = kept.journal.snapshots(kept.session)
    assert (only.anchor, only.since) == (19, kept.journal.size(kept.session, 19, 20))
    assert not is_anchor(only.since, only.size)


def test_a_damaged_base_keeps_nobody_from_writing(engine: Engine) -> None:
    kept = Kept(engine)
    engine.write([(CF.SNAPSHOTS, sequence_key(kept.session, 0), b"garbage")])
    for _ in range(20):
        kept.grow(ANCHOR_BYTES // 16)
    kept.save(b"state")
    (only,) = kept.journal.snapshots(kept.session)
    assert (only.state, only.since) == (b"state", 0)


def test_a_snapshot_from_before_there_were_anchors_is_valid_and_replaced(engine: Engine, session: bytes) -> None:
    key, journal = sequence_key(session, 3), Journal(engine)
    engine.write([(CF.SNAPSHOTS, key, seal(key, [blake3(b"old").digest(), b"old"]))])
    (old,) = journal.snapshots(session)
    assert (old.sequence, old.state) == (3, b"old")
    trail = SnapshotTrail.behind(old)
    engine.write(trail.write(journal, session, 4, b"new"))
    assert [each.state for each in journal.snapshots(session)] == [b"new"]


def test_a_damaged_snapshot_is_skipped(engine: Engine, session: bytes) -> None:
    journal = Journal(engine)
    one, two = sequence_key(session, 1), sequence_key(session, 2)
    engine.write([(CF.SNAPSHOTS, one, seal(one, [blake3(b"one").digest(), b"one", 0, 0]))])
    intact = seal(two, [blake3(b"two").digest(), b"two", 0, 0])
    lying = seal(two, [blake3(b"another").digest(), b"two", 0, 0])
    for record in (b"", b"garbage", intact[:-1], bytes([intact[0]]) + b"\x00" + intact[2:], lying):
        engine.write([(CF.SNAPSHOTS, two, record)])
        assert [each.sequence for each in journal.snapshots(session)] == [1]
        assert journal.snapshot(session, 2) is None
        assert journal.snapshot_sequences(session) == [1, 2]


def test_only_the_snapshots_that_are_asked_for_are_read(engine: Engine, session: bytes) -> None:
    journal = Journal(engine)
    for sequence in range(1, 9):
        key = sequence_key(session, sequence)
        state = b"state %d" % sequence
        engine.write([(CF.SNAPSHOTS, key, seal(key, [blake3(state).digest(), state, 0, 0]))])
    assert next(journal.snapshots(session)).sequence == 8
    assert next(journal.snapshots(session, 5)).sequence == 5
    assert [each.sequence for each in journal.snapshots_behind(session, 2, 5)] == [3, 4, 5]
