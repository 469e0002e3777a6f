"""Keys sort as what they stand for: that is what makes ranges of them answers."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.storage.codec.keys import (
    after_prefix,
    artifact_name_prefix,
    is_session_id,
    sequence_key,
    session_bytes,
    session_id_of,
)
from greenroom.storage.engine.engine import CF, Engine

SESSIONS = st.binary(min_size=16, max_size=16)
SEQUENCES = st.integers(0, (1 << 64) - 1)
SESSION_IDS = st.builds(lambda raw: str(uuid.UUID(bytes=raw, version=4)), SESSIONS)
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)


@given(SESSION_IDS)
def test_a_session_id_and_its_bytes_are_the_same_thing(session_id: str) -> None:
    assert is_session_id(session_id)
    assert session_bytes(session_id) == uuid.UUID(session_id).bytes
    assert session_id_of(session_bytes(session_id)) == session_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "6F9619FF-8B86-4011-B42D-00CF4FC964FF",  # capitals
        "6f9619ff8b864011b42d00cf4fc964ff",  # no hyphens
        "6f9619ff-8b86-1011-b42d-00cf4fc964ff",  # version 1
        "6f9619ff-8b86-4011-042d-00cf4fc964ff",  # not the RFC's variant
        "6f9619ff-8b86-4011-b42d-00cf4fc964ff\n",
        " 6f9619ff-8b86-4011-b42d-00cf4fc964ff",
        "6f9619ff-8b86-4011-b42d-00cf4fc964f٣",
        None,
        7,
        b"6f9619ff-8b86-4011-b42d-00cf4fc964ff",
    ],
)
def test_only_one_spelling_of_an_id_counts(text: object) -> None:
    assert not is_session_id(text)


@given(SESSIONS, SEQUENCES, SESSIONS, SEQUENCES)
def test_sequence_keys_sort_by_session_then_number(one: bytes, first: int, other: bytes, second: int) -> None:
    assert (sequence_key(one, first) < sequence_key(other, second)) == ((one, first) < (other, second))


@given(st.binary(max_size=8), st.binary(max_size=12))
def test_after_prefix_ends_exactly_where_the_prefix_does(prefix: bytes, key: bytes) -> None:
    end = after_prefix(prefix)
    assert prefix < end
    assert (prefix <= key < end) == key.startswith(prefix)


@given(SESSIONS, NAMES, st.integers(1, (1 << 32) - 1), NAMES, st.integers(1, (1 << 32) - 1))
def test_versions_of_one_name_are_a_range_of_their_own(
    session: bytes, name: str, version: int, other: str, other_version: int
) -> None:
    prefix = artifact_name_prefix(session, name)
    key = artifact_name_prefix(session, other) + other_version.to_bytes(4, "big")
    assert (prefix <= key < after_prefix(prefix)) == (name == other)
    same = prefix + version.to_bytes(4, "big")
    if name == other:
        assert (same < key) == (version < other_version)


@given(st.sets(st.tuples(SESSIONS, st.integers(1, 500)), min_size=1, max_size=20))
@settings(max_examples=25)
def test_the_store_hands_out_a_session_in_the_order_of_its_numbers(
    engine: Engine, entries: set[tuple[bytes, int]]
) -> None:
    engine.write([(CF.JOURNAL, sequence_key(session, number), b"x") for session, number in entries])
    for session in {session for session, _ in entries}:
        numbers = sorted(number for owner, number in entries if owner == session)
        found = engine.scan(CF.JOURNAL, session, after_prefix(session))
        assert [int.from_bytes(key[16:], "big") for key, _ in found] == numbers
        last = engine.last(CF.JOURNAL, session)
        assert last is not None
        assert last[0] == sequence_key(session, numbers[-1])
    engine.write([(CF.JOURNAL, sequence_key(session, number), None) for session, number in entries])
