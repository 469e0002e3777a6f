"""A spool gives back what was appended, up to where its process was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime.recording.tape.model import Crossing, Reads, Tape
from greenroom.runtime.recording.tape.spool import (
    SpoolFolder,
    SpoolReader,
    SpoolSink,
    SpoolWriter,
    read_spool,
    read_spools,
    write_tape,
)
from greenroom.storage.errors import IntegrityError

texts = st.text(max_size=8)
values = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False) | st.binary()
maps = st.dictionaries(texts, values | st.lists(values | texts, max_size=3), max_size=3)
crossings = st.builds(
    Crossing,
    st.integers(1, 9), texts, texts, texts, texts, maps, maps, st.integers(0, 99),
    st.lists(st.integers(0, 99), max_size=3), st.integers(0, 99), st.integers(0, 9), st.just(0), st.binary(max_size=16),
)  # fmt: skip
reads = st.builds(Reads, st.lists(st.tuples(texts, texts, texts, texts, values), max_size=4))


@given(st.lists(crossings, max_size=5), st.lists(reads, max_size=3), maps)
def test_a_tape_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, all_crossings: Any, all_reads: Any, about: Any
) -> None:
    path = tmp_path_factory.mktemp("tape") / "tape"
    tape = Tape(about, all_crossings, all_reads)
    write_tape(path, tape)
    assert read_spool(path) == tape


def written(path: Path) -> list[int]:
    """Write a spool. Return where its frames end."""
    sink = SpoolSink(SpoolWriter(path))
    ends = [path.stat().st_size]
    for n in range(4):
        sink.reads(Reads([("clock", "time.time", "a.py:1 in f", "main", n)]))
        sink.crossing(Crossing(n, "tool", "step", "", "main", {"n": n}, {"value": n}, n))
        ends.append(path.stat().st_size)
    sink.close()
    return ends


def test_wherever_a_spool_is_cut_off_all_that_is_whole_is_there(tmp_path: Path) -> None:
    ends = written(tmp_path / "whole")
    data = (tmp_path / "whole").read_bytes()
    for length in range(len(data) + 1):
        path = tmp_path / "cut"
        path.write_bytes(data[:length])
        tape = read_spool(path)
        assert len(tape.crossings) == sum(end <= length for end in ends[1:])


def test_a_damaged_frame_ends_a_spool(tmp_path: Path) -> None:
    ends = written(tmp_path / "spool")
    data = bytearray((tmp_path / "spool").read_bytes())
    data[ends[2] + 20] ^= 1
    (tmp_path / "spool").write_bytes(data)
    reader = SpoolReader(tmp_path / "spool")
    assert [each.number for each in reader.poll() if isinstance(each, Crossing)] == [0, 1]
    assert reader.poll() == []


def test_what_is_no_spool_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"something else")
    with pytest.raises(IntegrityError, match="other is no spool"):
        read_spool(tmp_path / "other")


def test_a_growing_folder_is_read_bit_by_bit(tmp_path: Path) -> None:
    folder = SpoolFolder(tmp_path)
    assert [*folder.records()] == []
    one = SpoolSink(SpoolWriter(tmp_path / "000000.spool"))
    one.about({"process": 0, "command": ["python"]})
    one.crossing(Crossing(1, "tool", "a", "", "main", {}, {}, 1, time=10))
    assert len([*folder.records()]) == 2
    other = SpoolSink(SpoolWriter(tmp_path / "000001.spool"))
    other.about({"process": 1})
    other.crossing(Crossing(1, "tool", "c", "", "main", {}, {}, 1, time=30, process=1))
    one.crossing(Crossing(2, "tool", "d", "", "main", {}, {}, 2, time=40))
    other.crossing(Crossing(2, "tool", "b", "", "main", {}, {}, 2, time=35, process=1))
    assert [each.name for each in folder.records() if isinstance(each, Crossing)] == ["c", "b", "d"]
    assert [*folder.records()] == []
    tape = read_spools(tmp_path)
    assert [each.name for each in tape.crossings] == ["a", "c", "b", "d"]
    assert tape.about == {"process": 0, "command": ["python"]}
