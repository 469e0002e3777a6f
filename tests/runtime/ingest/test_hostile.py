"""Reading takes steps in proportion to the size of a file, whatever is in it.

Steps are counted, not timed: each line of Python that runs is one, and each character that the JSON parser gets.
"""

from __future__ import annotations

import io
import json
import sys
from types import FrameType
from typing import Any

import pytest

from greenroom.runtime.ingest.read import _FREE_RESCANS, _RESCANS, _Reader, read_records
from greenroom.runtime.ingest.records import MAX_RECORD_BYTES, Record
from greenroom.runtime.ingest.window import _FIRST_LOOK

_SIZE = 8_000
_PIECES = [
    "{\n", "[\n", "\n{", "{\r", "{ ", "[", "[,", ",", "[]", "[[],", "[{},{", "},{", "]\n[", "{x}\n", '{"x\n',
    '{"a":\n', '{"a":[\n', "[1,\n", "[{\n", '[{"role":', '{"role":"user"\n', '["', '"\\\n', "\x1e{", "\ufeff{", "1 ",
    "nul\x00l",
]  # fmt: skip


def _steps(data: bytes) -> tuple[int, int]:
    """Return how many lines of Python reading these bytes runs, and how many characters the parser gets."""
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    reader = _Reader(io.BytesIO(data), MAX_RECORD_BYTES)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for _ in reader.records():
            pass
    finally:
        sys.settrace(before)
    return lines, reader._window.parsed


@pytest.mark.parametrize("before", ["", '[{"a": 1},\n'], ids=["alone", "in a list"])
@pytest.mark.parametrize("piece", _PIECES, ids=ascii)
def test_a_piece_over_and_over(piece: str, before: str) -> None:
    lines, parsed = _steps((before + piece * (_SIZE // len(piece))).encode())
    assert lines <= 120 * _SIZE
    # Each place at which a value might begin is looked at once, and what may be looked at again is bounded; the parser
    # gets at most four times what it looks at.
    assert parsed <= (_FIRST_LOOK + 4 * (1 + _RESCANS)) * _SIZE + 4 * _FREE_RESCANS


@pytest.mark.parametrize("piece", ["{\n", "{x}\n", "[{\n", "[1,\n", '{"a":\n'], ids=ascii)
def test_what_the_parser_gets_grows_with_the_file_and_no_faster(piece: str) -> None:
    counts = []
    for size in (60_000, 120_000):
        reader = _Reader(io.BytesIO((piece * (size // len(piece))).encode()), MAX_RECORD_BYTES)
        for _ in reader.records():
            pass
        counts.append(reader._window.parsed)
    assert counts[1] <= 2 * counts[0] + 4 * _FREE_RESCANS
    assert counts[1] <= _FIRST_LOOK * 120_000 + 4 * _FREE_RESCANS


def _objects(count: int) -> dict[str, str]:
    halves = (f'"\\ud8{number % 256:02x}\\ud8{number // 256:02x}": {number}' for number in range(count))
    return {
        "one key": "{" + ", ".join(f'"a": {number}' for number in range(count)) + "}",
        "one key, its names taken": "{"
        + ", ".join(f'"a": {number}, "a ({number})": {number}' for number in range(count // 2))
        + "}",
        "half surrogate pairs": "{" + ", ".join(halves) + "}",
    }


@pytest.mark.parametrize("kind", _objects(0))
def test_keys_that_fall_together(kind: str) -> None:
    few, many = (_steps(_objects(count)[kind].encode())[0] for count in (500, 2000))
    assert many <= 4.4 * few


@pytest.mark.parametrize("kind", _objects(0))
def test_of_keys_that_fall_together_each_value_is_kept(kind: str) -> None:
    (found,) = read_records(io.BytesIO(_objects(300)[kind].encode()))
    assert isinstance(found, Record)
    assert isinstance(found.value, dict)
    assert len(found.value) == 300
    assert set(found.value.values()) == set(range(150 if "taken" in kind else 300))


def test_a_key_that_is_like_a_mended_one_keeps_its_name() -> None:
    (found,) = read_records(io.BytesIO(b'{"\\ud800": 1, "\xef\xbf\xbd": 2, "\xef\xbf\xbd (1)": 3, "\\ud801": 4}'))
    assert isinstance(found, Record)
    assert found.value == {"\ufffd (2)": 1, "\ufffd": 2, "\ufffd (1)": 3, "\ufffd (3)": 4}


def test_broken_lines_cost_no_good_one() -> None:
    good = json.dumps({"messages": [{"role": "user", "content": "hello"}]})
    text = ("{\n" * 400 + good + "\n") * 20
    assert sum(isinstance(found, Record) for found in read_records(io.BytesIO(text.encode()))) == 20
