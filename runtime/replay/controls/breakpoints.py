"""Breakpoints: where a replay pauses by itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, NamedTuple, Protocol

import pydantic
from annotated_types import Ge, MaxLen, MinLen

from greenroom.runtime.handles.debugging.errors import failure_of, may_tell
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.times import nanoseconds
from greenroom.storage.common.validation import Checked, validated
from greenroom.storage.common.validation import Moment as Time
from greenroom.storage.errors import ReplayError, ResourceLimitExceeded, ValidationError
from greenroom.storage.events.model import StoredEvent, event_view, shown_type
from greenroom.storage.events.pattern import EventPattern

from .conditions import Condition

__all__ = ["Breakpoint", "Breakpoints", "Hit", "Passed", "PlacedBreakpoint"]

MAX_BREAKPOINTS: Final = 1000
"""Breakpoints of one replay."""
_Named = Annotated[str, MinLen(1), MaxLen(255)]


class Passed(Protocol):
    """What a replay has just gone through: the events of one operation, and the state after them."""

    @property
    def sequence(self) -> int:
        """The sequence of the last event."""

    @property
    def events(self) -> Sequence[tuple[int, StoredEvent]]:
        """The events with their sequences."""

    @property
    def error(self) -> BaseException | None:
        """Why the operation could not be replayed; None if it was."""

    def state(self) -> Any:
        """Return the PastState after the events."""


class Breakpoint(Checked):
    """Says where a replay pauses. Everything that is given must hold for the same step; give at least one of the first
    six. The replay pauses after the step: its position is the event that was hit, its state the one after it.

    Example:
        ```py
        Breakpoint(event="tool.*")                                   # at every event of a tool
        Breakpoint(event="variable.set", when="variables.k == 3")    # at a variable.set that leaves k at 3
        Breakpoint(when=lambda state: len(state.messages) > 10)      # as soon as there are more than ten messages
        Breakpoint(error=True, once=True)                            # at the first error
        ```
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    event: Annotated[str | None, MaxLen(255)] = None
    """A pattern for the types of events: `*` stands for one segment, `**` for any number."""
    hook: _Named | None = None
    """The name of a hook that was executed, or its point; `*` stands for any characters."""
    error: bool | _Named = False
    """True: a tool, agent, hook, script or workflow failed, the session did, or the replay could not follow the
    recording. A text: only errors of this class, with `*`."""
    sequence: Annotated[int | None, Ge(1)] = None
    """The event with this sequence, or the step that contains it."""
    time: Time | None = None
    """The first event at this time or later."""
    when: str | Callable[..., Any] | None = None
    """A condition on the state: a function of a `PastState`, or a text such as `variables.k == 3`. Alone, it pauses
    where the condition begins to hold."""
    once: bool = False
    """Whether the breakpoint is disabled after its first pause."""
    enabled: bool = True
    skip: Annotated[int, Ge(0)] = 0
    """The number of hits that do not pause, before those that do."""

    @pydantic.field_validator("event")
    @classmethod
    def _is_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                EventPattern(value)
            except ValidationError as error:
                raise ValueError(str(error).removeprefix("pattern: ")) from None
        return value

    @pydantic.field_validator("when")
    @classmethod
    def _is_condition(cls, value: Any) -> Any:
        if isinstance(value, str):
            try:
                Condition(value)
            except ValidationError as error:
                raise ValueError(str(error).removeprefix("when: ")) from None
        return value

    @pydantic.model_validator(mode="after")
    def _says_where(self) -> Breakpoint:
        if not _criteria(self):
            raise ValueError("one of event, hook, error, sequence, time and when is needed")
        return self

    def __str__(self) -> str:
        return ", ".join(
            f"{name} {getattr(value, '__name__', value)}" if value is not True else name
            for name, value in _criteria(self).items()
        )


def _criteria(breakpoint: Breakpoint) -> dict[str, Any]:
    """Return the criteria that must hold, by name."""
    every = {name: getattr(breakpoint, name) for name in ("event", "hook", "error", "sequence", "time", "when")}
    return {name: value for name, value in every.items() if value not in (None, False)}


class PlacedBreakpoint:
    """A breakpoint of one replay. `enabled` can be changed at any time."""

    def __init__(self, id: int, breakpoint: Breakpoint, remove: Callable[[PlacedBreakpoint], object]) -> None:
        """Use `Replay.breakpoints.add` instead."""
        self.id = id
        self.breakpoint = breakpoint
        self.enabled = breakpoint.enabled
        self._hits = 0
        self._remove = remove
        self._matches = EventPattern(breakpoint.event).matches if breakpoint.event is not None else None
        self._time = nanoseconds(breakpoint.time) if breakpoint.time is not None else None
        when = breakpoint.when
        self._when: Callable[..., Any] | None = Condition(when) if isinstance(when, str) else when
        self._only_state = [*_criteria(breakpoint)] == ["when"]
        self._held = False

    def __repr__(self) -> str:
        return f"<PlacedBreakpoint {self.id} {self.breakpoint} hits={self._hits}{'' if self.enabled else ' disabled'}>"

    @property
    def hits(self) -> int:
        """How often it was hit, skipped hits included."""
        return self._hits

    def remove(self) -> None:
        """Remove the breakpoint from its replay. Idempotent."""
        self._remove(self)

    def forget(self) -> None:
        """Take the condition for not holding, because the position has been moved."""
        self._held = False

    def pauses(self, passed: Passed, before: int | None) -> bool:
        """Return whether a step pauses the replay, and count the hit. `before` is the time of the step before."""
        if not self._is_at(passed, before):
            return False
        if self._when is not None:
            holds, held = bool(self._when(passed.state())), self._held
            self._held = holds
            if not holds or (held and self._only_state):
                return False
        self._hits += 1
        if self._hits <= self.breakpoint.skip:
            return False
        if self.breakpoint.once:
            self.enabled = False
        return True

    def _is_at(self, passed: Passed, before: int | None) -> bool:
        """Return whether all but the condition on the state is so."""
        wanted = self.breakpoint
        events = passed.events
        if wanted.sequence is not None and not any(sequence == wanted.sequence for sequence, _ in events):
            return False
        if self._time is not None and not (
            (before is None or before < self._time) and any(event.time >= self._time for _, event in events)
        ):
            return False
        if self._matches is not None and not any(self._matches(shown_type(event.type)) for _, event in events):
            return False
        if wanted.hook is not None and not any(_is_of_hook(event, wanted.hook) for _, event in events):
            return False
        if wanted.error is False:
            return True
        pattern = "*" if wanted.error is True else wanted.error
        failures = [_code_of(event) for _, event in events]
        if passed.error is not None:
            failures.append(type(passed.error).__name__)
        return any(each is not None and fnmatchcase(each, pattern) for each in failures)


def _is_of_hook(event: StoredEvent, pattern: str) -> bool:
    return event.type == "hook.executed" and any(
        fnmatchcase(str(event.data.get(each, "")), pattern) for each in ("hook", "point")
    )


def _code_of(event: StoredEvent) -> str | None:
    """Return the code of what went wrong; None if the event tells of nothing."""
    found = failure_of(event_view("", 0, event)) if may_tell(event) else None
    return found[1] if found is not None else None


class Hit(NamedTuple):
    """The breakpoint that pauses a replay. `error` is what its condition raised, if it did."""

    breakpoint: PlacedBreakpoint
    error: Exception | None = None


class Breakpoints:
    """The breakpoints of one replay. They can be added and removed while it runs. Iterate over it to see them."""

    def __init__(self, given: Sequence[Breakpoint | Mapping[str, Any]] = ()) -> None:
        """Use `Replay.breakpoints` instead."""
        self._ids = itertools.count(1)
        self._placed: dict[int, PlacedBreakpoint] = {}
        for each in given:
            self.add(each)

    def __repr__(self) -> str:
        return f"<Breakpoints {list(self)}>"

    def __iter__(self) -> Iterator[PlacedBreakpoint]:
        return iter(list(self._placed.values()))

    def __len__(self) -> int:
        return len(self._placed)

    def add(self, breakpoint: Breakpoint | Mapping[str, Any]) -> PlacedBreakpoint:
        """Add a breakpoint, also given as a mapping with its fields. It works from the next step on.

        Raises ValidationError, and ResourceLimitExceeded for more than 1000.
        """
        wanted = validated(Breakpoint, breakpoint)
        if len(self._placed) >= MAX_BREAKPOINTS:
            raise ResourceLimitExceeded(
                f"a replay has at most {MAX_BREAKPOINTS} breakpoints: remove some",
                resource="breakpoints",
                limit=MAX_BREAKPOINTS,
                value=len(self._placed),
            )
        placed = PlacedBreakpoint(next(self._ids), wanted, self._discard)
        self._placed[placed.id] = placed
        return placed

    @checked
    def remove(self, breakpoint: PlacedBreakpoint | int) -> None:
        """Remove a breakpoint, given itself or its id. Raises ReplayError if there is none."""
        id = breakpoint.id if isinstance(breakpoint, PlacedBreakpoint) else breakpoint
        if self._placed.pop(id, None) is None:
            raise ReplayError(f"this replay has no breakpoint {id}: its breakpoints are {[each.id for each in self]}")

    def clear(self) -> None:
        """Remove all breakpoints."""
        self._placed.clear()

    def _discard(self, placed: PlacedBreakpoint) -> None:
        self._placed.pop(placed.id, None)

    # -- for the replay

    def forget(self) -> None:
        """Let conditions pause again where they hold, because the position has been moved."""
        for each in self:
            each.forget()

    def hit(self, passed: Passed, before: int | None) -> Hit | None:
        """Return the first breakpoint that pauses after a step. All that are hit count it."""
        if not self._placed:
            return None
        found: Hit | None = None
        for each in self:
            if not each.enabled:
                continue
            try:
                pauses, failure = each.pauses(passed, before), None
            except Exception as error:
                pauses, failure = True, error
            if pauses and (found is None or (failure is not None and found.error is None)):
                found = Hit(each, failure)
        return found
