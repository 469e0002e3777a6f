"""The journal has no gaps and trusts nothing damaged."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.storage.codec.keys import sequence_key
from greenroom.storage.codec.records import pack_value, seal
from greenroom.storage.common.times import iso_time, utc_time
from greenroom.storage.engine.engine import CF, Engine
from greenroom.storage.errors import IntegrityError
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.model import StoredEvent

MOMENT = 1_700_000_000_123_456_789


def stored(number: int, type_: str = "variable.set", data: dict[str, Any] | None = None) -> StoredEvent:
    return StoredEvent(type_, MOMENT + number, data or {"key": f"k{number}", "value": pack_value(number)}, number, 0, 0)


@pytest.fixture
def session() -> bytes:
    return os.urandom(16)


@pytest.fixture
def journal(engine: Engine, session: bytes) -> Journal:
    """A journal in which this session has ten events, and its neighbours have some."""
    lower, higher = bytes(16), b"\xff" * 16
    engine.write([Journal.append(owner, number, stored(number)) for owner in (lower, higher) for number in range(1, 4)])
    engine.write([Journal.append(session, number, stored(number)) for number in range(1, 11)])
    return Journal(engine)


def test_events_come_in_order_from_where_one_asks(journal: Journal, session: bytes) -> None:
    assert [sequence for sequence, _ in journal.read(session)] == list(range(1, 11))
    assert [event.sequence for event in journal.events(session, after=7)] == [8, 9, 10]
    assert [event.sequence for event in journal.events(session, after=2, limit=3)] == [3, 4, 5]
    assert list(journal.events(session, after=10)) == []
    assert list(journal.events(session, limit=0)) == []
    last = journal.last(session)
    assert last is not None
    assert last[0] == 10


def test_an_event_shows_what_was_journaled(journal: Journal, session: bytes) -> None:
    event = journal.event(session, 4)
    assert (event.type, event.sequence, event.data) == ("variable.set", 4, {"key": "k4", "value": 4})
    assert event.timestamp == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
    assert event.id == f"{event.session_id}/4"
    row = event.to_dict()
    assert row["timestamp"] == "2023-11-14T22:13:20.123456Z"
    assert row["data"] == {"key": "k4", "value": 4}
    row["data"]["key"] = "changed"
    assert journal.event(session, 4).data["key"] == "k4"


def test_a_session_without_events_has_no_last_one(journal: Journal) -> None:
    assert journal.last(os.urandom(16)) is None
    assert list(journal.read(os.urandom(16))) == []


@pytest.mark.parametrize("missing", [1, 5])
def test_a_gap_is_an_integrity_error_that_says_where(
    engine: Engine, journal: Journal, session: bytes, missing: int
) -> None:
    engine.write([(CF.JOURNAL, sequence_key(session, missing), None)])
    read = []
    with pytest.raises(IntegrityError) as caught:
        read.extend(sequence for sequence, _ in journal.read(session))
    assert caught.value.fields["sequence"] == missing
    assert f"event {missing} " in str(caught.value)
    with pytest.raises(IntegrityError):
        journal.event(session, missing)
    assert [sequence for sequence, _ in journal.read(session, after=missing)] == list(range(missing + 1, 11))


def test_a_damaged_event_is_an_integrity_error_and_those_before_it_are_read(
    engine: Engine, journal: Journal, session: bytes
) -> None:
    key = sequence_key(session, 6)
    engine.write([(CF.JOURNAL, key, seal(sequence_key(session, 7), stored(6)))])  # another event's record
    read: list[int] = []
    with pytest.raises(IntegrityError, match="event 6 "):
        read.extend(sequence for sequence, _ in journal.read(session))
    assert read == [1, 2, 3, 4, 5]


def test_pages_do_not_show_in_what_is_read(engine: Engine, session: bytes) -> None:
    count = Journal.PAGE * 2 + 3
    engine.write([Journal.append(session, number, stored(number)) for number in range(1, count + 1)])
    assert [event.data["value"] for event in Journal(engine).events(session)] == list(range(1, count + 1))


@given(st.integers(0, (1 << 62) - 1))
def test_times_are_aware_and_exact_to_the_microsecond(nanoseconds: int) -> None:
    when = utc_time(nanoseconds)
    assert when.tzinfo is UTC
    text = iso_time(when)
    assert text is not None
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == when
    assert (when - datetime(1970, 1, 1, tzinfo=UTC)).days == nanoseconds // (86_400 * 10**9)
