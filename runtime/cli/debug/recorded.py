"""What the debugger looks at: the events of a session and its states, read in small pieces."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from greenroom.runtime.cli.output import one_line
from greenroom.runtime.cli.past.words import detail, failure
from greenroom.storage.codec.json_lines import json_able
from greenroom.storage.events.pattern import EventPattern

if TYPE_CHECKING:
    from greenroom.runtime import Event, PastState, StateChange

__all__ = ["PAGE", "Pages", "Recorded", "Row", "matcher_of"]

PAGE: Final = 64
"""Events that are read at once."""
_KEPT: Final = 16
"""Pages that are held."""
_LONGEST: Final = 300
"""Characters of a row."""


class Recorded(Protocol):
    """A recorded session, live or from a file. Everything is read when it is asked for."""

    title: str
    """What it is called."""

    @property
    def first(self) -> int:
        """The first sequence that there is."""

    @property
    def last(self) -> int:
        """The newest sequence that there is."""

    def events(self, after: int, limit: int) -> Iterable[Event]:
        """Yield at most so many events with a greater sequence, in order, each read when it is reached. Raises
        GreenroomError."""

    def state(self, sequence: int) -> dict[str, Callable[[], Any]]:
        """Return the parts of the state after an event by name, each read when it is called. Raises GreenroomError."""

    def conversation(self, sequence: int) -> list[dict[str, Any]]:
        """Return the messages after an event; for the call of an agent, what the model was given."""

    def moment(self, sequence: int) -> PastState:
        """Return the session as it was after an event, for conditions of breakpoints. Raises GreenroomError."""

    def changes(self, sequence: int) -> list[StateChange]:
        """Return what an event has changed."""

    def refresh(self) -> None:
        """Look for newer events."""

    def fork(self, sequence: int) -> str:
        """Fork the session after an event and return the id of the fork. Raises GreenroomError."""


class Row(NamedTuple):
    """What the list shows of an event, or, if there is none at a sequence, why."""

    type: str
    told: str
    failed: bool = False
    time: datetime | None = None
    """None if there is no event."""


_REMOVED: Final = Row("", "removed")


class Pages:
    """The rows of a recording by sequence, read in pages of which only the last used are held, without the events."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        self._held: OrderedDict[int, dict[int, Row]] = OrderedDict()

    @property
    def held(self) -> int:
        """How many rows are held: at most 1,024, however many there are."""
        return sum(map(len, self._held.values()))

    def row(self, sequence: int) -> Row:
        """Return the row of a sequence."""
        number = sequence // PAGE
        page = self._held.get(number)
        if page is None or (sequence not in page and sequence <= self._recorded.last):
            page = self._held[number] = self._read(number * PAGE)
            while len(self._held) > _KEPT:
                self._held.popitem(last=False)
        self._held.move_to_end(number)
        return page.get(sequence, _REMOVED)

    def event(self, sequence: int) -> Event | str:
        """Return the event with a sequence, or a text that says why it is not there."""
        from greenroom.runtime import GreenroomError

        try:
            found = next(iter(self._recorded.events(sequence - 1, 1)), None)
        except GreenroomError as error:
            return f"damaged: {error}"
        return found if found is not None and found.sequence == sequence else _REMOVED.told

    def _read(self, begin: int) -> dict[int, Row]:
        low, high = max(begin, 1), min(begin + PAGE, self._recorded.last + 1)
        page = dict.fromkeys(range(low, high), _REMOVED)
        for sequence, found in self._each(low, high):
            page[sequence] = Row("", found) if isinstance(found, str) else _row_of(found)
        return page

    def _each(self, low: int, high: int) -> Iterator[tuple[int, Event | str]]:
        """Yield the events from a sequence up to before another; in place of damaged ones, what is wrong."""
        from greenroom.runtime import GreenroomError

        done = low - 1
        try:
            for event in self._recorded.events(low - 1, high - low):
                if event.sequence >= high:
                    return
                done = event.sequence
                yield done, event
        except GreenroomError:  # one by one, so that damage costs only what it hit
            for sequence in range(done + 1, high):
                found = self.event(sequence)
                if found != _REMOVED.told:
                    yield sequence, found

    def search(
        self, matches: Callable[[Event], bool], begin: int, step: int, stopped: Callable[[], bool]
    ) -> Iterator[int | None]:
        """Yield None for each page that was searched without a find, then the first sequence from `begin` on, in the
        direction of `step`, whose event matches. Nothing more is yielded at the end, or when it is `stopped`."""
        sequence = begin
        while self._recorded.first <= sequence <= self._recorded.last and not stopped():
            page = sequence // PAGE * PAGE
            low, high = (sequence, page + PAGE) if step > 0 else (max(page, 1), sequence + 1)
            hits = (
                at
                for at, found in self._each(low, min(high, self._recorded.last + 1))
                if not isinstance(found, str) and matches(found)
            )
            found = next(hits, None) if step > 0 else max(hits, default=None)
            if found is not None:
                yield found
                return
            yield None
            sequence = high if step > 0 else page - 1


def _row_of(event: Event) -> Row:
    failed = failure(event)
    told = one_line((failed or detail(event))[:_LONGEST])
    return Row(one_line(event.type), told, failed is not None, event.timestamp)


def matcher_of(text: str) -> Callable[[Event], bool]:
    """Return what says whether an event fits a search: every `type:PATTERN` in it, and the rest as text anywhere in the
    event's type or data, without regard to case. Raises ValidationError for a bad pattern."""
    words = text.split()
    types = [EventPattern(word.removeprefix("type:")).matches for word in words if word.startswith("type:")]
    wanted = " ".join(word for word in words if not word.startswith("type:")).casefold()

    def matches(event: Event) -> bool:
        if not all(each(event.type) for each in types):
            return False
        if not wanted or wanted in event.type.casefold():
            return True
        return wanted in json.dumps(json_able(event.data), ensure_ascii=False).casefold()

    return matches
