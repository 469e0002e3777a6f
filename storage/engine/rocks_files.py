"""Read RocksDB's own files, to find out whether a store is whole and to read a damaged one.

Logs and manifests are sequences of records in blocks of 32 KiB; a manifest's records are version edits, a log's are
write batches. A table names its column family in its properties. RocksDB checks all checksums when it reads, so this
module only checks what RocksDB does not.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

__all__ = [
    "Manifest",
    "Table",
    "family_names",
    "first_gap",
    "had_no_log",
    "logs_of",
    "read_manifest",
    "read_table",
    "span",
    "tables_of",
    "write_manifest",
]

_BLOCK: Final = 32 << 10
_HEADER: Final = struct.Struct("<IHB")
_RECYCLABLE: Final = range(5, 9)
_TABLE_MAGIC: Final = 0x88E241B785F4CFF7
_FOOTER: Final = 53
_MOST_PROPERTIES: Final = 16 << 20
_COMPARATOR: Final = b"leveldb.BytewiseComparator"
_NEXT_FILE: Final = 1 << 20
"""A number above those of all files in a store, for a rebuilt manifest."""


@dataclass(slots=True)
class Manifest:
    """The facts in the readable records of a manifest. `whole`: no unreadable record followed."""

    families: dict[int, str] = field(default_factory=lambda: {0: "default"})
    tables: dict[int, int] = field(default_factory=dict)
    """The number of each table that it has ever named → the number of its column family."""
    live: set[int] = field(default_factory=set)
    """The tables among them that it has not dropped again."""
    last_sequence: int = 0
    whole: bool = True


class Table(NamedTuple):
    """A table file with an intact end: its column family, and its newest sequence number."""

    number: int
    size: int
    family: str
    family_id: int
    largest_sequence: int


def logs_of(path: Path) -> list[Path]:
    """Return the write-ahead logs in a directory, oldest first."""
    return sorted(path.glob("[0-9]*.log"), key=lambda log: int(log.stem))


def tables_of(path: Path) -> list[Path]:
    """Return the table files in a directory, oldest first."""
    return sorted(path.glob("[0-9]*.sst"), key=lambda table: int(table.stem))


def _records(data: bytes, *, checked: bool = False) -> Iterator[tuple[bytes, int]]:
    """Yield the records of a log or manifest, each with the offset of its end, up to the first unreadable one. With
    `checked`, records with a wrong checksum are skipped."""
    parts: list[bytes] = []
    at = 0
    while at + _HEADER.size <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER.size:
            at += left
            continue
        checksum, size, kind = _HEADER.unpack_from(data, at)
        if kind == 0 and size == 0:
            at += left  # RocksDB silently skips zeros to the end of the block
            parts = []
            continue
        begin = at + _HEADER.size + (4 if kind in _RECYCLABLE else 0)
        end = begin + size
        if end > len(data) or end - at > left:
            return
        damaged = checked and checksum != _masked_crc32c(data[at + 6 : end])
        at = end
        if damaged:
            parts = []
            continue
        step = kind - 4 if kind in _RECYCLABLE else kind
        if step == 1:
            parts = []
            yield data[begin:end], end
        elif step == 2:
            parts = [data[begin:end]]
        elif step in (3, 4) and parts:
            parts.append(data[begin:end])
            if step == 4:
                yield b"".join(parts), end
                parts = []


def span(log: Path) -> tuple[int, int] | None:
    """Return the sequence numbers of the first and the last change in a log; None if it has no changes."""
    first = last = 0
    for record, _ in _records(log.read_bytes()):
        if len(record) >= 12:
            sequence, count = struct.unpack_from("<QI", record)
            first, last = first or sequence, max(last, sequence + count - 1)
    return (first, last) if first else None


def first_gap(logs: list[Path], known: int) -> str | None:
    """Return where changes are missing between the tables, which go up to sequence number `known`, and the logs.

    RocksDB numbers every change, so a gap shows that a log, or a part of one, is missing.
    """
    expected = known + 1
    for log in logs:
        for record, end in _records(log.read_bytes()):
            if len(record) < 12:
                continue
            sequence, count = struct.unpack_from("<QI", record)
            if sequence > expected:
                return f"{log.name} lacks changes {expected} to {sequence - 1} before byte {end - len(record)}"
            expected = max(expected, sequence + count)
    return None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _varint(data, at)
    if at + size > len(data):
        raise IndexError
    return data[at : at + size], at + size


_NUMBERS: Final = {2: 1, 3: 1, 4: 1, 6: 2, 9: 1, 10: 1, 200: 1, 202: 0, 203: 1, 300: 1}
"""How many numbers follow each tag of a version edit."""


def read_manifest(path: Path, *, checked: bool = False) -> Manifest:
    """Read the readable part of a manifest; with `checked`, only what its checksums confirm."""
    found = Manifest()
    data = path.read_bytes()
    end = 0
    for record, end in _records(data, checked=checked):  # noqa: B007 - the end of the last is looked at below
        try:
            _read_edit(record, found)
        except (IndexError, ValueError):
            found.whole = False
    found.whole = found.whole and end == len(data)
    return found


def _read_edit(record: bytes, found: Manifest) -> None:
    at, family, name = 0, 0, None
    while at < len(record):
        tag, at = _varint(record, at)
        if tag in _NUMBERS:
            number = 0
            for _ in range(_NUMBERS[tag]):
                number, at = _varint(record, at)
            if tag == 200:
                family = number
            elif tag == 6:
                found.live.discard(number)
            elif tag == 4:
                found.last_sequence = max(found.last_sequence, number)
        elif tag == 201:
            name, at = _text(record, at)
        elif tag == 5:
            _, at = _varint(record, at)
            _, at = _text(record, at)
        elif tag in (7, 100, 102, 103):
            table = _varint(record, _varint(record, at)[1])[0]
            found.tables[table] = family
            found.live.add(table)
            at = _pass_file(record, at, tag)
        elif tag == 1 or tag & 1 << 13:
            _, at = _text(record, at)
        else:
            raise ValueError(tag)
    if name is not None:
        found.families[family] = name.decode("utf-8", "replace")


def _pass_file(record: bytes, at: int, tag: int) -> int:
    for _ in range(4 if tag == 102 else 3):
        _, at = _varint(record, at)
    for _ in range(2):
        _, at = _text(record, at)
    if tag != 7:
        for _ in range(2):
            _, at = _varint(record, at)
    while tag == 103:
        custom, at = _varint(record, at)
        if custom == 1:
            break
        _, at = _text(record, at)
    return at


def read_table(path: Path) -> Table | None:
    """Read the properties of a table file; None if its end is missing or damaged."""
    try:
        with path.open("rb") as file:
            length = file.seek(0, 2)
            footer = _read(file, length - _FOOTER, _FOOTER)
            if struct.unpack("<Q", footer[-8:])[0] != _TABLE_MAGIC:
                return None
            place = dict(_entries(_read(file, *_handle(footer, 1))))[b"rocksdb.properties"]
            properties = dict(_entries(_read(file, *_handle(place, 0))))
        return Table(
            int(path.stem),
            length,
            properties[b"rocksdb.column.family.name"].decode(),
            _varint(properties[b"rocksdb.column.family.id"], 0)[0],
            _varint(properties.get(b"rocksdb.key.largest.seqno", b"\x00"), 0)[0],
        )
    except (IndexError, KeyError, ValueError, struct.error):
        return None


def _handle(data: bytes, at: int) -> tuple[int, int]:
    offset, at = _varint(data, at)
    return offset, _varint(data, at)[0]


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    if offset < 0 or size > _MOST_PROPERTIES:
        raise ValueError(size)
    file.seek(offset)
    return file.read(size)


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    (restarts,) = struct.unpack("<I", block[-4:])
    end = len(block) - 4 - 4 * (restarts & 0x7FFFFFFF)
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        more, at = _varint(block, at)
        size, at = _varint(block, at)
        key = key[:shared] + block[at : at + more]
        at += more
        yield key, block[at : at + size]
        at += size


def family_names(path: Path, known: Iterable[str]) -> dict[int, str]:
    """Return the column families of a store by number, as far as their names are known, from any of its files.

    The manifest names them, the options list them in the order of their numbers, and each table names its own. Any of
    these may be damaged: the majority holds, and no name occurs twice.
    """
    names_known = {"default", *known}
    told = Counter({(0, "default"): len(names_known)})
    for manifest in path.glob("MANIFEST-[0-9]*"):
        told.update(read_manifest(manifest, checked=True).families.items())
    for options in path.glob("OPTIONS-[0-9]*"):
        names = re.findall(r'^\[CFOptions "([^"\n]*)"\]', options.read_text("utf-8", "replace"), re.MULTILINE)
        told.update(enumerate(names))
    for table in tables_of(path):
        if (read := read_table(table)) is not None:
            told[read.family_id, read.family] += 1
    found: dict[int, str] = {}
    for (number, name), _ in told.most_common():
        if name in names_known and number not in found and name not in found.values():
            found[number] = name
    return found


def had_no_log(path: Path) -> bool:
    """Return whether the store was last open without a log (durability `memory`): its flushes are atomic then."""
    options = max(path.glob("OPTIONS-[0-9]*"), key=lambda each: each.name, default=None)
    return options is not None and "\n  atomic_flush=true\n" in options.read_text("utf-8", "replace")


# -- making a manifest anew


def _table_of_crc32c() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC32C: Final = _table_of_crc32c()


def _masked_crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _sized(data: bytes) -> bytes:
    return _number(len(data)) + data


def write_manifest(path: Path, families: dict[int, str], tables: list[Table], widest: bytes) -> None:
    """Give a directory a manifest that knows these column families and tables, and reads every log that is there.

    `widest` is a key above all others: each table is taken to hold keys up to this one.
    """
    last = max((table.largest_sequence for table in tables), default=0)
    numbers = [table.number for table in tables] + [int(log.stem) for log in logs_of(path)]
    next_file = max([*numbers, _NEXT_FILE]) + 1
    edits = [
        _number(1) + _sized(_COMPARATOR) + b"\x02\x00" + _number(3) + _number(next_file + 1)
        + _number(4) + _number(last) + _number(203) + _number(max(families))
    ]  # fmt: skip
    for number, name in sorted(families.items()):
        if number:
            edits.append(
                _number(200) + _number(number) + _number(201) + _sized(name.encode())
                + _number(1) + _sized(_COMPARATOR) + b"\x02\x00"
            )  # fmt: skip
    by_name = {name: number for number, name in families.items()}
    first = _sized(struct.pack("<Q", ((1 << 56) - 1) << 8 | 1))
    end = _sized(widest + struct.pack("<Q", 1))
    for epoch, table in enumerate(sorted(tables, key=lambda each: (each.largest_sequence, each.number)), 1):
        edits.append(
            _number(200) + _number(by_name[table.family]) + _number(103) + b"\x00" + _number(table.number)
            + _number(table.size) + first + end + b"\x00" + _number(table.largest_sequence)
            + _number(13) + _sized(_number(epoch)) + b"\x01"
        )  # fmt: skip
    out = bytearray()
    for edit in edits:
        _append(out, edit)
    name = f"MANIFEST-{next_file:06d}"
    (path / name).write_bytes(out)
    (path / "CURRENT").write_text(name + "\n")


def _append(out: bytearray, record: bytes) -> None:
    begin = True
    while True:
        left = _BLOCK - len(out) % _BLOCK
        if left < _HEADER.size:
            out += bytes(left)
            continue
        part, record = record[: left - _HEADER.size], record[left - _HEADER.size :]
        kind = (1 if begin else 4) if not record else (2 if begin else 3)
        out += _HEADER.pack(_masked_crc32c(bytes([kind]) + part), len(part), kind) + part
        begin = False
        if not record:
            return
