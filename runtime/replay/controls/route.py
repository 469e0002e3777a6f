"""Joins the controls of a replay with the engine: its steps, and the states after them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cached_property
from typing import Any

from greenroom.actors.replay.history import History
from greenroom.actors.replay.operations import Operation, operations
from greenroom.actors.replay.standing import Standing
from greenroom.actors.replay.step import Step
from greenroom.runtime.handles.host import Host
from greenroom.runtime.handles.reading.past import PastState
from greenroom.runtime.handles.session import Session
from greenroom.runtime.replay.course import Course, course_of
from greenroom.runtime.replay.queries import past_of
from greenroom.runtime.replay.result import ReplayResult
from greenroom.storage.catalog.model import SessionInfo
from greenroom.storage.common.session_ids import SessionHandle
from greenroom.storage.errors import IntegrityError, ReplayError, SchemaTooNew
from greenroom.storage.events.model import StoredEvent

from .breakpoints import Passed
from .replayed import ReplayedStates

__all__ = ["SessionRoute", "route_of"]


def route_of(host: Host, session: SessionHandle | str, config: Any) -> SessionRoute:
    """Return the way of a replay. Raises SessionNotFound, AccessDenied, ReplayError, ValidationError."""
    course = course_of(host, session, config)
    session_id, security = course.session_id, host.core.security
    return SessionRoute(
        course,
        past_of(host.core, session_id),
        Session(host, session_id).info,
        lambda: security.require_reading(session_id, "replay.state"),
    )


class SessionRoute:
    """The way of a replay through the journal of a session."""

    def __init__(
        self, course: Course, history: History, look: Callable[[], SessionInfo], admit: Callable[[], None]
    ) -> None:
        """`course` replays the session, `history` is its past, and `look` asks for it. Both that and `admit` check the
        reader's access."""
        self._admit = admit
        self.session_id = course.session_id
        self.config = course.config
        self.begin = course.begin
        self.last = course.last
        self._course = course
        self._history = history
        self._look = look
        self._replayed = ReplayedStates(history, course.config.max_captured_bytes)
        self._standing = Standing()
        self._standing_at = 0

    def steps(self) -> Iterator[Passed]:
        with closing(self._course.steps()) as steps:  # which takes note of where it was stopped
            for step in steps:
                self._replayed.take(step)
                yield _Fresh(step, self)

    def again(self, after: int, upto: int) -> Iterator[Passed]:
        for operation in operations(self._history.events(after, upto)):
            yield _Again(operation, self)

    def state(self, sequence: int) -> PastState:
        self._admit()
        if not sequence:
            raise ReplayError("nothing is replayed yet, so there is no state: take a step first", first=1)
        replayed = self._replayed.state(sequence, self._look)
        if replayed is not None:
            return replayed
        state = self._history.state(sequence)
        return PastState(self._history, state, state.updated_at, self._look)

    def passing(self, step: Step) -> PastState:
        """Return the state after a step that has just been replayed."""
        if not self._replayed.empty:
            return self.state(step.last)
        return _PassingState(self, self._history, step, self._look)

    def standing(self, sequence: int) -> Standing:
        """Return what the session had at a moment besides its state. Asked on the way forward, this reads each event
        once."""
        if sequence < self._standing_at:
            self._standing, self._standing_at = Standing(), 0
        self._standing.fold(self._history.standing_events(self._standing_at, sequence))
        self._standing_at = sequence
        return self._standing

    def time(self, sequence: int) -> int | None:
        try:
            return next(self._history.events(sequence - 1, sequence))[1].time if sequence > 0 else None
        except (StopIteration, IntegrityError, SchemaTooNew):
            return None

    def result(self) -> ReplayResult:
        return self._course.result()


class _PassingState(PastState):
    """The state after the step that a replay has just taken, for the conditions of breakpoints. Nothing of it is
    copied, so it is not to be kept."""

    def __init__(self, route: SessionRoute, history: History, step: Step, look: Callable[[], SessionInfo]) -> None:
        super().__init__(history, step.state, step.state.updated_at, look)
        self._route = route

    @cached_property
    def _standing(self) -> Standing:
        return self._route.standing(self.sequence)


class _Fresh:
    """A step that has just been replayed."""

    __slots__ = ("_route", "_step")

    def __init__(self, step: Step, route: SessionRoute) -> None:
        self._step = step
        self._route = route

    @property
    def sequence(self) -> int:
        return self._step.last

    @property
    def events(self) -> Sequence[tuple[int, StoredEvent]]:
        added = [
            (pair.place or 0, pair.replayed) for pair in self._step.pairs if pair.recorded is None and pair.replayed
        ]
        return [*self._step.operation, *added] if added else self._step.operation

    @property
    def error(self) -> BaseException | None:
        return self._step.refusals[0].error if self._step.refusals else None

    def state(self) -> PastState:
        return self._route.passing(self._step)


class _Again:
    """A step that was replayed before."""

    __slots__ = ("_route", "events")

    error: BaseException | None = None

    def __init__(self, operation: Operation, route: SessionRoute) -> None:
        self.events: Sequence[tuple[int, StoredEvent]] = operation
        self._route = route

    @property
    def sequence(self) -> int:
        return self.events[-1][0]

    def state(self) -> PastState:
        return self._route.state(self.sequence)
