"""Look for what a store still has of sessions, and for bytes that must be nowhere in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from greenroom.actors.maintenance.verification.findings import QUARANTINE
from greenroom.actors.store import Append, ArtifactStore
from greenroom.storage.audit import AUDIT_INDEX
from greenroom.storage.codec.keys import INDEX_KEY, INDEX_SHARED, after_prefix, session_bytes
from greenroom.storage.content.chunks import CONTENT_REFERENCE, Reference
from greenroom.storage.engine.engine import CF
from greenroom.storage.errors import ArtifactNotFound, IntegrityError, SchemaTooNew
from greenroom.storage.events.index import BY_LINK

__all__ = ["Held", "drop_quarantined", "held_by", "remains", "search", "shares_with"]

Progress = Callable[[str, int], None]

_END: Final = b"\xff" * 200
_PART: Final = 1 << 20
_FAMILIES: Final = range(len(CF.NAMES))


@dataclass(frozen=True, slots=True)
class Held:
    """The contents that sessions hold: how many only they hold, and how many others hold too."""

    alone: int
    too: int


def held_by(store: ArtifactStore, sessions: Container[bytes]) -> Held:
    """Count the contents that these sessions hold. Reads every reference of the store once, by content."""
    alone = too = 0
    current, mine, others = b"", False, False
    prefix = CONTENT_REFERENCE
    for key, _ in store.engine.pages(CF.REFERENCES, prefix, after_prefix(prefix)):
        digest, reference = Reference.parse(key)
        if digest != current:
            alone, too = alone + (mine and not others), too + (mine and others)
            current, mine, others = digest, False, False
        if reference.session in sessions:
            mine = True
        else:
            others = True
    return Held(alone + (mine and not others), too + (mine and others))


def shares_with(store: ArtifactStore, session_id: str) -> int:
    """Return how many permissions others have given to a session."""
    prefix = INDEX_SHARED + session_bytes(session_id)
    return store.engine.count(CF.INDEX, prefix, after_prefix(prefix))


def remains(
    store: ArtifactStore, sessions: Container[bytes], on_progress: Progress | None = None
) -> tuple[list[str], int]:
    """Look through the keys of all column families for these sessions.

    Return the entries that are left of them, as `family: key in hex`, and how many entries of the audit log name
    them. Nothing but the audit log may name them in a key.
    """
    left: list[str] = []
    audited = 0
    for cf, key, value in _entries(store, on_progress):
        if not _names(cf, key, value, sessions):
            continue
        if cf == CF.META and key.startswith(AUDIT_INDEX):
            audited += 1
        else:
            left.append(f"{CF.NAMES[cf]}: {key.hex()}")
    return left, audited


def _names(cf: int, key: bytes, value: bytes, sessions: Container[bytes]) -> bool:
    """Return whether a session stands somewhere in a key. Keys have them at few places, by docs/format.md; in `meta`
    and where keys hold text of any length, every place is looked at."""
    if cf == CF.INDEX and key[:1] == BY_LINK:
        return key[-24:-8] in sessions  # whose link it is; an event of a session may be linked by others
    if key[:16] in sessions or key[1:17] in sessions or key[-16:] in sessions or key[-24:-8] in sessions:
        return True
    if cf == CF.REFERENCES:
        return key[33:49] in sessions
    if cf == CF.INDEX:
        return key[17:33] in sessions or (key[:1] == INDEX_KEY and value in sessions)
    return cf == CF.META and any(key[at : at + 16] in sessions for at in range(len(key) - 15))


def _entries(store: ArtifactStore, on_progress: Progress | None) -> Iterator[tuple[int, bytes, bytes]]:
    seen = 0
    for cf in _FAMILIES:
        for key, value in store.engine.pages(cf, b"", _END):
            yield cf, key, value
            seen += 1
            if on_progress is not None and not seen % 4096:
                on_progress("entries", seen)
    if on_progress is not None:
        on_progress("entries", seen)


def search(store: ArtifactStore, needles: Sequence[bytes], on_progress: Progress | None = None) -> list[str]:
    """Return where any of these bytes stands: in a key or value, in a content as its readers get it, or in a file of
    the store, its logs and what is being recorded included. Tables on disk are compressed; their entries are looked at
    one by one."""
    found = [
        f"{CF.NAMES[cf]}: {key.hex()[:64]}"
        for cf, key, value in _entries(store, on_progress)
        if any(needle in key or needle in value for needle in needles)
    ]
    for digest, *_ in store.contents.known():
        if _in_content(store, digest, needles):
            found.append(f"content: {digest.hex()}")
    for folder, _, names in os.walk(store.engine.path):
        for path in (os.path.join(folder, name) for name in names):
            with contextlib.suppress(FileNotFoundError):  # compaction removes files at any time
                if _in_file(path, needles):
                    found.append(f"file: {os.path.relpath(path, store.engine.path)}")
    return found


def _in_content(store: ArtifactStore, digest: bytes, needles: Sequence[bytes]) -> bool:
    try:
        with store.contents.open(digest, cached=False) as stream:
            return _in_stream(stream.read, needles)
    except (IntegrityError, SchemaTooNew, ArtifactNotFound):
        return False  # damaged, or deleted meanwhile: what is left of it was looked at as bytes


def _in_file(path: str, needles: Sequence[bytes]) -> bool:
    with open(path, "rb") as file:
        return _in_stream(file.read, needles)


def _in_stream(read: Callable[[int], bytes], needles: Sequence[bytes]) -> bool:
    overlap = max(map(len, needles)) - 1
    before = b""
    while part := read(_PART):
        window = before + part
        if any(needle in window for needle in needles):
            return True
        before = window[-overlap:] if overlap else b""
    return False


def drop_quarantined(store: ArtifactStore, sessions: Container[bytes]) -> None:
    """Remove the damaged records of these sessions that repair has kept."""
    keys = [
        key
        for key, _ in store.engine.pages(CF.META, QUARANTINE, after_prefix(QUARANTINE))
        if any(key[at : at + 16] in sessions for at in range(len(key) - 15))
    ]
    if keys:
        store.commit(Append([(CF.META, key, None) for key in keys]), ArtifactStore.WRITE_TIMEOUT)
