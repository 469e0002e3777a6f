"""The events of a recording are like all others: verified, replayed, copied into bundles and forks, kept by retention,
deleted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.messages.calls import Called, RecordTape
from greenroom.runtime import InvalidSessionState, ResourceLimitExceeded, Runtime, Session, ValidationError
from greenroom.storage.codec.records import pack_value
from greenroom.storage.events.calls import call_value

LARGE = os.urandom(9000)
TEXT = b"the same again and again, " * 500


def recorded(rt: Runtime, s: Session) -> list[Called]:
    """Journal a recording with small and large fields of every kind."""
    told: list[Called] = []

    def record(type_: str, **data: Any) -> None:
        told.append(rt.ask(s.id, RecordTape(f"recording.{type_}", data)))

    record("started", about=pack_value({"command": ["agent.py"], "environment": {"HOME": "x" * 9000}}))
    for number, (body, chunks) in enumerate([(b"short", b""), (TEXT, LARGE), (LARGE, TEXT)], 1):
        record(
            "crossing",
            run=told[0].sequence,
            number=number,
            kind="http",
            name="POST https://host/v1",
            place="agent.py:14 in step",
            lane="main",
            began=number,
            time=5,
            duration=7,
            input=pack_value({"method": "POST", "more": "y" * (5000 * (number - 1))}),
            outcome=pack_value({"status": 200, "more": "z" * (5000 * (number - 1))}),
            flow=pack_value([[1, 1], [len(chunks)], [0] * 5000 * (number - 1)]),
            body=body,
            chunks=chunks,
        )
    reads = [[["clock", "time.time", "agent.py:3 in now", "main"]], [0] * 2000, [1.5 * n for n in range(2000)]]
    record("reads", run=told[0].sequence, reads=pack_value(reads))
    record("ended", run=told[0].sequence, about=pack_value({"exit_code": 0}))
    return told


def fields(s: Session) -> list[dict[str, Any]]:
    return [event.data for event in s.events() if event.type.startswith("recording.")]


@pytest.fixture
def s(rt: Runtime) -> Session:
    return rt.create_session()


def test_what_was_recorded_is_read_as_it_was_and_holds_its_contents(rt: Runtime, s: Session) -> None:
    told = recorded(rt, s)
    started, first, second, third, reads, ended = fields(s)
    assert started["about"]["environment"]["HOME"] == "x" * 9000
    assert (first["body"], first["chunks"]) == (b"short", b"")
    assert (second["body"], second["chunks"]) == (TEXT, LARGE)
    assert (third["body"], third["chunks"]) == (LARGE, TEXT)
    assert third["input"] == {"method": "POST", "more": "y" * 10000}
    assert len(reads["reads"][1]) == 2000
    assert ended == {"run": told[0].sequence, "about": {"exit_code": 0}}
    assert not [name for name in second if name.endswith(("_form", "_hash"))]
    assert rt.verify().ok


def test_a_text_that_is_repeated_takes_little_room_in_its_event() -> None:
    data = RecordTape("recording.crossing", {"body": TEXT})
    assert len(data.data["body"]) < 200
    assert not data.large
    assert call_value(data.data, "body", None) == TEXT


def test_an_event_of_a_recording_counts_as_no_operation_and_no_limit_stops_one(rt: Runtime) -> None:
    s = rt.create_session(config={"max_operations": 3})
    recorded(rt, s)
    assert s.info().operation_count == 1
    s.set("a", 1)
    s.set("b", 2)
    with pytest.raises(ResourceLimitExceeded):
        s.set("c", 3)
    run = {"run": 2}
    rt.ask(s.id, RecordTape("recording.reads", {**run, "reads": pack_value([[], [], []])}))
    with pytest.raises(ResourceLimitExceeded):
        rt.ask(s.id, RecordTape("recording.started", {"about": pack_value({})}))
    s.complete()
    with pytest.raises(InvalidSessionState, match="end the recording before the session"):
        rt.ask(s.id, RecordTape("recording.ended", {**run, "about": pack_value({})}))


def test_a_session_with_a_recording_is_replayed(rt: Runtime, s: Session) -> None:
    s.set("a", 1)
    recorded(rt, s)
    s.set("b", 2)
    s.add_message("user", "hello")
    recorded(rt, s)
    result = rt.replay(s)
    assert result.identical


def test_a_bundle_and_a_fork_have_all_of_it(rt: Runtime, s: Session, tmp_path: Path) -> None:
    told = recorded(rt, s)
    s.export(tmp_path / "s.bundle")
    with Runtime.open(tmp_path / "other") as other:
        copy = other.import_bundle(tmp_path / "s.bundle")[0]
        assert fields(copy) == fields(s)
        assert other.verify().ok
    fork = s.fork(at_sequence=told[2].sequence)
    assert fields(fork) == fields(s)[:3]
    s.delete()
    assert fields(fork)[2]["chunks"] == LARGE
    fork.delete()
    rt.gc()
    assert rt.verify().ok
    assert rt.stats()["artifacts"]["unique_bytes"] == 0


def test_retention_keeps_it(rt: Runtime, s: Session) -> None:
    recorded(rt, s)
    for n in range(50):
        s.set("k", n)
    before = fields(s)
    assert rt.retention(max_journal_events=1, dry_run=False).journals[0].events == 49
    assert fields(s) == before
    assert rt.verify().ok


def test_only_types_of_recordings_are_journaled_so() -> None:
    with pytest.raises(ValidationError, match=r"type: one of recording\.crossing"):
        RecordTape("session.created", {})
