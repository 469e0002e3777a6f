"""The bundle: one tar file that carries sessions from store to store. docs/bundle.md is the specification.

The tar is written, and read, in exactly one spelling: every header is rebuilt from its name and size and must be the
same, byte by byte. So links, devices, paths, owners and extensions cannot occur.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from blake3 import blake3

from greenroom.storage.codec.keys import is_session_id
from greenroom.storage.errors import BundleError
from greenroom.storage.files.regular_file import open_regular

__all__ = [
    "BUNDLE_VERSION",
    "MAX_RECORD_BYTES",
    "MAX_SESSIONS",
    "WITHOUT_RECORDS",
    "WITH_RECORDS",
    "BundleReader",
    "BundleWriter",
    "BundledSession",
    "Manifest",
    "Member",
    "content_name",
    "framed",
    "open_bundle",
]

WITHOUT_RECORDS: Final = 1
WITH_RECORDS: Final = 2
"""The versions of bundles whose sessions have no records, and of those with some."""
BUNDLE_VERSION: Final = WITH_RECORDS
MAX_SESSIONS: Final = 10_000
"""The most sessions in one bundle."""
MAX_RECORD_BYTES: Final = 64 << 20
"""The most bytes of one journal or artifact record."""
_MAX_MANIFEST: Final = 4 << 20
_KIND: Final = "greenroom bundle"
_BLOCK: Final = 512
_END: Final = bytes(2 * _BLOCK)
_OCTAL_SIZES: Final = 8**11
_COPY_BYTES: Final = 1 << 20
_DIGITS: Final = re.compile(rb"[0-7]{11}\x00")
_NAME: Final = re.compile(
    r"manifest\.json|contents/[0-9a-f]{64}|sessions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/(artifacts|journal)"
    r"|checksum"
)


@dataclass(frozen=True, slots=True)
class BundledSession:
    """The manifest's entry of one session. `parent` is the id of its parent, in the bundle or not."""

    id: str
    parent: str | None
    events: int
    artifacts: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The first member of a bundle. Sessions come parents first; `contents` and `content_bytes` count contents."""

    created_at: str
    written_by: str
    history: bool
    sessions: tuple[BundledSession, ...]
    contents: int
    content_bytes: int
    version: int = WITHOUT_RECORDS

    def encode(self) -> bytes:
        rows = [{name: getattr(each, name) for name in BundledSession.__slots__} for each in self.sessions]
        text = {
            "kind": _KIND,
            "version": self.version,
            "created_at": self.created_at,
            "written_by": self.written_by,
            "history": self.history,
            "contents": self.contents,
            "content_bytes": self.content_bytes,
            "sessions": rows,
        }
        return json.dumps(text, indent=1).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """Decode a manifest. Raises BundleError."""
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            raise BundleError("the bundle's manifest is not JSON: it is damaged") from None
        if not isinstance(found, dict) or found.get("kind") != _KIND:
            raise BundleError("the manifest is not that of a greenroom bundle")
        version = found.get("version")
        if type(version) is not int or version < 1:
            raise BundleError("the manifest names no version of the bundle format")
        if version > BUNDLE_VERSION:
            raise BundleError(
                f"the bundle has format {version}; this greenroom reads up to {BUNDLE_VERSION}: upgrade greenroom",
                found=version,
                supported=BUNDLE_VERSION,
            )
        rows = found.get("sessions")
        if not isinstance(rows, list) or not 0 < len(rows) <= MAX_SESSIONS:
            raise BundleError(f"a bundle carries 1 to {MAX_SESSIONS} sessions")
        manifest = cls(
            created_at=_typed(found, "created_at", str),
            written_by=_typed(found, "written_by", str),
            history=_typed(found, "history", bool),
            sessions=tuple(_bundled_session(row) for row in rows),
            contents=_typed(found, "contents", int),
            content_bytes=_typed(found, "content_bytes", int),
            version=version,
        )
        if len(found) != 8:
            raise BundleError("the manifest has entries that its format does not have")
        seen: set[str] = set()
        for each in manifest.sessions:
            if each.id in seen or each.parent == each.id:
                raise BundleError("the manifest names a session twice, or as its own parent")
            seen.add(each.id)
        later = set(seen)
        for each in manifest.sessions:
            if each.parent in later:
                raise BundleError("the manifest names a session before its parent")
            later.discard(each.id)
        return manifest


def _typed(found: Any, name: str, kind: type[Any]) -> Any:
    value: Any = found.get(name) if isinstance(found, dict) else None
    if type(value) is not kind or (kind is int and not 0 <= value < 1 << 63):
        raise BundleError(f"the manifest's {name!r} is missing or of the wrong type")
    return value


def _bundled_session(row: Any) -> BundledSession:
    session_id = _typed(row, "id", str)
    parent = row.get("parent")
    if not is_session_id(session_id) or not (parent is None or is_session_id(parent)) or len(row) != 4:
        raise BundleError("the manifest names a session by something that is no session id")
    events: int = _typed(row, "events", int)
    artifacts: int = _typed(row, "artifacts", int)
    if not 0 < events < 1 << 62 or artifacts > events:
        raise BundleError(f"the manifest gives session {session_id} impossible counts")
    return BundledSession(session_id, parent, events, artifacts)


# -- the tar


def content_name(digest: bytes) -> str:
    return f"contents/{digest.hex()}"


def _header(name: str, size: int) -> bytes:
    """Return the one ustar header of a plain file of this name and size."""
    length = b"%011o\0" % size if size < _OCTAL_SIZES else b"\x80" + size.to_bytes(11, "big")
    head = b"".join((name.encode("ascii").ljust(100, b"\0"), b"0000644\0", b"0000000\0" * 2, length, b"0" * 11 + b"\0"))
    tail = b"".join((b"0", bytes(100), b"ustar\x0000", bytes(64), b"0000000\0" * 2, bytes(167)))
    checksum = b"%06o\0 " % (sum(head) + sum(tail) + 8 * 0x20)
    return head + checksum + tail


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def framed(record: bytes) -> bytes:
    """Return a record as it stands in a member: its length as big-endian u32, then its bytes."""
    return len(record).to_bytes(4, "big") + record


class BundleWriter:
    """Writes members one after the other. Their sizes are known before; nothing is ever rewritten."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = blake3()
        self.size = 0

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)
        self.size += len(data)

    def member(self, name: str, size: int, parts: Iterable[bytes]) -> None:
        """Write one member. Its parts must have `size` bytes together."""
        self._write(_header(name, size))
        left = size
        for part in parts:
            left -= len(part)
            self._write(part)
        assert left == 0, "a member has the size that was announced"
        self._write(_padding(size))

    def finish(self) -> str:
        """Write the checksum over everything before it, and the end. Return the checksum in hex."""
        digest = self._digest.hexdigest()
        line = digest.encode() + b"\n"
        self.member("checksum", len(line), [line])
        self._write(_END)
        return digest


class Member:
    """One member of a bundle that is being read. It must be read to its end before the next."""

    def __init__(self, reader: BundleReader, name: str, size: int, offset: int) -> None:
        self._reader = reader
        self.name = name
        self.size = size
        self.offset = offset
        self._left = size

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none at the end."""
        data = self._reader.take(min(size, self._left)) if self._left and size else b""
        self._left -= len(data)
        return data

    def blocks(self) -> Iterator[bytes]:
        while block := self.read(_COPY_BYTES):
            yield block

    def records(self) -> Iterator[bytes]:
        """Yield the framed records. Raises BundleError for an impossible length."""
        while self._left:
            if self._left < 4:
                raise BundleError(f"{self.name} ends within a record", member=self.name)
            size = int.from_bytes(self.read(4), "big")
            if not 0 < size <= min(self._left, MAX_RECORD_BYTES):
                raise BundleError(f"{self.name} has a record of an impossible size", member=self.name)
            yield self.read(size)

    @property
    def left(self) -> int:
        return self._left


class BundleReader:
    """Reads members in order and accounts for every byte. Raises BundleError for anything out of place."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._digest = blake3()
        self._member: Member | None = None
        self.position = 0

    def take(self, size: int) -> bytes:
        """Return exactly `size` bytes."""
        data = self._file.read(size)
        self.position += len(data)
        if len(data) != size:
            raise BundleError("the bundle is truncated: it ends too early")
        self._digest.update(data)
        return data

    def next(self, expected: str) -> Member:
        """Return the next member. It must have the expected name, or begin with it if that ends in a slash."""
        self._end_member()
        block = self.take(_BLOCK)
        name = block[:100].rstrip(b"\0").decode("ascii", "replace")
        if block == bytes(_BLOCK):
            raise BundleError(f"the bundle lacks {expected}")
        length = block[124:136]
        if length[0] == 0x80:
            size = int.from_bytes(length[1:], "big")
        elif _DIGITS.fullmatch(length):
            size = int(length[:11], 8)
        else:
            size = -1
        if not _NAME.fullmatch(name) or size < 0 or _header(name, size) != block:
            raise BundleError(f"this is no bundle, or a damaged one: there is a foreign entry instead of {expected}")
        if name != expected and not (expected.endswith("/") and name.startswith(expected)):
            raise BundleError(f"the bundle has {name} where {expected} belongs", member=name)
        if size + -size % _BLOCK > self._size - self.position:
            raise BundleError(f"{name} claims {size} bytes, more than the bundle has", member=name)
        self._member = Member(self, name, size, self.position)
        return self._member

    def _end_member(self) -> None:
        """Skip the padding of the member's last block, which must be empty."""
        member, self._member = self._member, None
        if member is None:
            return
        assert member.left == 0, "a member is read to its end before the next"
        if self.take(-member.size % _BLOCK).strip(b"\0"):
            raise BundleError(f"{member.name} has more bytes than its contents", member=member.name)

    def manifest(self) -> Manifest:
        member = self.next("manifest.json")
        if member.size > _MAX_MANIFEST:
            raise BundleError(f"the manifest claims {member.size} bytes; {_MAX_MANIFEST} are allowed")
        return Manifest.decode(member.read(member.size))

    def finish(self) -> str:
        """Check the checksum over everything read, and that the bundle ends here. Return the checksum in hex."""
        self._end_member()
        digest = self._digest.hexdigest()
        member = self.next("checksum")
        if member.size != 65 or member.read(65) != digest.encode() + b"\n":
            raise BundleError("the bundle's checksum is wrong: it is damaged")
        if self.take(_BLOCK - 65).strip(b"\0") or self.take(len(_END)) != _END or self.position != self._size:
            raise BundleError("the bundle goes on after its end")
        return digest


def open_bundle(path: Path) -> tuple[BinaryIO, int]:
    """Open a bundle for reading, and return the file and its size. Raises StorageError."""
    file = open_regular(path, f"cannot read the bundle {path}")
    return file, os.fstat(file.fileno()).st_size
