"""Damaged events about messages: the conversation is repaired as far as anything tells of it, and all else stays."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.runtime import IntegrityError, Runtime, Session
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.engine.engine import CF

LONG = "a longer text. " * 1000


@pytest.fixture
def session(rt: Runtime) -> Session:
    """Events: 2 to 4 messages, 5 an edit of the second, 6 a retraction of the first, 7 to 9 a stream, 10 a variable."""
    session = rt.create_session()
    session.add_messages([{"role": "user", "content": text} for text in ("one", "two", "three")])
    session.edit_message(3, content=LONG)
    session.retract_message(2)
    with session.stream_message("assistant") as stream:
        stream.write("said")
    session.set("k", 1)
    return session


def damaged(rt: Runtime, session: Session, sequence: int) -> None:
    """Damage one event, and repair the store."""
    key = sequence_key(session_bytes(session.id), sequence)
    record = rt._store.engine.get(CF.JOURNAL, key)
    assert record is not None
    rt._supervisor.forget()
    rt._store.engine.write([(CF.JOURNAL, key, record[:-1] + bytes([record[-1] ^ 1]))])
    assert not rt.verify().ok
    rt.verify(repair=True)
    assert rt.verify().problems == []


@pytest.mark.parametrize(
    ("sequence", "left"),
    [
        (2, [LONG, "three", "said"]),
        (3, ["three", "said"]),
        (4, [LONG, "said"]),
        (5, ["two", "three", "said"]),
        (6, ["one", LONG, "three", "said"]),
        (7, [LONG, "three"]),
        (8, [LONG, "three", "said"]),
        (9, [LONG, "three", "said"]),
    ],
)
def test_what_is_left_of_a_conversation_after_repair(rt: Runtime, session: Session, sequence: int, left: Any) -> None:
    damaged(rt, session, sequence)
    turns = session.messages()
    assert [turn.content for turn in turns] == left
    assert [turn.partial for turn in turns if turn.content == "said"] == ([sequence == 9] if sequence != 7 else [])
    if sequence == 6:  # nothing else tells what that event was
        session.accept_losses()
    assert session.get("k") == 1
    session.add_message("user", "on")
    assert session.pop_message().content == "on"
    assert rt.verify().problems == []


def test_reading_a_damaged_event_of_a_message_says_so(rt: Runtime, session: Session) -> None:
    key = sequence_key(session_bytes(session.id), 5)
    rt._store.engine.write([(CF.JOURNAL, key, b"\x01 no record")])
    with pytest.raises(IntegrityError):
        session.messages()
    assert session.messages(limit=1)[0].content == "said"
