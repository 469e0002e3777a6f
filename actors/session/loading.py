"""Load a session's state from its newest snapshot and the events after it."""

from __future__ import annotations

import contextlib
from collections import Counter

from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.store import ArtifactStore
from greenroom.storage.codec.keys import session_bytes
from greenroom.storage.engine.settled import settled
from greenroom.storage.errors import IntegrityError, SchemaTooNew, SessionNotFound

__all__ = ["load_state"]


def load_state(store: ArtifactStore, session_id: str) -> tuple[SessionState, list[int], int]:
    """Return a session's state from its newest valid snapshot and the events after it in the journal.

    Also return the sequences of its snapshots, oldest first, and the bytes of the events that were folded. Raises
    SessionNotFound, or IntegrityError if the journal is damaged.
    """
    # It may be cut between the look at its snapshots and at its events.
    return settled(store.engine, lambda: _load_state(store, session_id))


def _load_state(store: ArtifactStore, session_id: str) -> tuple[SessionState, list[int], int]:
    session = session_bytes(session_id)
    state: SessionState | None = None
    snapshots: list[int] = []
    for sequence, data, _ in store.journal.snapshots(session):
        snapshots.insert(0, sequence)
        if state is None:
            state = SessionState.decode(session_id, data)
    if state is None:
        base = store.journal.base(session)
        state = SessionState.decode(session_id, base[1]) if base is not None else SessionState(session_id)
    tail = 0
    for sequence, fields in store.journal.fields(session, state.sequence, whole=True):
        evolve(state, sequence, fields)
        tail += 1
    if state.sequence == 0:
        raise SessionNotFound(f"there is no session {session_id}", session_id=session_id)
    if state.artifact_types is None:
        with contextlib.suppress(IntegrityError, SchemaTooNew):  # without the counts, queries count for themselves
            state.artifact_types = dict(Counter(record.type for _, record in store.artifacts.records(session)))
    return state, snapshots, tail
