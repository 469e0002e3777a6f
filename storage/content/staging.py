"""Markers of imports and forks that are being written: until they are published, nobody sees their sessions.

An import (a fork is an import from the same store) writes journals, artifact records and content ahead of the one batch
that makes its sessions visible. Its marker names these sessions and the content that it holds. The next opening that
finds the marker of a dead import removes the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from greenroom.storage.codec.keys import after_prefix
from greenroom.storage.codec.records import seal, unseal
from greenroom.storage.engine.engine import CF, Engine, Op

from .chunks import Reference

__all__ = ["IMPORT", "PUBLISHED", "STAGING", "held_contents", "mark", "staged_imports", "staged_sessions"]

IMPORT: Final = b"i"
"""The kind of references to content that a running import holds. The import's id stands in place of a session."""
STAGING: Final = 0
PUBLISHED: Final = 1
_PREFIX: Final = b"importing/"


def mark(import_id: bytes, phase: int, sessions: list[bytes]) -> Op:
    """Return the operation that marks these sessions as being imported, or (PUBLISHED) as visible but not yet cleaned
    up."""
    key = _PREFIX + import_id
    return CF.META, key, seal(key, [phase, sessions])


def unmark(import_id: bytes) -> Op:
    return CF.META, _PREFIX + import_id, None


def hold(import_id: bytes, number: int, digest: bytes) -> tuple[Op, Reference]:
    """Return the operation that notes that an import holds a content, and the reference that holds it."""
    return (CF.META, _hold_key(import_id, number), digest), Reference(import_id, IMPORT, number)


def unhold(import_id: bytes, number: int) -> Op:
    return CF.META, _hold_key(import_id, number), None


def held_contents(engine: Engine, import_id: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (number, hash) of the contents that an import holds."""
    prefix = _PREFIX + import_id
    for key, digest in engine.pages(CF.META, prefix + b"\0", after_prefix(prefix), page=256):
        yield int.from_bytes(key[-8:], "big"), digest


def marks(engine: Engine) -> Iterator[tuple[bytes, int, list[bytes]]]:
    """Yield (import id, phase, sessions) of every import that is not finished."""
    position = _PREFIX
    while found := engine.scan(CF.META, position, after_prefix(_PREFIX), limit=1):
        key, record = found[0]
        import_id = key[len(_PREFIX) :][:16]
        if len(key) == len(_PREFIX) + 16:
            phase, sessions = unseal(key, record, "the mark of an import")
            yield import_id, phase, sessions
        position = after_prefix(_PREFIX + import_id)


def staged_imports(engine: Engine) -> set[bytes]:
    """Return the ids of the unfinished imports, which references of kind `i` may name."""
    return {import_id for import_id, _, _ in marks(engine)}


def staged_sessions(engine: Engine) -> set[bytes]:
    """Return the sessions that are being imported and are not visible yet."""
    return {session for _, phase, sessions in marks(engine) if phase == STAGING for session in sessions}


def _hold_key(import_id: bytes, number: int) -> bytes:
    return _PREFIX + import_id + number.to_bytes(8, "big")
