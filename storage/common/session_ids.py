"""Session ids: the text that users see, and the 16 raw bytes of the UUID that stand in keys."""

from __future__ import annotations

import os
import re
from typing import Final

from blake3 import blake3

__all__ = ["SessionHandle", "is_session_id", "new_session", "scope_bytes", "session_bytes", "session_id_of"]

_SESSION_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_RANDOM_BLOCK: Final = 4096
_random: list[bytes] = []
# A forked process must not hand out the ids of its parent.
os.register_at_fork(after_in_child=_random.clear)


class SessionHandle:
    """Base of handles on one session. A query takes one where it takes a session id."""

    __slots__ = ("id",)

    id: str


def is_session_id(text: object) -> bool:
    """Return whether this is a session id in its one accepted spelling: a lower-case UUIDv4 with hyphens."""
    return type(text) is str and _SESSION_ID.fullmatch(text) is not None


def new_session() -> bytes:
    """Return the raw bytes of a new UUIDv4 from the system's random source, which is read for many ids at a time."""
    while True:
        try:
            raw = bytearray(_random.pop())
            break
        except IndexError:
            block = os.urandom(_RANDOM_BLOCK)
            _random.extend(block[at : at + 16] for at in range(0, _RANDOM_BLOCK, 16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)


def session_bytes(session_id: str) -> bytes:
    """Return the raw bytes of a session id."""
    return bytes.fromhex(session_id.replace("-", ""))


def session_id_of(raw: bytes) -> str:
    """Return the session id of raw bytes."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def scope_bytes(name: str) -> bytes:
    """Return the id under which the state of a scope ("global", "user:7") is stored: a UUIDv8, which no session has."""
    raw = bytearray(blake3(b"greenroom.scope\x00" + name.encode("utf-8", "surrogatepass")).digest(16))
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)
