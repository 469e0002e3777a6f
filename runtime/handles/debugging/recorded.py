"""The recorded past of one session, as differences, comparisons, contexts and the debugger read it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterator
from typing import Any, Final

from greenroom.actors.messages.conversation import Turn
from greenroom.actors.replay.history import IN_A_MICROSECOND, History
from greenroom.actors.replay.standing import Standing
from greenroom.actors.session.answers.turns import turns_of
from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.store import ArtifactStore
from greenroom.runtime.handles.reading.past import PastState
from greenroom.storage.catalog.model import SessionInfo
from greenroom.storage.common.times import moment
from greenroom.storage.errors import IntegrityError, ReplayError, SchemaTooNew, ValidationError
from greenroom.storage.events.model import Event, StoredEvent

__all__ = ["Recorded", "recorded_session"]

_NEAR: Final = 1024
"""From a moment that was looked at, or the one before it, this many events are folded at most to step back."""
_KEPT: Final = 4


class Recorded:
    """Reads events and moments. Moments near to those that were read before cost little: the debugger steps through
    them. Serves one thread at a time."""

    def __init__(self, history: History, look: Callable[[], SessionInfo]) -> None:
        """`look` asks for the session, which checks the access of the reader."""
        self.history = history
        self.id = history.id
        self.look = look
        self._bases: dict[int, tuple[bytes, Standing]] = {}
        """The newest few moments from which others are folded."""

    @property
    def first(self) -> int:
        """The first event whose state can be had."""
        return self.history.first

    @property
    def last(self) -> int:
        """The newest event that was known when it was made, or refreshed."""
        return self.history.last

    def refresh(self) -> None:
        """Take notice of what has happened since."""
        self.history = History(self.history.store, self.id, _last(self.look))

    def check(self) -> None:
        """Raise AccessDenied or SessionNotFound if the reader may not read the session, or there is none any more. A
        session that is too damaged to be used still has a past."""
        with contextlib.suppress(IntegrityError, SchemaTooNew):
            self.look()

    def sequence_of(self, moment_: Any) -> int:
        """Return the sequence that a moment names: a sequence itself, or a time as an aware datetime, RFC 3339 text or
        epoch seconds. Raises ValidationError, ReplayError."""
        if type(moment_) is int:
            return self.require(moment_)
        when = moment(moment_, "at")
        if when is None:
            raise ValidationError("at: the sequence of an event, or a time, is needed", field="at")
        self.check()
        return self.history.sequence_at(when + IN_A_MICROSECOND)

    def require(self, sequence: object) -> int:
        """Return a sequence of this history. Raises ValidationError, or ReplayError if there is no such event."""
        if type(sequence) is not int:
            raise ValidationError("sequence: the sequence of an event is needed", field="sequence")
        first, last = self.first, self.last
        if not first <= sequence <= last:
            raise ReplayError(
                f"session {self.id} has the events {first} to {last} to look at, not {sequence}",
                session_id=self.id,
                first=first,
                last=last,
            )
        return sequence

    # -- events

    def stored(
        self, after: int = 0, upto: int | None = None, wanted: Callable[[StoredEvent], bool] | None = None
    ) -> Iterator[tuple[int, StoredEvent]]:
        """Yield stored events behind `after` up to `upto`, or those of them that are wanted."""
        self.check()
        for sequence, stored in self.history.events(after, upto):
            if wanted is None or wanted(stored):
                yield sequence, stored

    def events(
        self, after: int = 0, upto: int | None = None, wanted: Callable[[StoredEvent], bool] | None = None
    ) -> Iterator[Event]:
        """Yield events behind `after` up to `upto`, or those of them that are wanted, as users see them."""
        view, session = self.history.store.journal.view, self.history.session
        for sequence, stored in self.stored(after, upto, wanted):
            yield view(session, sequence, stored)

    def event(self, sequence: int) -> Event:
        """Return one event."""
        self.check()
        return self.history.store.journal.event(self.history.session, self.require(sequence))

    # -- moments

    def moment(self, sequence: int) -> PastState:
        """Return the session as it was after an event."""
        self.check()
        self.require(sequence)
        return self._past(*self._folded(sequence))

    def _past(self, state: SessionState, standing: Standing) -> PastState:
        past = PastState(self.history, state, state.updated_at, self.look)
        past.__dict__["_standing"] = standing  # which it would fold from the beginning
        return past

    def turns(self, sequence: int, wanted: Container[int]) -> list[Turn]:
        """Return those of the conversation's turns after an event that are wanted."""
        self.check()
        turns = self._folded(self.require(sequence))[1].turns
        heads = {turn: head for turn, head in turns.items() if turn in wanted}
        return turns_of(self.history.store, self.history.session, heads)

    def moments(self, before: int, after: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return two moments as `PastState.to_dict` does, without what is the same in both: so that to compare them
        does not take longer the longer a conversation is."""
        self.check()
        (state, one), (later, other) = (self._folded(self.require(each)) for each in (before, after))
        for name in ("turns", "artifacts", "approvals"):
            _without_common(getattr(one, name), getattr(other, name))
        _without_common(one.records.live, other.records.live)
        if state.certain is None is later.certain:
            _without_common(state.variables, later.variables)
        return self._past(state, one).to_dict(), self._past(later, other).to_dict()

    def _folded(self, sequence: int) -> tuple[SessionState, Standing]:
        border = max(sequence - sequence % _NEAR, self.first)
        found = max((each for each in self._bases if each <= sequence), default=None)
        if found is None or sequence - found > _NEAR:
            standing = _copy(self._bases[found][1]) if found is not None else Standing()
            standing.fold(self.history.events(found or 0, border))
            self._keep(border, self.history.state(border).encode(), standing)
            found = border
        self._keep(found, *self._bases[found])  # as the one that was used last
        packed, base = self._bases[found]
        state, standing = SessionState.decode(self.id, packed), _copy(base)
        for at, stored in self.history.events(found, sequence):
            evolve(state, at, stored)
            standing.fold([(at, stored)])
        return state, standing

    def _keep(self, sequence: int, packed: bytes, standing: Standing) -> None:
        self._bases.pop(sequence, None)
        self._bases[sequence] = packed, standing
        while len(self._bases) > _KEPT:
            del self._bases[next(iter(self._bases))]


def _without_common(one: dict[Any, Any], other: dict[Any, Any]) -> None:
    for key in [key for key, value in one.items() if key in other and other[key] == value]:
        del one[key], other[key]


def _copy(standing: Standing) -> Standing:
    copy = Standing(dict(standing.turns), dict(standing.artifacts), approvals=dict(standing.approvals))
    copy.records.live = dict(standing.records.live)
    return copy


def recorded_session(store: ArtifactStore, session_id: str, look: Callable[[], SessionInfo]) -> Recorded:
    """Return the recorded past of a session in a store. What nobody has been told yet is left out: it might still be
    lost. Raises AccessDenied, SessionNotFound."""
    return Recorded(History(store, session_id, _last(look)), look)


def _last(look: Callable[[], SessionInfo]) -> int | None:
    try:
        return look().sequence
    except (IntegrityError, SchemaTooNew):  # only its past can be looked at
        return None
