"""What the debugger looks at: the events of a session and its states, read in small pieces."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from greenroom.storage.codec.json_lines import json_able
from greenroom.storage.events.pattern import EventPattern

if TYPE_CHECKING:
    from greenroom.runtime import Event, PastState, StateChange

__all__ = ["PAGE", "Pages", "Recorded", "matcher_of"]

PAGE: Final = 64
"""Events that are read at once."""
_KEPT: Final = 16
"""Pages that are held."""


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

    def events(self, after: int, limit: int) -> list[Event]:
        """Return at most so many events with a greater sequence, in order. Raises GreenroomError."""

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


class Pages:
    """The events of a recording by sequence, read in pages of which only the last used are held."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        self._held: OrderedDict[int, dict[int, Event | str]] = OrderedDict()

    @property
    def held(self) -> int:
        """How many rows are held: at most 1,024, however many there are."""
        return sum(map(len, self._held.values()))

    def row(self, sequence: int) -> Event | str:
        """Return the event with a sequence, or a text that says why it is not there."""
        number = sequence // PAGE
        page = self._held.get(number)
        if page is None or (sequence not in page and sequence <= self._recorded.last):
            page = self._held[number] = self._read(number * PAGE)
            while len(self._held) > _KEPT:
                self._held.popitem(last=False)
        self._held.move_to_end(number)
        return page.get(sequence, "removed")

    def _read(self, begin: int) -> dict[int, Event | str]:
        from greenroom.runtime import GreenroomError

        low, high = max(begin, 1), min(begin + PAGE, self._recorded.last + 1)
        page: dict[int, Event | str] = dict.fromkeys(range(low, high), "removed")
        try:
            page |= {event.sequence: event for event in self._recorded.events(low - 1, PAGE) if event.sequence < high}
        except GreenroomError:  # one by one, so that damage costs only what it hit
            for sequence in page:
                try:
                    found = self._recorded.events(sequence - 1, 1)
                    if found and found[0].sequence == sequence:
                        page[sequence] = found[0]
                except GreenroomError as error:
                    page[sequence] = f"damaged: {error}"
        return page

    def search(
        self, matches: Callable[[Event], bool], begin: int, step: int, stopped: Callable[[], bool]
    ) -> Iterator[int | None]:
        """Yield None for each page that was searched without a find, then the first sequence from `begin` on, in the
        direction of `step`, whose event matches. Nothing more is yielded at the end, or when it is `stopped`."""
        sequence = begin
        while self._recorded.first <= sequence <= self._recorded.last and not stopped():
            page = self._read(sequence // PAGE * PAGE)
            for at in sorted(page, reverse=step < 0):
                row = page[at]
                if (at - sequence) * step >= 0 and not isinstance(row, str) and matches(row):
                    yield at
                    return
            sequence = (sequence // PAGE + 1) * PAGE if step > 0 else sequence // PAGE * PAGE - 1
            yield None


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
