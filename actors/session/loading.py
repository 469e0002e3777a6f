"""Load a session's state from its newest snapshot and the events after it."""

from __future__ import annotations

import contextlib
from collections import Counter

from greenroom.actors.session.state.evolve import evolve_all
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.store import ArtifactStore
from greenroom.storage.codec.keys import session_bytes
from greenroom.storage.engine.settled import settled
from greenroom.storage.errors import IntegrityError, SchemaTooNew, SessionNotFound
from greenroom.storage.events.snapshots import SnapshotTrail

__all__ = ["load_state"]


def load_state(store: ArtifactStore, session_id: str) -> tuple[SessionState, SnapshotTrail]:
    """Return a session's state from its newest valid snapshot and the events after it in the journal, and what to
    remember of the snapshots. Raises SessionNotFound, or IntegrityError if the journal is damaged."""
    # It may be cut between the look at its snapshots and at its events.
    return settled(store.engine, lambda: _load_state(store, session_id))


def _load_state(store: ArtifactStore, session_id: str) -> tuple[SessionState, SnapshotTrail]:
    session = session_bytes(session_id)
    newest = next(store.journal.snapshots(session), None)
    if newest is not None:
        state, trail = SessionState.decode(session_id, newest.state), SnapshotTrail.behind(newest)
    else:
        base = store.journal.base(session)
        state = SessionState.decode(session_id, base[1]) if base is not None else SessionState(session_id)
        trail = SnapshotTrail(state.sequence)
    for run in store.journal.runs(session, state.sequence, whole=True):
        evolve_all(state, run)
        trail.events += len(run.events)
        trail.bytes += run.bytes
    if state.sequence == 0:
        raise SessionNotFound(f"there is no session {session_id}", session_id=session_id)
    if state.artifact_types is None:
        with contextlib.suppress(IntegrityError, SchemaTooNew):  # without the counts, queries count for themselves
            state.artifact_types = dict(Counter(record.type for _, record in store.artifacts.records(session)))
    return state, trail
