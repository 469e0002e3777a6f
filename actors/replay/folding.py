"""Fold the journal of a session, and check its snapshots on the way."""

from __future__ import annotations

from collections.abc import Iterator

from blake3 import blake3

from greenroom.actors.session.state.evolve import evolve, evolve_all
from greenroom.actors.session.state.model import SessionState
from greenroom.storage.errors import IntegrityError
from greenroom.storage.events.model import StoredEvent, event_of

from .history import History
from .step import Check

__all__ = ["Fold", "check_of", "evolved", "misshapen"]


class Fold:
    """Folds the journal without deciding anything."""

    def __init__(self, past: History, *, upto: int | None = None) -> None:
        self._past = past
        self._end = past.last if upto is None else upto
        self.state = past.beginning()
        self.begin = self.state.sequence
        self.first_time = 0
        self.events = 0

    def checks(self) -> Iterator[Check]:
        """Fold on, and yield a check for each snapshot on the way. Raises IntegrityError with the `sequence` of
        damage."""
        past, state = self._past, self.state
        for sequence, digest in past.digests(self.begin, self._end):
            self._fold(sequence)
            yield check_of(past, sequence, digest, state, state)
        self._fold(self._end)

    def _fold(self, upto: int) -> None:
        """Fold on, up to an event."""
        past, state = self._past, self.state
        for run in past.store.journal.runs(past.session, state.sequence, upto):
            if not self.events and run.events:
                self.first_time = run.events[0][1]
            before = state.sequence
            try:
                evolve_all(state, run)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise misshapen(state.id, state.sequence + 1, event_of(run.events[state.sequence - before])) from error
            finally:
                self.events += state.sequence - before


def check_of(past: History, sequence: int, snapshot: bytes, recorded: SessionState, replayed: SessionState) -> Check:
    digest = blake3(recorded.encode()).digest()
    other = digest if replayed is recorded else blake3(replayed.encode()).digest()
    intact = digest == snapshot
    if not intact:  # older versions kept fewer facts in a snapshot
        found = past.store.journal.snapshot(past.session, sequence)
        intact = found is not None and recorded.agrees(found.state)
    return Check(sequence, snapshot, digest, other, intact)


def evolved(state: SessionState, sequence: int, stored: StoredEvent) -> None:
    try:
        evolve(state, sequence, stored)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise misshapen(state.id, sequence, stored) from error


def misshapen(session_id: str, sequence: int, stored: StoredEvent) -> IntegrityError:
    return IntegrityError(
        f"event {sequence} of session {session_id} does not have the form of {stored.type}; run verify",
        session_id=session_id,
        sequence=sequence,
    )
