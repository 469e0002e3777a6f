"""The layouts of a file, and what stays readable when part of it is not."""

from __future__ import annotations

import io
import json
import os
import threading
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime import Runtime
from greenroom.runtime.ingest import ingest
from greenroom.runtime.ingest.read import read_records
from greenroom.runtime.ingest.records import Fault, Record
from greenroom.runtime.ingest.sources import open_sources

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


@pytest.mark.parametrize(
    "broken", ["{oops", LINE[:-1], LINE[:40], LINE[:-3], '{"a":', "oops", '"text"', "7", "null", '{"a": "b}']
)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_broken_line_costs_only_itself(broken: str, at: int) -> None:
    lines = [LINE, LINE]
    lines.insert(at, broken)
    found = read("\n".join(lines))
    assert values(found) == [CHAT, CHAT]
    assert places(found, Fault) == [f"line {at + 1}"]


@pytest.mark.parametrize("broken", ['{"a": }', "{'a': 1}", '{"a": [1,]}', '{"a": 1', "nonsense", ""])
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
        (b'{"a":' * 100_000, "nested"),
        (b"[" * 100_000, "nested"),
        (b'{"messages": [', "not valid JSON"),
    ],
)
def test_a_file_without_records_is_one_fault_that_says_why(data: bytes, word: str) -> None:
    (fault,) = read(data)
    assert isinstance(fault, Fault)
    assert word in fault.reason


def test_half_surrogate_pairs_are_replaced_and_noted_and_whole_ones_kept() -> None:
    (record,) = read(rb'{"messages": [{"role": "user", "content": "a\ud83d b\uDE00 \ud83d\ude00", "k\udfff": 1}]}')
    assert isinstance(record, Record)
    assert record.value == {"messages": [{"role": "user", "content": "a\ufffd b\ufffd \U0001f600", "k\ufffd": 1}]}
    assert [(note.field, note.lost) for note in record.notes] == [
        ("messages[0].content", True),
        ("messages[0].k\ufffd", True),
    ]


def test_numbers_that_json_has_no_place_for_cost_only_themselves() -> None:
    (record,) = read(b'{"messages": [], "a": [1, NaN], "b": {"c": -Infinity}, "d": 1e400, "e": %s}' % (b"9" * 5000))
    assert isinstance(record, Record)
    assert record.value == {"messages": [], "a": [1, None], "b": {"c": None}, "d": None, "e": "9" * 5000}
    assert [(note.field, note.lost) for note in record.notes] == [
        ("a[1]", True),
        ("b.c", True),
        ("d", True),
        ("e", False),
    ]


def test_all_values_of_a_key_that_is_there_twice_are_kept() -> None:
    (record,) = read(b'{"x": 1, "x": 2, "x (1)": 3, "x": 4}')
    assert isinstance(record, Record)
    assert record.value["x"] == 4
    assert sorted(record.value.values()) == [1, 2, 3, 4]
    assert [note.field for note in record.notes] == ["x", "x"]


def test_bytes_that_are_no_utf8_cost_only_themselves() -> None:
    found = read(b'{"messages": [{"role": "user", "content": "caf\xe9"}]}\n' + LINE.encode())
    assert values(found) == [{"messages": [{"role": "user", "content": "caf\ufffd"}]}, CHAT]


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


@pytest.mark.parametrize("between", ["", "\n", "\r", "\r\n", "\x1e", "\n\x1e", "\n\ufeff", ",\n", " "])
@pytest.mark.parametrize("indent", [None, 2])
def test_records_that_follow_each_other_in_any_way_are_all_read(between: str, indent: int | None) -> None:
    text = between.join([json.dumps(CHAT, indent=indent)] * 4)
    assert values(read(text)) == [CHAT] * 4
    assert values(read("\x1e" + text + "\n")) == [CHAT] * 4


@pytest.mark.parametrize("between", ["\n", "\r", "\r\n", "\n\x1e", "\x1e"])
@pytest.mark.parametrize(
    "broken", ["{oops}", LINE[:40], LINE[:-1], LINE[:-2], '{"a":', '{"a": [1,', '{"messages": NaNa}']
)
def test_a_broken_record_costs_only_itself_whatever_separates_them(between: str, broken: str) -> None:
    found = read(between.join([LINE, LINE, broken, LINE, LINE]))
    assert values(found) == [CHAT] * 4
    assert len(places(found, Fault)) == 1


def test_a_broken_document_of_many_lines_costs_only_itself() -> None:
    document = json.dumps({"id": 1, **CHAT}, indent=2)
    for broken in (document.replace('"id": 1', '"id": oops'), document[:-20], document.replace("}", "", 1)):
        found = read("\n".join([document, broken, document]))
        assert values(found)[0] == values(found)[-1] == {"id": 1, **CHAT}
        assert len(places(found, Fault)) == 1


@pytest.mark.parametrize(
    "broken",
    [LINE[:-1], LINE[:-2], LINE[:-3], LINE[:30], LINE + "}", LINE + "]", '{"messages": [{"role": "user}]}'],
)
@pytest.mark.parametrize("between", [", ", ",\n", ",\n  "])
def test_an_unbalanced_item_of_a_list_costs_only_itself(broken: str, between: str) -> None:
    found = read(f"[{between.join([LINE, LINE, broken, LINE, LINE])}]")
    wanted = 5 if broken.startswith(LINE) else 4
    assert [item.value for item in found if isinstance(item, Record) and item.value == CHAT] == [CHAT] * wanted
    assert len(places(found, Fault)) == 1


def test_lines_that_are_lists_of_conversations_give_one_record_an_item() -> None:
    line = json.dumps([CHAT, CHAT["messages"]])
    found = read(f"{line}\n{line}\n")
    assert values(found) == [CHAT, CHAT["messages"]] * 2
    assert places(found, Record) == ["index 0", "index 1", "line 2 index 0", "line 2 index 1"]
    assert values(read(json.dumps([[CHAT, CHAT], [CHAT]]))) == [CHAT] * 3


def test_a_long_first_line_that_is_broken_costs_only_itself() -> None:
    long = '{"messages": [{"role": "user", "content": "' + "x" * 3_000_000 + '"}], oops}'
    found = read("\n".join([long, LINE, LINE]))
    assert values(found) == [CHAT, CHAT]
    assert places(found, Fault) == ["line 1"]


@pytest.mark.parametrize(
    "line",
    ['{"a":', "[1,", '{"a": [', '{"a": 1,', "oops", '{"a": "b', "[" + LINE, LINE[:-1], "{" * 50, '{"messages": [{}, '],
)
@pytest.mark.parametrize("end", ["\n", ", ", "\r"])
def test_the_work_for_broken_places_grows_with_their_number_and_not_faster(line: str, end: str) -> None:
    """Counted, not timed: how many characters are handed to the parser, for one length and for four times as much."""
    from greenroom.runtime.ingest import window

    def work(times: int) -> int:
        handed = 0
        parse = window.Parser.value

        def counting(self: window.Parser, text: str, at: int, *, broken_text: bool) -> object:
            nonlocal handed
            try:
                found = parse(self, text, at, broken_text=broken_text)
            except json.JSONDecodeError as error:
                handed += error.pos - at + 1
                raise
            except RecursionError:
                handed += 1000
                raise
            handed += found[1] - at
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(window.Parser, "value", counting)
            read((line + end) * times, max_record_bytes=10_000)
        return handed

    assert work(2000) <= 8 * work(500) + 100_000


@given(
    items=st.lists(st.dictionaries(st.text(), _JSON, max_size=3), min_size=1, max_size=4),
    step=st.integers(1, 9),
    ascii_only=st.booleans(),
)
def test_items_are_what_a_whole_parse_gives_wherever_the_chunks_end(
    items: list[dict[str, object]], step: int, ascii_only: bool
) -> None:
    items = [{"messages": [], **item} for item in items]
    data = json.dumps(items, ensure_ascii=ascii_only).encode()
    assert values(list(read_records(_Dribble(data, step)))) == items
    lines = "\n".join(json.dumps(item, ensure_ascii=ascii_only) for item in items).encode()
    assert values(list(read_records(_Dribble(lines, step)))) == items


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
    (found,) = [list(read_records(source.stream)) for source in open_sources(pipe)]
    assert values(found) == [CHAT, CHAT]
    writer.join()


def test_an_archive_that_was_cut_short_is_said_to_be_damaged(tmp_path: Path) -> None:
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("a.json", '{"messages": [{"role": "user", "content": "x"}]}')
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole.read_bytes()[:-30])
    plain = tmp_path / "plain.zip"
    plain.write_text('{"messages": [{"role": "user", "content": "a document under a wrong name"}]}')
    with Runtime.open() as rt:
        report = ingest(rt, [cut])
        assert [str(each.reason) for each in report.skipped] == [
            "the archive is damaged or cut short: the list of its files, at its end, is not there"
        ]
        assert (ingest(rt, [whole]).sessions, ingest(rt, [plain]).sessions) == (1, 1)


def test_pipes_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    (tmp_path / "b.json").write_text('{"messages": [{"role": "user", "content": "x"}]}')
    (tmp_path / "c.json").symlink_to("nowhere")
    with Runtime.open() as rt:
        report = ingest(rt, [tmp_path])
    assert report.sessions == 1
    assert [Path(each.path).name for each in report.skipped] == ["c.json"]
