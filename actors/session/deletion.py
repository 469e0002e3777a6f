"""What deleting a session removes."""

from __future__ import annotations

from typing import Final

from greenroom.actors.session.decisions.conversation import ARTIFACT, MESSAGE
from greenroom.actors.session.state.grants import shared_keys
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.store import Append, ArtifactStore
from greenroom.storage.artifacts.index import ACROSS, IN_SESSION, artifact_entries
from greenroom.storage.catalog.catalog import Catalog
from greenroom.storage.codec.keys import (
    INDEX_ARTIFACT_NAME,
    INDEX_CREATED,
    INDEX_MESSAGE,
    INDEX_SHARED,
    after_prefix,
    sequence_key,
    session_bytes,
)
from greenroom.storage.content.chunks import Reference
from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.errors import IntegrityError, SchemaTooNew, SessionNotFound
from greenroom.storage.events.index import LINKED, OF_EVENTS, event_keys

__all__ = ["delete_damaged", "deletion"]


_FEW_KEYS: Final = 1000
_OWNED: Final = (INDEX_MESSAGE, INDEX_ARTIFACT_NAME, *IN_SESSION)
"""First bytes of the index keys that go on with the session."""


def deletion(store: ArtifactStore, state: SessionState, *, cataloged: bool) -> Append:
    """The one batch that removes a session: journal, snapshots, artifacts, index entries, references, and the
    content that nobody else refers to."""
    session = state.session
    released: list[tuple[bytes, Reference]] = []
    ops: list[Op] = []
    for sequence, record in store.artifacts.records(session):
        released.append((record[0], Reference(session, ARTIFACT, sequence)))
        ops += [(CF.INDEX, key, None) for key in artifact_entries(session, sequence, record) if key[:1] in ACROSS]
    for sequence, stored in store.journal.read(session):
        if stored[0] == "message.added" and "content_hash" in stored[2]:
            released.append((stored[2]["content_hash"], Reference(session, MESSAGE, sequence)))
        elif len(stored) > 6 or stored[0] == LINKED:
            ops += [(CF.INDEX, key, None) for key in event_keys(session, sequence, stored)]
    # A cut that lands before this batch adds a base, unseen by what looks at the keys now.
    ops.append((CF.SNAPSHOTS, sequence_key(session, 0), None))
    ranges: list[tuple[int, bytes, bytes]] = []
    for cf, begin, end in _ranges(session, artifacts=bool(state.last_artifact), messages=bool(state.message_count)):
        # Every range deletion makes all reads of its family a little slower until compaction: for large sessions only.
        found = store.engine.keys(cf, begin, end, limit=_FEW_KEYS)
        if len(found) < _FEW_KEYS:
            ops += [(cf, key, None) for key in found]
        else:
            ranges.append((cf, begin, end))
    ops += [(CF.INDEX, key, None) for key in shared_keys(state)]
    if not cataloged:
        return Append(ops, released=tuple(released), ranges=tuple(ranges))
    ops += Catalog.change(session, state.row(), None, state.updated_at, 0)
    return Append(ops, (state.status, None), released=tuple(released), ranges=tuple(ranges))


def delete_damaged(store: ArtifactStore, session_id: str, timeout: float) -> int:
    """Remove a session that cannot be activated because its records are damaged; the commit number of that write.

    What can be read tells what to release; index entries are found by looking at all of them. References that only
    a damaged record could tell of stay behind, and `verify` names them.
    """
    session = session_bytes(session_id)
    released: list[tuple[bytes, Reference]] = []
    for key, _ in store.engine.pages(CF.ARTIFACTS, session, after_prefix(session)):
        sequence = int.from_bytes(key[16:], "big")
        try:
            record = store.artifacts.record(session, sequence)
        except (IntegrityError, SchemaTooNew):
            continue
        if record is not None:
            released.append((record[0], Reference(session, ARTIFACT, sequence)))
    for key, _ in store.engine.pages(CF.JOURNAL, session, after_prefix(session)):
        sequence = int.from_bytes(key[16:], "big")
        try:
            event = store.journal.event(session, sequence)
        except (IntegrityError, SchemaTooNew):
            continue
        if event.type == "message.added" and "content_hash" in event.data:
            released.append((bytes.fromhex(event.data["content_hash"]), Reference(session, MESSAGE, sequence)))
    ops: list[Op] = [(CF.SESSIONS, session, None)]
    status: int | None = None
    for key, _ in store.engine.pages(CF.INDEX, b"", b"\xff"):
        across = key[:1] in ACROSS or key[:1] in OF_EVENTS or key[:1] == INDEX_SHARED
        if key[-24:-8] == session if across else key.endswith(session) and key[:1] not in _OWNED:
            ops.append((CF.INDEX, key, None))
            if key.startswith(INDEX_CREATED):
                status = key[1]
    if status is None and len(ops) == 1 and store.journal.is_empty(session):
        raise SessionNotFound(f"there is no session {session_id}", session_id=session_id)
    moved = (status, None) if status is not None else None
    ranges = _ranges(session, artifacts=True, messages=True)
    return store.commit(Append(ops, moved, released=tuple(released), ranges=ranges), timeout)


def _ranges(session: bytes, *, artifacts: bool, messages: bool) -> tuple[tuple[int, bytes, bytes], ...]:
    end = after_prefix(session)
    ranges = [(CF.JOURNAL, session, end), (CF.SNAPSHOTS, session, end)]
    if artifacts:
        ranges.append((CF.ARTIFACTS, session, end))
        kinds = (INDEX_ARTIFACT_NAME, *IN_SESSION)
        ranges += [(CF.INDEX, kind + session, after_prefix(kind + session)) for kind in kinds]
    if messages:
        prefix = INDEX_MESSAGE + session
        ranges.append((CF.INDEX, prefix, after_prefix(prefix)))
    return tuple(ranges)
