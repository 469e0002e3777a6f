"""The file of one backup of state: a record for each scope, and a footer that says where each of them is.

A record is msgpack: the scope's name, and an array of [key, encoded value, schema, schema version], sorted by key. The
footer is JSON, followed by its BLAKE3 (32 bytes), its length (4 bytes, big endian) and `MAGIC`. For each scope it has
the backup whose file has the record, the record's place there and its BLAKE3.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgpack
from blake3 import blake3

from greenroom.storage.errors import IntegrityError
from greenroom.storage.files.regular_file import open_regular

__all__ = ["MAGIC", "Entry", "Footer", "Record", "read_footer", "read_record", "write_backup"]

MAGIC: Final = b"GRSTATE1"
_TAIL: Final = 32 + 4 + len(MAGIC)
_MOST_FOOTER: Final = 256 << 20
_MOST_RECORD: Final = 1 << 30
_HEX: Final = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One variable: its key, its encoded value, and the schema by which it was set."""

    key: str
    value: bytes
    schema: str | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """Where the variables of one scope are."""

    backup: str
    """The id of the backup whose file has them."""
    offset: int
    length: int
    digest: str
    entries: int


@dataclass(frozen=True, slots=True)
class Footer:
    """What the end of a file says of the backup."""

    id: str
    created_at: int
    description: str | None
    parent: str | None
    scopes: Mapping[str, Record]


def write_backup(
    file: BinaryIO, footer: Footer, states: Iterator[tuple[str, Sequence[Entry]]], earlier: Mapping[str, Record]
) -> Footer:
    """Write a backup, and return its footer with the scopes in it. A scope that is as in `earlier` is not written."""
    scopes: dict[str, Record] = {}
    offset = 0
    for name, entries in states:
        packed = _pack([name, [[each.key, each.value, each.schema, each.version] for each in entries]])
        digest = blake3(packed).hexdigest()
        before = earlier.get(name)
        if before is not None and before.digest == digest:
            scopes[name] = before
            continue
        file.write(packed)
        scopes[name] = Record(footer.id, offset, len(packed), digest, len(entries))
        offset += len(packed)
    made = Footer(footer.id, footer.created_at, footer.description, footer.parent, scopes)
    text = json.dumps(
        {
            "id": made.id,
            "created_at": made.created_at,
            "description": made.description,
            "parent": made.parent,
            "scopes": {
                name: [each.backup, each.offset, each.length, each.digest, each.entries]
                for name, each in scopes.items()
            },
        }
    ).encode()
    file.write(text + blake3(text).digest() + len(text).to_bytes(4, "big") + MAGIC)
    return made


def read_footer(path: Path, what: str) -> Footer:
    """Return the footer of a backup's file. Raises IntegrityError, StorageError."""
    with open_regular(path, what, follow=False) as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL))
        tail = file.read(_TAIL)
        length = int.from_bytes(tail[32:36], "big")
        if len(tail) < _TAIL or tail[36:] != MAGIC or length > min(_MOST_FOOTER, size - _TAIL):
            raise IntegrityError(f"{what}: its end is not that of a backup")
        file.seek(size - _TAIL - length)
        text = file.read(length)
    if blake3(text).digest() != tail[:32]:
        raise IntegrityError(f"{what}: its footer is damaged")
    try:
        found = json.loads(text)
        scopes = {name: Record(*each) for name, each in found["scopes"].items()}
        footer = Footer(found["id"], found["created_at"], found["description"], found["parent"], scopes)
        if not _is_footer(footer):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError):
        raise IntegrityError(f"{what}: its footer is not that of a backup") from None
    return footer


def _is_footer(footer: Footer) -> bool:
    return (
        type(footer.id) is str
        and type(footer.created_at) is int
        and type(footer.description) in (str, type(None))
        and type(footer.parent) in (str, type(None))
        and all(
            [type(each.backup), type(each.digest)] == [str, str]
            and [type(number) for number in (each.offset, each.length, each.entries)] == [int, int, int]
            and min(each.offset, each.length, each.entries) >= 0
            and each.length <= _MOST_RECORD
            and len(each.digest) == _HEX
            for each in footer.scopes.values()
        )
    )


def read_record(path: Path, scope: str, record: Record, what: str) -> list[Entry]:
    """Return the variables of a scope. Raises IntegrityError, StorageError."""
    with open_regular(path, what, follow=False) as file:
        file.seek(record.offset)
        packed = file.read(record.length)
    if blake3(packed).hexdigest() != record.digest:
        raise IntegrityError(f"{what}: the state of {scope!r} in it is damaged")
    try:
        name, rows = msgpack.unpackb(packed, unicode_errors="surrogatepass")
        entries = [Entry(*row) for row in rows]
        if name != scope or len(entries) != record.entries:
            raise ValueError
    except (ValueError, TypeError, msgpack.UnpackException):
        raise IntegrityError(f"{what}: the state of {scope!r} in it cannot be read") from None
    return entries


def _pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
    return packed
