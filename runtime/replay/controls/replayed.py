"""The states of a replay that does not do what was recorded: they cannot be read from the journal."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

from greenroom.actors.replay.history import History
from greenroom.actors.replay.step import Step
from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.model import SessionState
from greenroom.runtime.handles.reading.past import PastState
from greenroom.storage.catalog.model import SessionInfo
from greenroom.storage.codec.records import seal, unseal
from greenroom.storage.errors import ReplayError
from greenroom.storage.events.model import StoredEvent, event_of

__all__ = ["ReplayedStates"]

_FOLDED: Final = 64
"""The most steps that are folded to find a state."""


class ReplayedStates:
    """Keeps what a replay has done since it first differed from the recording: its events, and some of its states.

    What it keeps is bounded: once it takes more than `bound` bytes, the steps from there on are not kept, and their
    states cannot be looked at again.
    """

    def __init__(self, history: History, bound: int) -> None:
        self._history = history
        self._left = bound
        self._ends = array("Q")
        """The last recorded sequence of each step that is kept."""
        self._upto = array("Q")
        """How many of the events belong to the steps up to it."""
        self._states: dict[int, bytes] = {}
        """The states after some of the steps, by their number."""
        self._places = array("Q")
        self._events: list[bytes] = []
        self._begin = 0
        """The last place before these events."""
        self._newest = 0
        """The end of the last step, kept or not."""

    @property
    def empty(self) -> bool:
        """Whether the replay has done exactly what was recorded so far."""
        return not self._newest

    def take(self, step: Step) -> None:
        """Keep a step, if the replay differs from the recording."""
        if step.state is step.recorded_state:
            return
        self._newest = step.last
        if self._left <= 0:
            return
        events = [(pair.place, pair.replayed) for pair in step.pairs if pair.replayed is not None]
        number = len(self._ends)
        if not number:
            self._begin = step.state.sequence - len(events)
        for place, stored in events:
            self._events.append(seal(b"", stored.fields()))
            self._places.append(place or 0)  # last: other threads find the event by it
            self._left -= len(self._events[-1])
        if number % _FOLDED == 0:
            self._states[number] = step.state.encode()
            self._left -= len(self._states[number])
        self._upto.append(len(self._events))
        self._ends.append(step.last)

    def state(self, sequence: int, look: Callable[[], SessionInfo]) -> PastState | None:
        """Return the state after the step that ends with a sequence; None if it is the recorded one. Raises ReplayError
        if it was not kept."""
        if not self._ends or sequence < self._ends[0]:
            return None
        number = bisect_left(self._ends, sequence)
        if number == len(self._ends):
            raise ReplayError(
                f"the state at event {sequence} is not kept: this replay differs from the recording, and what it did"
                f" up to event {self._ends[-1]} takes max_captured_bytes already",
                last=self._ends[-1],
            )
        nearest = number - number % _FOLDED
        state = SessionState.decode(self._history.id, self._states[nearest])
        for at in range(self._upto[nearest], self._upto[number]):
            evolve(state, self._places[at], self._event(at))
        replayed = _ReplayedHistory(self._history, self, self._upto[number])
        return PastState(replayed, state, state.updated_at, look)

    def _event(self, at: int) -> StoredEvent:
        return event_of(unseal(b"", self._events[at]))

    def events(self, after: int, upto: int) -> Iterator[tuple[int, StoredEvent]]:
        """Yield the replay's events with a place greater than `after`, of the first `upto` kept ones."""
        begin = self._history.events(after, self._begin) if after < self._begin else ()
        kept = range(bisect_right(self._places, after), upto)
        return chain(begin, ((self._places[at], self._event(at)) for at in kept))

    def find(self, place: int) -> StoredEvent | None:
        """Return the replay's event at a place; None if it is not kept."""
        at = bisect_left(self._places, place)
        return self._event(at) if at < len(self._places) and self._places[at] == place else None


class _ReplayedHistory(History):
    """The history that a replay has made."""

    def __init__(self, history: History, replayed: ReplayedStates, upto: int) -> None:
        super().__init__(history.store, history.id)
        self.store: Any = _Store(history.store, replayed)
        self._replayed = replayed
        self._number = upto

    def events(self, after: int = 0, upto: int | None = None) -> Iterator[tuple[int, StoredEvent]]:
        return self._replayed.events(after, self._number)

    def standing_events(self, after: int, upto: int) -> Iterator[tuple[int, StoredEvent]]:
        return self.events(after, upto)


class _Store:
    """A store in which one session has the events of a replay. Only to read from."""

    def __init__(self, store: Any, replayed: ReplayedStates) -> None:
        self._store = store
        self.journal = _Journal(store.journal, replayed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _Journal:
    """A journal in which one session has the events of a replay. Only to read from."""

    def __init__(self, journal: Any, replayed: ReplayedStates) -> None:
        self._journal = journal
        self._replayed = replayed

    def stored(self, session: bytes, sequence: int) -> StoredEvent:
        found = self._replayed.find(sequence)
        if found is not None:
            return found
        stored: StoredEvent = self._journal.stored(session, sequence)
        return stored

    def many(self, session: bytes, sequences: Sequence[int]) -> Iterator[list[Any]]:
        for sequence in sequences:
            yield [*self.stored(session, sequence)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)
