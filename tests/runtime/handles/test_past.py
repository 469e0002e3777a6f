"""A session as it was: after each event, at any time, and for whoever may read it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from greenroom.actors.scheduling.operation import acting
from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.model import SessionState
from greenroom.runtime import (
    AccessDenied,
    PastState,
    ReplayError,
    Runtime,
    RuntimeConfig,
    Session,
    SessionNotFound,
    ValidationError,
    ingest,
)
from greenroom.storage.codec.keys import session_bytes

from ...conftest import DrivenClock


def seen(s: Session) -> dict[str, Any]:
    """Everything that `PastState` tells, as the session tells it now."""
    info = s.info()
    return {
        "info": info.to_dict(),
        "status": info.status,
        "variables": s.variables(),
        "tags": list(info.tags),
        "metadata": info.custom_metadata,
        "messages": [each.to_dict() for each in s.messages()],
        "artifacts": [each.to_dict() for each in s.list_artifacts()],
        "approvals": [each.to_dict() for each in s.approvals()],
        "records": s.records.keys(),
    }


def told(past: PastState) -> dict[str, Any]:
    row = past.to_dict()
    names = ("info", "status", "variables", "tags", "metadata", "messages", "artifacts", "approvals")
    return {**{name: row[name] for name in names}, "records": list(past.records)}


def story(rt: Runtime, s: Session) -> dict[int, dict[str, Any]]:
    """A session's life; what was seen after each step, by sequence."""
    found: dict[int, dict[str, Any]] = {}

    def look() -> None:
        found[s.info().sequence] = seen(s)

    look()
    s.set("k", {"a": [1]})
    look()
    first = s.add_message("user", "hello")
    look()
    s.edit_message(first.sequence, content="hello again")
    look()
    with s.stream_message("assistant") as stream:
        stream.write("he")
        look()
        stream.write("llo")
    look()
    info = s.store_artifact("note", "a.txt", b"one", metadata={"n": "1"})
    s.store_artifact("note", "a.txt", b"two")
    look()
    s.delete_artifact(info.id)
    look()
    s.records.put_many({"a": 1, "b": b"\x00" * 9000})
    look()
    s.records.delete("a")
    look()
    question = s.ask_human("Which?", schema={"type": "string"})
    look()
    s.retract_message(first.sequence)
    look()
    s.delete_variable("k")
    s.add_tag("t")
    s.update_metadata({"m": 1})
    look()
    rt.approvals.answer(question, "this")
    look()
    s.suspend()
    look()
    s.resume()
    s.complete()
    look()
    s.archive()
    look()
    return found


def test_every_moment_is_as_it_was_seen_then(rt: Runtime) -> None:
    s = rt.create_session("name", tags=["first"])
    found = story(rt, s)
    for sequence, then in found.items():
        past = s.at(sequence=sequence)
        assert told(past) == then, sequence
        assert past.sequence == sequence
        assert s.at(time=past.time).time == past.time


def test_a_restart_and_a_reader_beside_the_writer_change_nothing(store_path: Path) -> None:
    with Runtime.open(store_path, config=RuntimeConfig(snapshot_every=1)) as rt:
        session_id = rt.create_session().id
        found = story(rt, rt.session(session_id))
        with Runtime.open(store_path, read_only=True) as follower:
            s = follower.session(session_id)
            assert {sequence: told(s.at(sequence=sequence)) for sequence in found} == found
    with Runtime.open(store_path) as rt:
        s = rt.session(session_id)
        assert {sequence: told(s.at(sequence=sequence)) for sequence in found} == found


def test_forks_and_imported_sessions_have_the_past_of_their_originals(rt: Runtime, tmp_path: Path) -> None:
    s = rt.create_session("name")
    found = story(rt, s)
    last = s.info().sequence
    s.export(tmp_path / "b")
    with Runtime.open() as other:
        imported = other.session(other.import_session(tmp_path / "b").id)
        assert {sequence: told(imported.at(sequence=sequence)) for sequence in found} == found
    fork = s.fork()
    for sequence, then in found.items():
        past = fork.at(sequence=sequence)
        assert past.variables == then["variables"]
        assert [each.to_dict() for each in past.messages] == then["messages"]
        assert [each.name for each in past.artifacts] == [each["name"] for each in then["artifacts"]]
        assert [each.status for each in past.approvals] == [each["status"] for each in then["approvals"]]
    assert fork.at(sequence=last).status == "archived"
    assert fork.at(sequence=fork.info().sequence).status == "active"


def test_ingested_conversations_have_every_moment(rt: Runtime) -> None:
    dice = random.Random(7)
    for sample in sorted((Path(ingest.__file__).parent / "samples").iterdir()):
        for session_id in rt.ingest(sample).session_ids:
            s, state, states = rt.session(session_id), SessionState(session_id), dict[int, bytes]()
            for sequence, stored in rt._store.journal.read(session_bytes(session_id)):
                evolve(state, sequence, stored)
                states[sequence] = state.encode()
            for sequence in dice.sample(sorted(states), min(10, len(states))):
                past = s.at(sequence=sequence)
                assert past.digest == blake3(states[sequence]).hexdigest()
                assert len(past.messages) == SessionState.decode(s.id, states[sequence]).message_count
                assert len(past.artifacts) == past.info.artifact_count


def test_a_time_means_the_newest_event_of_then(store_path: Path, clock: DrivenClock) -> None:
    rt = Runtime.open(store_path, clock=clock)
    s = rt.create_session()
    began = s.info().created_at
    for number in range(20):
        clock.advance(10)
        s.set("k", number)
    for number in range(20):
        at = began + timedelta(seconds=10 * (number + 1))
        assert s.at(time=at).variables == {"k": number}
        assert s.at(time=at + timedelta(seconds=9.999)).variables == {"k": number}
        assert s.at(time=(at + timedelta(seconds=3)).isoformat()).sequence == number + 2
        assert s.at(time=at.timestamp() + 3).sequence == number + 2
    assert s.at(time=began).variables == {}
    assert s.at(time=datetime(2200, 1, 1, tzinfo=UTC)).variables == {"k": 19}
    with pytest.raises(ReplayError) as caught:
        s.at(time=began - timedelta(microseconds=1))
    assert (caught.value.first, caught.value.last) == (1, 21)


def test_a_question_that_nobody_answered_in_time_was_expired_then(store_path: Path, clock: DrivenClock) -> None:
    rt = Runtime.open(store_path, clock=clock)
    s = rt.create_session()
    s.ask_human("Which?", expires=60)
    asked = s.info().updated_at
    clock.advance(3600)
    s.set("k", 1)
    assert [each.status for each in s.at(sequence=2).approvals] == ["pending"]
    assert [each.status for each in s.at(time=asked + timedelta(seconds=59)).approvals] == ["pending"]
    assert [each.status for each in s.at(time=asked + timedelta(seconds=61)).approvals] == ["expired"]
    assert [each.status for each in s.at(sequence=s.info().sequence).approvals] == ["expired"]


@pytest.mark.parametrize("sequence", [0, 3, 1 << 62])
def test_an_event_that_there_is_not_is_named_with_those_that_there_are(rt: Runtime, sequence: int) -> None:
    s = rt.create_session()
    s.set("k", 1)
    with pytest.raises(ReplayError, match=r"event \d+ is not in the history .* events 1 to 2") as caught:
        s.at(sequence=sequence)
    assert (caught.value.first, caught.value.last) == (1, 2)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"sequence": 1, "time": 1.0},
        {"sequence": True},
        {"sequence": "1"},
        {"sequence": -1},
        {"time": "now"},
        {"time": b"x"},
        {"time": "2026-01-01T00:00:00"},
        {"time": datetime(2026, 1, 1)},
    ],
)
def test_what_names_no_moment_is_refused(rt: Runtime, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rt.create_session().at(**arguments)


def test_a_past_state_is_read_with_the_access_of_its_reader(rt: Runtime) -> None:
    mine, other = rt.create_session(), rt.create_session()
    child = rt.create_session(parent=mine)
    other.add_message("user", "secret")
    handed = other.at(sequence=2)
    with acting(principal=mine.id):
        assert mine.at(sequence=1).status == "active"
        assert child.at(sequence=1).status == "active"
        with pytest.raises(AccessDenied):
            other.at(sequence=1)
        with pytest.raises(AccessDenied):
            _ = handed.messages
    other.share(mine, "read")
    with acting(principal=mine.id):
        assert other.at(sequence=2).messages[0].content == "secret"
    assert handed.messages[0].content == "secret"


def test_a_moment_that_retention_removes_meanwhile_keeps_its_state_alone(rt: Runtime) -> None:
    s = rt.create_session()
    for number in range(20):
        s.set("k", number)
    past = s.at(sequence=5)
    rt.retention(max_journal_events=10, dry_run=False)
    assert past.variables == {"k": 3}
    with pytest.raises(ReplayError) as caught:
        _ = past.messages
    first = caught.value.first
    assert 5 < first < 21
    assert s.at(sequence=first).variables == {"k": first - 2}
    with pytest.raises(ReplayError):
        s.at(sequence=first - 1)
    with pytest.raises(ReplayError):
        s.at(time=past.time)


def test_the_past_of_a_deleted_session_is_gone(rt: Runtime) -> None:
    s = rt.create_session()
    s.set("k", 1)
    past = s.at(sequence=2)
    s.delete()
    assert past.variables == {"k": 1}
    with pytest.raises(SessionNotFound):
        _ = past.messages
    with pytest.raises(SessionNotFound):
        s.at(sequence=1)
