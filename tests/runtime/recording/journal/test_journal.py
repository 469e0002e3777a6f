"""A recording in a session: written by a sink, read back as a tape."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    BundleError,
    IntegrityError,
    InvalidSessionState,
    ReplayError,
    Runtime,
    Session,
    StorageError,
    ValidationError,
)
from greenroom.runtime.recording.journal.bundles import tape_of_bundle
from greenroom.runtime.recording.journal.forms import TAG
from greenroom.runtime.recording.journal.reading import recordings, tape_of
from greenroom.runtime.recording.journal.writing import JournalSink
from greenroom.runtime.recording.tape.model import Crossing, Reads
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.engine.engine import CF

from ..crossings import conversation, crossing


@pytest.fixture
def s(rt: Runtime) -> Session:
    return rt.create_session()


def test_a_tape_comes_back_as_it_was_recorded(rt: Runtime, s: Session) -> None:
    sink = JournalSink(s, {"command": ["python", "agent.py"], "hash_seed": 0})
    given: list[Crossing] = list(conversation(12))
    given.append(replace(given[0], number=13, process=2, input={"method": "GET", "body": None}, outcome={"error": {}}))
    given.append(replace(crossing(14, b"keyed"), key=bytes(16)))
    given.append(crossing(14, b"", chunks=[]))
    given.append(crossing(15, os.urandom(200_000), chunks=[os.urandom(70_000), b"", b"x"], gaps=None))
    given.append(
        Crossing(16, "tool", "add", "a.py:1", "main", {"arguments": [1, 1 << 70]}, {"value": {"n": 2.5}}, 40, [41])
    )
    reads = Reads([("clock", "time.time", "a.py:3 in f", "main", 1.5), ("random", "random.random", "", "t", None)])
    for number, each in enumerate(given):
        if number == 3:
            sink.reads(reads)
            sink.reads(Reads([("clock", "time.time", "a.py:3 in f", "main", 2.5)], process=1))
        sink.crossing(each)
    sink.reads(reads)
    sink.end({"exit_code": 3})
    tape = tape_of(s)
    assert tape.crossings == given
    assert tape.reads == [reads, Reads([("clock", "time.time", "a.py:3 in f", "main", 2.5)], process=1), reads]
    assert tape.about == {"command": ["python", "agent.py"], "hash_seed": 0, "exit_code": 3}
    assert TAG in s.info().tags
    assert rt.verify().ok
    types = [event.type for event in s.events()]
    assert types.index("recording.reads") == types.index("recording.crossing") + 3, (
        "reads come before the next crossing"
    )


def test_the_bytes_of_a_call_do_not_grow_with_the_conversation(s: Session) -> None:
    sink = JournalSink(s)
    sizes: list[int] = []
    for each in conversation(200):
        sink.crossing(each)
        sizes.append(len(each.input["body"]))
    kept = [len(event.data["body"]) for event in s.events() if event.type == "recording.crossing"]
    assert sizes[-1] > 50 * sizes[0]
    assert max(kept[1:]) < 600
    assert [each.input["body"] for each in tape_of(s).crossings] == [each.input["body"] for each in conversation(200)]


def test_several_recordings_in_one_session_are_told_apart(s: Session) -> None:
    first, second = JournalSink(s, {"number": 1}), JournalSink(s, {"number": 2})
    calls = list(conversation(6))
    for number, each in enumerate(calls):
        (first, second)[number % 2].crossing(each)
    first.end()
    assert tape_of(s).crossings == calls[1::2]
    assert tape_of(s, run=first.run).crossings == calls[::2]
    assert tape_of(s).about == {"number": 2}
    with pytest.raises(ReplayError, match=f"its recordings begin with {first.run}, {second.run}"):
        tape_of(s, run=first.run + 100)


def test_a_recording_goes_on_in_a_fork_on_the_bodies_of_its_original(rt: Runtime, s: Session) -> None:
    sink = JournalSink(s, {"command": ["agent.py"]})
    calls = list(conversation(40))
    told = [sink.journal(each) for each in calls[:30]]
    sink.end({"exit_code": 0})
    fork = s.fork(at_sequence=told[19].sequence)
    more = JournalSink(fork, run=sink.run)
    for each in calls[20:]:
        more.crossing(each)
    more.end({"exit_code": 1})
    tape = tape_of(fork)
    assert tape.crossings == calls
    assert tape.about == {"command": ["agent.py"], "exit_code": 1}
    kept = [event.data for event in fork.events() if event.type == "recording.crossing"]
    assert all(data["base"] for data in kept[20:]), "the newest bodies were read back"
    assert tape_of(s).crossings == calls[:30]
    s.delete()
    assert tape_of(fork).crossings == calls
    assert rt.verify().ok


def test_a_recording_goes_on_after_its_runtime_was_closed(tmp_path: Path) -> None:
    calls = list(conversation(30))
    with Runtime.open(tmp_path / "store") as rt:
        s = rt.create_session()
        sink = JournalSink(s)
        for each in calls[:10]:
            sink.crossing(each)
    for begin in (10, 20):
        with Runtime.open(tmp_path / "store") as rt:
            s = rt.session(s.id)
            more = JournalSink(s, run=sink.run)
            for each in calls[begin : begin + 10]:
                more.crossing(each)
            assert tape_of(s).crossings == calls[: begin + 10]
            kept = [event.data for event in s.events() if event.type == "recording.crossing"]
            assert [data.get("base", [0, 0, 0, 0])[3] for data in kept] == list(range(begin + 10))


def test_threads_record_at_the_same_time(s: Session) -> None:
    sink = JournalSink(s)
    calls = list(conversation(80))

    def record(part: list[Crossing]) -> None:
        for each in part:
            sink.reads(Reads([("clock", "time.time", "a.py:1", each.lane, each.number)]))
            sink.crossing(each)

    threads = [threading.Thread(target=record, args=(calls[at::4],)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.end()
    tape = tape_of(s)
    assert sorted(tape.crossings, key=lambda each: each.number) == calls
    assert sorted(read[4] for reads in tape.reads for read in reads.reads) == [each.number for each in calls]


def test_limits_and_suspension_do_not_stop_a_recording_and_the_end_of_the_session_does(rt: Runtime) -> None:
    s = rt.create_session(config={"max_operations": 3})
    sink = JournalSink(s)
    calls = list(conversation(5))
    for each in calls[:3]:
        sink.crossing(each)
    s.suspend()
    sink.crossing(calls[3])
    assert len(tape_of(s).crossings) == 4
    s.complete()
    with pytest.raises(InvalidSessionState, match="has become completed while it was recorded"):
        sink.crossing(calls[4])


@pytest.mark.parametrize("how", ["garbage", "missing", "lost"])
def test_a_damaged_recording_says_up_to_where_it_can_be_replayed(store_path: Path, on_disk: Any, how: str) -> None:
    calls = list(conversation(10))
    with Runtime.open(store_path) as rt:
        s = rt.create_session()
        sink = JournalSink(s, {"command": ["agent.py"]})
        told = [sink.journal(each) for each in calls]
        sink.end()
        assert tape_of(s, upto=told[4].sequence).crossings == calls[:5]
    with on_disk() as engine:
        key = sequence_key(session_bytes(s.id), told[6].sequence)
        engine.write([(CF.JOURNAL, key, None if how == "missing" else b"garbage")])
    with Runtime.open(store_path) as rt:
        if how == "lost":
            rt.verify(repair=True)
        s = rt.session(s.id)
        with pytest.raises(IntegrityError, match="which are 6 calls") as e:
            tape_of(s)
        assert e.value.fields["sequence"] == told[6].sequence
        assert e.value.fields["replayable"] == told[5].sequence
        assert tape_of(s, upto=e.value.fields["replayable"]).crossings == calls[:6]


def test_no_recording_is_said_to_be_none(s: Session) -> None:
    with pytest.raises(ReplayError, match="has no recording: record a program with"):
        tape_of(s)


def test_what_no_event_can_hold_is_refused_and_recording_goes_on(s: Session) -> None:
    sink = JournalSink(s)
    good = crossing(1, b"x")
    with pytest.raises(ValidationError, match="its number has to be a number"):
        sink.crossing(replace(good, number="1"))  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        sink.crossing(replace(good, kind="tool", outcome={"value": object()}))
    with pytest.raises(ValidationError):
        sink.crossing(replace(good, input={"url": object()}))
    sink.crossing(good)
    assert tape_of(s).crossings == [good]


def test_a_tape_is_read_from_a_bundle_without_a_store(rt: Runtime, s: Session, tmp_path: Path) -> None:
    sink = JournalSink(s, {"command": ["agent.py"]})
    large = crossing(31, os.urandom(80_000), chunks=[os.urandom(80_000)])
    calls = [*conversation(30), large]
    for each in calls:
        sink.reads(Reads([("clock", "time.time", "a.py:1", "main", 1.5)]))
        sink.crossing(each)
    sink.end({"exit_code": 0})
    child = rt.create_session(parent=s)
    JournalSink(child, {"command": ["other.py"]}).end()
    s.export(tmp_path / "s.bundle", tree=True)
    assert tape_of_bundle(tmp_path / "s.bundle") == tape_of(s)
    assert tape_of_bundle(str(tmp_path / "s.bundle"), child.id).about == {"command": ["other.py"]}
    with pytest.raises(ReplayError, match="has no recording of session x"):
        tape_of_bundle(tmp_path / "s.bundle", "x")
    rt.create_session().export(tmp_path / "none.bundle")
    with pytest.raises(ReplayError, match="has no recording: export a session that was recorded"):
        tape_of_bundle(tmp_path / "none.bundle")
    with pytest.raises(StorageError):
        tape_of_bundle(tmp_path / "missing.bundle")
    data = bytearray((tmp_path / "s.bundle").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "s.bundle").write_bytes(data)
    with pytest.raises(BundleError):
        tape_of_bundle(tmp_path / "s.bundle")


def test_sessions_with_recordings_are_listed(rt: Runtime) -> None:
    made = [rt.create_session() for _ in range(4)]
    for each in made[1:3]:
        JournalSink(each).end()
    made[2].complete()
    assert [each.id for each in recordings(rt.core)] == [made[2].id, made[1].id]
