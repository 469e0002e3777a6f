"""Tapes in bundles of a repository."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from greenroom.runtime import Runtime
from greenroom.runtime.cassettes.bundle import says_the_same, write_tape
from greenroom.runtime.recording.journal.bundles import tape_of_bundle
from greenroom.runtime.recording.tape.model import Crossing, Reads, Tape


def tape() -> Tape:
    """Return a tape with a conversation that grows, so that its bodies are journaled as deltas."""
    crossings = [
        Crossing(
            number,
            "http",
            "POST https://model.test/v1/chat",
            f"agent.py:{number} in step",
            "main",
            {"method": "POST", "url": "https://model.test/v1/chat", "headers": [], "body": b"turn " * 1000 * number},
            {"status": 200, "headers": [["date", str(number)]], "chunks": [b"a", b"b"], "gaps": [1, 2]},
            3 * number,
            [3 * number + 1, 3 * number + 2],
            time=1_800_000_000_000_000_000 + number,
            duration=5,
        )
        for number in range(1, 5)
    ]
    reads = [Reads([("clock", "time.time", "agent.py:1 in step", "main", 1.5)])]
    return Tape({"command": ["pytest", "x"], "started_at": 1_800_000_000_000_000_000}, crossings, reads)


def test_the_same_tape_makes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_tape(tape(), tmp_path / "new" / name, "test_x.py::test_one")
    assert (tmp_path / "new" / "a").read_bytes() == (tmp_path / "new" / "b").read_bytes()
    write_tape(tape(), tmp_path / "c", "test_x.py::test_two")
    assert (tmp_path / "c").read_bytes() != (tmp_path / "new" / "a").read_bytes()


def test_a_tape_comes_back(tmp_path: Path) -> None:
    write_tape(tape(), tmp_path / "a", "test_x.py::test_one")
    back = tape_of_bundle(tmp_path / "a")
    assert [each.outcome for each in back.crossings] == [each.outcome for each in tape().crossings]
    assert [each.input for each in back.crossings] == [each.input for each in tape().crossings]
    assert back.reads == tape().reads
    assert says_the_same(back, tape())


def test_a_cassette_is_a_bundle_that_every_store_takes(tmp_path: Path) -> None:
    write_tape(tape(), tmp_path / "a", "test_x.py::test_one")
    write_tape(tape(), tmp_path / "b", "test_x.py::test_two")
    with Runtime.open() as runtime:
        sessions = [runtime.import_bundle(tmp_path / name)[0] for name in ("a", "b")]
        assert [each.info().name for each in sessions] == ["test_x.py::test_one", "test_x.py::test_two"]
        assert all("recording" in each.info().tags for each in sessions)
        assert runtime.verify().problems == []


def test_times_headers_and_places_do_not_make_a_recording_another_one() -> None:
    one, other = tape(), tape()
    other.crossings = [
        replace(each, time=each.time + 1, place="elsewhere", outcome={**each.outcome, "headers": [], "gaps": []})
        for each in other.crossings
    ]
    assert says_the_same(one, other)
    other.crossings[0] = replace(other.crossings[0], outcome={**one.crossings[0].outcome, "chunks": [b"ab!"]})
    assert not says_the_same(one, other)
