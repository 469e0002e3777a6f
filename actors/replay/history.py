"""The history of a session: its state, its events and its times at every moment of its journal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from greenroom.actors.session.state.evolve import evolve_all
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.store import ArtifactStore
from greenroom.storage.codec.keys import session_bytes
from greenroom.storage.common.times import iso_time, utc_time
from greenroom.storage.errors import IntegrityError, ReplayError, SchemaTooNew, SessionNotFound
from greenroom.storage.events.model import StoredEvent, event_of

from .standing import STANDING_FAMILIES, Standing

__all__ = ["IN_A_MICROSECOND", "History"]

Found = TypeVar("Found")

_MICROSECOND: Final = 1000
"""Times that users see are cut to microseconds."""
IN_A_MICROSECOND: Final = _MICROSECOND - 1
"""What to add to a time that users give: it names a whole microsecond, so the time that an event shows finds it."""


class History:
    """Reads the past of one session, or of a scope, from its journal and its snapshots.

    It takes no turn and changes nothing, so the session goes on meanwhile: events that are written never change. It
    serves any number of threads. Where the journal is damaged, all before the damage is served, and so is what an
    intact snapshot behind it tells; everything else raises IntegrityError with the `sequence` of the damage.

    Example:
        ```py
        history = History(store, session_id)
        history.state(history.sequence_at(time_ns)).variables
        ```
    """

    def __init__(self, store: ArtifactStore, session_id: str, last: int | None = None) -> None:
        """Read the history up to event `last`, or as far as it goes whenever it is read."""
        self.store = store
        self.id = session_id
        self.session = session_bytes(session_id)
        self._last = last

    @property
    def first(self) -> int:
        """The first event whose state can be had: 1, or the base of a journal that retention has truncated. Raises
        IntegrityError if the base is damaged."""
        base = self.store.journal.base(self.session)
        return base[0] if base is not None else 1

    @property
    def begin(self) -> int:
        """The event from whose state a replay begins: 0, or the base of a truncated journal. Raises IntegrityError if
        the base is damaged."""
        return first if (first := self.first) > 1 else 0  # a base at event 1 has taken nothing with it

    @property
    def last(self) -> int:
        """The newest event. Raises SessionNotFound if there is none."""
        if self._last is not None:
            return self._last
        found = self.store.journal.last_sequence(self.session)
        if found is None:
            raise self._gone()
        return found

    def beginning(self) -> SessionState:
        """Return the state from which a replay begins, which the caller may change. Raises IntegrityError."""
        begin = self.begin
        return self.state(begin) if begin else SessionState(self.id, self.session)

    def state(self, sequence: int) -> SessionState:
        """Return the state after event `sequence`, which the caller may change.

        It is folded from the nearest snapshot before. Raises ReplayError for an event that there is not, or not any
        more, IntegrityError at damage, SessionNotFound.
        """
        if not 1 <= sequence <= self.last:
            raise self._outside(f"event {sequence}")
        return self._settled(lambda: self._state(sequence))

    def _state(self, sequence: int) -> SessionState:
        journal = self.store.journal
        nearest = next(journal.snapshots(self.session, sequence), None)
        base = journal.base(self.session) if nearest is None else None
        if nearest is not None:
            state = SessionState.decode(self.id, nearest.state)
        elif base is not None and base[0] <= sequence:
            state = SessionState.decode(self.id, base[1])
        elif base is not None:
            raise self._outside(f"event {sequence}")
        else:
            state = SessionState(self.id, self.session)
        for run in journal.runs(self.session, state.sequence, sequence, whole=True):
            evolve_all(state, run)
        if state.sequence != sequence:
            raise IntegrityError(
                f"event {state.sequence + 1} of session {self.id} is missing; run verify",
                session_id=self.id,
                sequence=state.sequence + 1,
            )
        return state

    def sequence_at(self, time: int) -> int:
        """Return the newest event at a time (ns since the epoch), whose state was the session's then.

        Raises ReplayError for a time before the first event that can be had, IntegrityError if damage hides which event
        it is, SessionNotFound.
        """
        return self._settled(lambda: self._sequence_at(time))

    def _sequence_at(self, time: int) -> int:
        base = self.store.journal.base(self.session)
        low = base[0] if base is not None else 1
        began = SessionState.decode(self.id, base[1]).updated_at if base is not None else self._time(low)
        if time < began:
            raise self._outside(f"a time before {iso_time(utc_time(began))}")
        high = self.last
        while low < high:  # the times of events only grow
            middle = (low + high + 1) // 2
            at, when = self._readable(middle, low, -1)
            if when is None or when <= time:
                low = at
                if at < middle:
                    low, after = self._readable(middle, high, 1)
                    if after is None or after > time:
                        # Whether the damaged event came before or after that time is not known, except at the very time
                        # of the one before it.
                        if when is None or when // _MICROSECOND != time // _MICROSECOND:
                            self._time(middle)  # raises
                        return at
            else:
                high = at - 1
        return low

    def _readable(self, sequence: int, end: int, step: int) -> tuple[int, int | None]:
        """Return the event nearest to a sequence, on the way to `end`, that is readable, with its time; None as time if
        there is none."""
        for at in range(sequence, end + step, step):
            try:
                return at, self._time(at)
            except (IntegrityError, SchemaTooNew):
                continue
        return end, None

    def _time(self, sequence: int) -> int:
        return self.store.journal.stored(self.session, sequence).time

    def events(self, after: int = 0, upto: int | None = None) -> Iterator[tuple[int, StoredEvent]]:
        """Yield the events with a sequence greater than `after`, up to event `upto` or the last, in order. In a
        truncated journal some of those up to the base are gone. Raises IntegrityError at damage, after everything
        before it."""
        for sequence, fields in self.store.journal.fields(self.session, after, self._upto(upto)):
            yield sequence, event_of(fields)

    def standing(self, sequence: int) -> Standing:
        """Return what the session had after event `sequence` besides its state. Raises ReplayError if retention has
        removed that moment meanwhile, IntegrityError, SessionNotFound."""

        def read() -> Standing:
            found = Standing().fold(self.standing_events(0, sequence))
            base = 0
            with contextlib.suppress(IntegrityError, SchemaTooNew):  # a damaged base has taken no events with it
                base = self.store.journal.base_sequence(self.session)
            if base > sequence:
                raise self._outside(f"event {sequence}")
            return found

        return self._settled(read)

    def standing_events(self, after: int, upto: int) -> Iterator[tuple[int, StoredEvent]]:
        """Yield the events of `events` that change what `Standing` folds, and some others, at a third of the cost."""
        for run in self.store.journal.runs(self.session, after, self._upto(upto), families=STANDING_FAMILIES):
            for sequence, fields in zip(run.sequences, run.events, strict=True):
                yield sequence, event_of(fields)

    def digests(self, after: int = 0, upto: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield the intact snapshots behind event `after`, up to event `upto` or the last, as (sequence, digest) in
        order. A digest is the BLAKE3 of `SessionState.encode()` at that event."""
        for snapshot in self.store.journal.snapshots_behind(self.session, after, self._upto(upto)):
            yield snapshot.sequence, snapshot.digest

    def _upto(self, upto: int | None) -> int:
        return self.last if upto is None else min(upto, self.last)

    def _settled(self, read: Callable[[], Found]) -> Found:
        """Return what a reading finds, as of one moment: a journal may be cut between two looks at it."""
        return self.store.journal.settled(self.session, read)

    def _outside(self, what: str) -> ReplayError:
        first, last = self.first, self.last
        return ReplayError(
            f"{what} is not in the history of session {self.id}, which has the events {first} to {last}"
            + (": retention has removed what was before" if first > 1 else ""),
            session_id=self.id,
            first=first,
            last=last,
        )

    def _gone(self) -> SessionNotFound:
        return SessionNotFound(f"there is no session {self.id}", session_id=self.id)
