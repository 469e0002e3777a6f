"""Delete sessions with everything that belongs to them."""

from __future__ import annotations

import contextlib
from typing import Final

from greenroom.actors.session.state.model import SessionState
from greenroom.actors.session.state.records import kept
from greenroom.actors.store import Append, ArtifactStore
from greenroom.storage.artifacts.index import ACROSS
from greenroom.storage.catalog.creators import Charge
from greenroom.storage.codec.keys import (
    INDEX_CREATED,
    INDEX_KEY,
    INDEX_SHARED,
    after_prefix,
    sequence_key,
    session_bytes,
)
from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.errors import IntegrityError, SchemaTooNew, SessionNotFound
from greenroom.storage.events.index import OF_EVENTS
from greenroom.storage.records.records import record_key, stored_record

from .projection import (
    OWNED_INDEXES,
    Change,
    add_event,
    add_stored_artifact,
    owned_prefixes,
    record_references,
    state_entries,
)

__all__ = ["delete_damaged", "deletion"]

_FEW_KEYS: Final = 1000


def deletion(store: ArtifactStore, state: SessionState, *, cataloged: bool) -> Append:
    """Return the one batch that deletes a session: its journal, snapshots, artifacts, index entries and references, and
    the content without other references."""
    session = state.session
    there = Change(state_entries(state))
    for number, record in store.artifacts.records(session):
        add_stored_artifact(there, session, number, record)
    for sequence, stored in store.journal.read(session):
        add_event(there, session, sequence, stored)
    there.held += record_references(session, (record for _, record in store.records.all(session))).held
    ops: list[Op] = [(cf, key, None) for cf, key, _ in there.ops if not _is_owned(cf, key)]
    # A truncation written before this batch adds a base, which the keys read above do not show.
    ops.append((CF.SNAPSHOTS, sequence_key(session, 0), None))
    ranges: list[tuple[int, bytes, bytes]] = []
    for cf, begin, end in _ranges(session):
        # Every range deletion slows all reads of its family a little until compaction, so only large sessions use them.
        found = store.engine.keys(cf, begin, end, limit=_FEW_KEYS)
        if len(found) < _FEW_KEYS:
            ops += [(cf, key, None) for key in found]
        else:
            ranges.append((cf, begin, end))
    moved = ((state.status, None),) if cataloged else ()
    append = Append(ops, moved, released=tuple(there.held), ranges=tuple(ranges))
    if state.created_by is not None:
        append.charges = (Charge(state.created_by, -1, -state.artifact_bytes - kept(state).bytes),)
    return append


def delete_damaged(store: ArtifactStore, session_id: str, timeout: float) -> int:
    """Delete a session that cannot be activated because its records are damaged, and return the commit number.

    The readable records tell which references to release; index entries are found by looking at all of them. References
    known only from damaged records stay behind, and `verify` reports them.
    """
    session = session_bytes(session_id)
    there = Change()
    for key, _ in store.engine.pages(CF.ARTIFACTS, session, after_prefix(session)):
        number = int.from_bytes(key[16:], "big")
        try:
            record = store.artifacts.record(session, number)
        except (IntegrityError, SchemaTooNew):
            continue
        if record is not None:
            add_stored_artifact(there, session, number, record)
    for sequence, stored in store.journal.readable(session):
        add_event(there, session, sequence, stored)
    for key, entry in store.records.entries(session):
        with contextlib.suppress(IntegrityError, SchemaTooNew):
            there.held += record_references(session, [stored_record(record_key(session, key), entry)]).held
    ops: list[Op] = [(CF.SESSIONS, session, None)]
    status: int | None = None
    for key, value in store.engine.pages(CF.INDEX, b"", b"\xff"):
        if key[:1] == INDEX_KEY:
            ops += [(CF.INDEX, key, None)] if value == session else []
            continue
        across = key[:1] in ACROSS or key[:1] in OF_EVENTS or key[:1] == INDEX_SHARED
        if key[-24:-8] == session if across else key.endswith(session) and not _is_owned(CF.INDEX, key):
            ops.append((CF.INDEX, key, None))
            if key.startswith(INDEX_CREATED):
                status = key[1]
    if status is None and len(ops) == 1 and store.journal.is_empty(session):
        raise SessionNotFound(f"there is no session {session_id}", session_id=session_id)
    moved = ((status, None),) if status is not None else ()
    commit_number = store.commit(
        Append(ops, moved, released=tuple(there.held), ranges=tuple(_ranges(session))), timeout
    )
    store.creators.forget()
    return commit_number


def _is_owned(cf: int, key: bytes) -> bool:
    """Return whether the key of an entry begins with its session, so that the ranges cover it."""
    return cf == CF.ARTIFACTS or (cf == CF.INDEX and key[:1] in OWNED_INDEXES)


def _ranges(session: bytes) -> list[tuple[int, bytes, bytes]]:
    prefixes = [(CF.JOURNAL, session), (CF.SNAPSHOTS, session), *owned_prefixes(session)]
    return [(cf, prefix, after_prefix(prefix)) for cf, prefix in prefixes]
