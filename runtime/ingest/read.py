"""Finds the JSON records of a file: one document, a list of records, or one record a line.

The layout is told from the content, never from the file's name. Memory is bounded by the longest record.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

from greenroom.runtime.ingest.records import MAX_RECORD_BYTES, Fault, Record
from greenroom.runtime.ingest.split import End, array_items

_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_WINDOW = 1024 * 1024
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89abcdefABCDEF]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_FOREIGN = {
    b"\x1f\x8b": "it is compressed (gzip): unpack it first",
    b"PK\x03\x04": "it is an archive (zip): unpack it first",
    b"(\xb5/\xfd": "it is compressed (zstd): unpack it first",
    b"\xff\xfe": "it is UTF-16 text: convert it to UTF-8 first",
    b"\xfe\xff": "it is UTF-16 text: convert it to UTF-8 first",
}


def open_source(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for `read_records`; a pipe is copied to a temporary file, because the layout needs seeking.

    Raises OSError when it cannot be read, IsADirectoryError for a folder.
    """
    stream = Path(path).open("rb")  # noqa: SIM115 - the caller closes it
    if stream.seekable():
        return stream
    with stream:
        copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes it
        shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return copy


def read_records(stream: BinaryIO, max_record_bytes: int = MAX_RECORD_BYTES) -> Iterator[Record | Fault]:
    """Yield every record of a seekable binary stream, and a `Fault` for each place that holds none.

    A list of messages at the top of a file is one record; a list of anything else gives one record an item.
    A record longer than `max_record_bytes` is a fault, passed over without being held in memory.
    """
    first_line = _seek_to_content(stream)
    if first_line == 0:
        yield Fault("document", "the file is empty")
        return
    window = _peek(stream)
    match window[:1]:
        case b"[" if not _is_lines_of_lists(window):
            yield from _from_array(stream, max_record_bytes)
        case b"{":
            yield from _from_object(stream, window, first_line, max_record_bytes)
        case b"[":
            yield from _from_lines(stream, first_line, max_record_bytes)
        case _ if _has_record_lines(window):
            yield from _from_lines(stream, first_line, max_record_bytes)
        case _:
            yield Fault("document", _what_it_is(window))


# --- layouts --------------------------------------------------------------------------------------


def _from_object(stream: BinaryIO, window: bytes, first_line: int, limit: int) -> Iterator[Record | Fault]:
    """A brace opens JSON lines, when the first line is a whole value by itself, or one document."""
    start = stream.tell()
    line = stream.readline(limit + 1)
    whole_line = len(line) <= limit and isinstance(_parse("", line), Record)
    over_long_line = len(line) > limit and b"\n" not in line
    stream.seek(start)
    if whole_line or over_long_line:
        yield from _from_lines(stream, first_line, limit)
        return
    document = stream.read(limit + 1)
    found = _parse("document", document) if len(document) <= limit else _too_long("document", limit)
    if isinstance(found, Fault) and _has_record_lines(window):
        stream.seek(start)
        yield from _from_lines(stream, first_line, limit)
    else:
        yield found


def _from_lines(stream: BinaryIO, first_line: int, limit: int) -> Iterator[Record | Fault]:
    for number in itertools.count(first_line):
        line = stream.readline(limit + 1)
        if not line:
            return
        position = f"line {number}"
        if len(line) > limit and not line.endswith(b"\n"):
            yield _too_long(position, limit)
            while line and not line.endswith(b"\n"):
                line = stream.readline(_WINDOW)
        elif line.strip(_SPACE):
            yield _parse(position, line)


def _from_array(stream: BinaryIO, limit: int) -> Iterator[Record | Fault]:
    """A list of records, or a list of messages, which is one record: the first readable item tells which."""
    items = _items(stream, limit)
    faults = list[Record | Fault]()
    for found in items:
        if isinstance(found, Record):
            break
        faults.append(found)
    else:
        yield from faults or [Fault("document", "the list is empty")]
        return
    if _is_message(found.value):
        yield _gather(itertools.chain(faults, [found], items), limit)
    else:
        yield from itertools.chain(faults, [found], items)


def _items(stream: BinaryIO, limit: int) -> Iterator[Record | Fault]:
    for item in array_items(stream, limit):
        if isinstance(item, End):
            if item.error:
                yield Fault("document", item.error)
        elif item.data is None:
            yield _too_long(f"index {item.index}", limit)
        else:
            yield _parse(f"index {item.index}", item.data)


def _gather(messages: Iterator[Record | Fault], limit: int) -> Record | Fault:
    """The messages of a bare list as one record; one that cannot be read spoils the conversation."""
    values = []
    size = repaired = 0
    for found in messages:
        if isinstance(found, Fault):
            return found
        values.append(found.value)
        repaired += found.repaired
        size += found.size
        if size > limit:
            return _too_long("document", limit)
    return Record("document", values, repaired, size)


# --- telling the layouts apart --------------------------------------------------------------------


def _seek_to_content(stream: BinaryIO) -> int:
    """Move past a byte order mark and blank space; the number of the line reached, 0 at the end."""
    number = 1
    if stream.read(len(_BOM)) != _BOM:
        stream.seek(0)
    while chunk := stream.read(_WINDOW):
        content = chunk.lstrip(_SPACE)
        number += chunk[: len(chunk) - len(content)].count(b"\n")
        if content:
            stream.seek(-len(content), os.SEEK_CUR)
            return number
    return 0


def _peek(stream: BinaryIO) -> bytes:
    window = stream.read(_WINDOW)
    stream.seek(-len(window), os.SEEK_CUR)
    return window


def _is_lines_of_lists(window: bytes) -> bool:
    """Whether a file that opens with a bracket holds one list of messages a line, not one list."""
    first, newline, rest = window.partition(b"\n")
    if not newline:
        return False
    if isinstance(_parse("", first), Record):
        return bool(rest.strip(_SPACE)) or len(window) == _WINDOW
    return first.strip(_SPACE) != b"[" and _has_record_lines(window)


def _has_record_lines(window: bytes) -> bool:
    """Whether some line after the first is a JSON object or list by itself, and not indented."""
    lines = window.split(b"\n")[1:]
    if len(window) == _WINDOW:
        lines = lines[:-1]  # cut off by the window
    return any(line[:1] in (b"{", b"[") and isinstance(_parse("", line), Record) for line in lines)


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and "role" in value and not {"messages", "conversations", "history"} & value.keys()


def _what_it_is(window: bytes) -> str:
    for magic, what in _FOREIGN.items():
        if window.startswith(magic):
            return what
    if b"\0" in window:
        return "it is binary, not JSON"
    return "it is not JSON: a conversation file begins with { or ["


# --- one record -----------------------------------------------------------------------------------


def _parse(position: str, data: bytes) -> Record | Fault:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return Fault(position, f"it is not UTF-8 text (byte {error.start} of the record)")
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}" if position == "document" else f"column {error.colno}"
        return Fault(position, f"it is not valid JSON: {error.msg} ({where})")
    except RecursionError:
        return Fault(position, "it is nested too deeply")
    except ValueError as error:
        return Fault(position, f"it is not valid JSON: {error}")
    if not isinstance(value, (dict, list)):
        return Fault(position, "it is a single value, not a conversation")
    if _SURROGATE_ESCAPE.search(data):
        value, repaired = _without_surrogates(value)
        return Record(position, value, repaired, len(data))
    return Record(position, value, 0, len(data))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _too_long(position: str, limit: int) -> Fault:
    return Fault(position, f"it is longer than {limit} bytes, the limit for one record")


def _without_surrogates(value: Any) -> tuple[Any, int]:
    """The value with half surrogate pairs, which UTF-8 cannot hold, as U+FFFD, and how many there were."""
    if isinstance(value, str):
        return _SURROGATE.subn("\ufffd", value)
    if isinstance(value, list):
        items = [_without_surrogates(item) for item in value]
        return [item for item, _ in items], sum(count for _, count in items)
    if isinstance(value, dict):
        pairs = [(_without_surrogates(key), _without_surrogates(item)) for key, item in value.items()]
        return {key: item for (key, _), (item, _) in pairs}, sum(k[1] + v[1] for k, v in pairs)
    return value, 0
