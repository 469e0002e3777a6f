"""The layouts of a file, and what stays readable when part of it is not."""

from __future__ import annotations

import io
import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime.ingest.read import open_source, read_records
from greenroom.runtime.ingest.records import Fault, Record

CHAT = {"messages": [{"role": "user", "content": "hello"}]}
LINE = json.dumps(CHAT)


def read(data: bytes | str, **options: int) -> list[Record | Fault]:
    return list(read_records(io.BytesIO(data.encode() if isinstance(data, str) else data), **options))


def values(found: list[Record | Fault]) -> list[object]:
    return [item.value for item in found if isinstance(item, Record)]


def places(found: list[Record | Fault], kind: type) -> list[str]:
    return [item.position for item in found if isinstance(item, kind)]


@pytest.mark.parametrize(
    "text",
    [
        LINE,
        json.dumps(CHAT, indent=2),
        json.dumps(CHAT, indent=0),
        json.dumps(CHAT, indent=2).replace("\n", "\r\n"),
        "\ufeff" + LINE,
        "\n\n  " + LINE + "\n\n",
    ],
    ids=["one line", "indented", "not indented", "CRLF", "byte order mark", "blank lines around"],
)
def test_one_document_is_one_record(text: str) -> None:
    assert values(read(text)) == [CHAT]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([CHAT, CHAT, CHAT]),
        json.dumps([CHAT, CHAT, CHAT], indent=1),
        f"[\n{LINE},\n{LINE},\n{LINE}\n]",
        f"[{LINE},\n{LINE},\n{LINE}]\n",
    ],
    ids=["one line", "indented", "item a line", "brackets on item lines"],
)
def test_a_list_of_conversations_gives_one_record_an_item(text: str) -> None:
    found = read(text)
    assert values(found) == [CHAT] * 3
    assert places(found, Record) == ["index 0", "index 1", "index 2"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_json_lines_give_one_record_a_line_and_count_blank_ones(end: str) -> None:
    found = read(end.join([LINE, "", LINE, LINE]))
    assert values(found) == [CHAT] * 3
    assert places(found, Record) == ["line 1", "line 3", "line 4"]


def test_a_bare_list_of_messages_is_one_record() -> None:
    messages = [{"role": "user", "content": 'a "quoted" ] } [ {'}, {"role": "assistant", "content": "\\"}]
    assert values(read(json.dumps(messages))) == [messages]
    assert values(read(json.dumps(messages, indent=2))) == [messages]


def test_lines_of_bare_message_lists_are_one_record_each() -> None:
    messages = json.dumps(CHAT["messages"])
    assert values(read(f"{messages}\n{messages}\n")) == [CHAT["messages"]] * 2
    broken_first = read(f"{messages[:-2]}\n{messages}\n{messages}\n")
    assert places(broken_first, Fault) == ["line 1"]
    assert len(values(broken_first)) == 2


@pytest.mark.parametrize("broken", ["{oops", LINE[:-1], "oops", '{"a": NaN}', '"text"', "7", "null"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_broken_line_costs_only_itself(broken: str, at: int) -> None:
    lines = [LINE, LINE]
    lines.insert(at, broken)
    found = read("\n".join(lines))
    assert values(found) == [CHAT, CHAT]
    assert places(found, Fault) == [f"line {at + 1}"]


@pytest.mark.parametrize("broken", ['{"a": }', "{'a': 1}", '{"a": [1,]}', '{"a": Infinity}', "nonsense", ""])
def test_a_broken_item_of_a_list_costs_only_itself(broken: str) -> None:
    found = read(f"[{LINE}, {broken}, {LINE}]")
    assert values(found) == [CHAT, CHAT]
    assert places(found, Fault) == ["index 1"]


def test_what_precedes_the_end_of_a_truncated_list_is_read() -> None:
    found = read(f"[{LINE}, {LINE}, {LINE[:20]}")
    assert values(found) == [CHAT, CHAT]
    assert places(found, Fault) == ["document"]


def test_what_follows_a_list_is_reported() -> None:
    found = read(f"[{LINE}] trailing")
    assert values(found) == [CHAT]
    assert [item.reason for item in found if isinstance(item, Fault)] == ["there is more after the end of the list"]


def test_a_broken_message_spoils_a_bare_list_and_nothing_is_half_read() -> None:
    found = read('[{"role": "user", "content": "a"}, {"role": }, {"role": "user", "content": "b"}]')
    assert values(found) == []
    assert places(found, Fault) == ["index 1"]


@pytest.mark.parametrize("layout", ["lines", "list"])
def test_a_record_over_the_limit_is_passed_over(layout: str) -> None:
    long = json.dumps({"messages": [{"role": "user", "content": "x" * 3_000_000}]})
    text = "\n".join([LINE, long, LINE]) if layout == "lines" else f"[{LINE}, {long}, {LINE}]"
    found = read(text, max_record_bytes=100_000)
    assert values(found) == [CHAT, CHAT]
    assert places(found, Fault) == ["line 2" if layout == "lines" else "index 1"]


def test_a_document_over_the_limit_is_refused() -> None:
    document = json.dumps(CHAT | {"padding": "x" * 1000}, indent=1)
    assert places(read(document, max_record_bytes=100), Fault) == ["document"]
    messages = json.dumps(CHAT["messages"] * 100)
    assert places(read(messages, max_record_bytes=1000), Fault) == ["document"]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b" \r\n\t\n", "empty"),
        (b"[]", "empty"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
        (bytes(range(256)) * 10, "binary"),
        (b"role,content\nuser,hello\n", "not JSON"),
        (b'{"messages": "\xff"}', "UTF-8"),
        (b'{"messages": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"a":' * 100_000, "nested"),
        (b"[" * 100_000, "ends inside"),
        (b'{"messages": [', "not valid JSON"),
    ],
)
def test_a_file_without_records_is_one_fault_that_says_why(data: bytes, word: str) -> None:
    (fault,) = read(data)
    assert isinstance(fault, Fault)
    assert word in fault.reason


def test_half_surrogate_pairs_are_replaced_and_counted_and_whole_ones_kept() -> None:
    (record,) = read(rb'{"messages": [{"role": "user", "content": "a\ud83d b\uDE00 \ud83d\ude00", "k\udfff": 1}]}')
    assert isinstance(record, Record)
    assert record.value == {"messages": [{"role": "user", "content": "a\ufffd b\ufffd \U0001f600", "k\ufffd": 1}]}
    assert record.repaired == 3


class _Dribble(io.BytesIO):
    """Hands out a few bytes at a time, so that every token gets cut somewhere."""

    def __init__(self, data: bytes, step: int) -> None:
        super().__init__(data)
        self._step = step

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(self._step, size) if size is not None and size > 0 else self._step)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet=st.characters(codec="utf-8")),
    lambda children: st.lists(children) | st.dictionaries(st.text(alphabet='ab"\\[]{},é'), children),
    max_leaves=6,
)


@given(
    items=st.lists(st.dictionaries(st.text(), _JSON, max_size=3), min_size=1, max_size=4),
    step=st.integers(1, 9),
    ascii_only=st.booleans(),
)
def test_items_are_what_a_whole_parse_gives_wherever_the_chunks_end(
    items: list[dict[str, object]], step: int, ascii_only: bool
) -> None:
    from greenroom.runtime.ingest.split import End, array_items

    data = json.dumps(items, ensure_ascii=ascii_only).encode()
    found = list(array_items(_Dribble(data, step), len(data)))
    assert found[-1] == End(None)
    assert [json.loads(item.data or b"") for item in found[:-1] if not isinstance(item, End)] == items


@given(st.binary(max_size=400))
def test_no_bytes_at_all_make_the_reader_raise(data: bytes) -> None:
    for prefix in (b"", b"{", b"[", b'[{"role":', b'{"messages": []}\n'):
        for item in read(prefix + data):
            assert isinstance(item, (Record, Fault))


def test_a_pipe_can_be_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(f"{LINE}\n{LINE}\n",))
    writer.start()
    with open_source(pipe) as stream:
        assert values(list(read_records(stream))) == [CHAT, CHAT]
    writer.join()
