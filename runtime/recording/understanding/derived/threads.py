"""Which conversation a call belongs to. One run may hold several: agents that work beside each other, questions that
are asked once, a conversation that is cut short, edited, or answered a second time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from greenroom.runtime.ingest.records import Turn
from greenroom.runtime.recording.understanding.model import ModelCall

from .marks import Said, said

__all__ = ["Place", "Thread", "Threads", "marked", "place_after", "shared"]

_MOST: Final = 256
"""The conversations that are remembered, by their last calls."""
_MOST_RESPONSES: Final = 4096
_NEAR: Final = 4


@dataclass(eq=False, slots=True)
class Thread:
    """A conversation: what the model was last given, and its reply."""

    number: int
    said: list[Said] = field(default_factory=list)
    calls: int = 0

    @property
    def marks(self) -> list[bytes]:
        return [each.mark for each in self.said if each.mark is not None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call stands."""

    thread: Thread
    given: list[Said]
    """All that the call was given."""
    new: int
    """The place in `given` of the first turn that is new: that the thread did not have, or no thread, for one that
    begins."""


class Threads:
    """The conversations of a session, as they grow."""

    def __init__(self) -> None:
        self._number = 0
        self._threads: OrderedDict[int, Thread] = OrderedDict()
        self._responses: OrderedDict[str, tuple[Thread, int]] = OrderedDict()

    def begin(self, turns: Iterable[Said], newest: int, number: int | None, response: str | None) -> Thread | None:
        """Begin with what a conversation has so far, as the thread of this number, and return it; None if it has
        nothing. `newest` is the number of the newest thread, `response` the newest one of this conversation."""
        self._number = newest
        said = list(turns)
        if not said:
            return None
        thread = self._made(said) if number is None else Thread(number, said)
        self._threads[thread.number] = thread
        if response is not None:
            self._responses[response] = (thread, len(said))
        return thread

    def place(self, call: ModelCall) -> Place:
        """Return where a call stands. Its thread then has what the call was given.

        A call goes on with a thread if it was given all of that; or, of a thread that was cut short or edited, the last
        turn and what is before it. Any other call begins a thread of its own."""
        given = self._marked(call.messages)
        thread, new = self._after_response(call.previous)
        if thread is not None:
            begin = [*thread.said[:new], *given]
            if new < len(thread.said):
                thread = self._made(begin)
            place = Place(thread, begin, new)
        else:
            found = self._going_on(given) or self._cut(given)
            if found is None:
                found = self._made([]), self._known(given)
            place = Place(found[0], given, found[1])
        place.thread.said = list(place.given)
        place.thread.calls += 1
        self._threads.move_to_end(place.thread.number)
        return place

    def answer(self, place: Place, call: ModelCall) -> list[Said]:
        """Add the reply to a call to its thread, and return it."""
        reply = [said(turn) for turn in call.reply]
        thread = place.thread
        thread.said += reply
        if call.response_id is not None:
            self._responses[call.response_id] = (thread, len(thread.said))
            if len(self._responses) > _MOST_RESPONSES:
                self._responses.popitem(last=False)
        return reply

    def _marked(self, turns: Sequence[Turn]) -> list[Said]:
        """Return turns with their marks. Most were in one of the last calls at the same place, and are marked."""
        near = [thread.said for thread in islice(reversed(self._threads.values()), _NEAR)]
        given: list[Said] = []
        for at, turn in enumerate(turns):
            known = next((each[at] for each in near if at < len(each) and each[at].turn == turn), None)
            given.append(known if known is not None else said(turn))
        return given

    def _made(self, begin: list[Said]) -> Thread:
        self._number += 1
        thread = self._threads[self._number] = Thread(self._number, begin)
        if len(self._threads) > _MOST:
            oldest = next(iter(self._threads.values()))
            del self._threads[oldest.number if oldest is not thread else self._number]
        return thread

    def _after_response(self, previous: str | None) -> tuple[Thread | None, int]:
        if previous is None or previous not in self._responses:
            return None, 0
        return self._responses[previous]

    def _going_on(self, given: list[Said]) -> tuple[Thread, int] | None:
        """Return the longest thread that a call was given whole, and the first turn after it."""
        marks = marked(given)
        best: Thread | None = None
        length = 0
        for thread in reversed(self._threads.values()):
            own = thread.marks
            if len(own) > length and own == marks[: len(own)]:
                best, length = thread, len(own)
        return (best, place_after(given, length)) if best is not None else None

    def _cut(self, given: list[Said]) -> tuple[Thread, int] | None:
        """Return the thread whose end a call was given, after something else than its beginning."""
        marks = marked(given)
        telling = [each.telling for each in given if each.mark is not None]
        for thread in reversed(self._threads.values()):
            own = thread.marks
            if not own or own[-1] not in marks:
                continue
            at = len(marks) - 1 - marks[::-1].index(own[-1])
            same = 1
            while same <= at and same < len(own) and marks[at - same] == own[-1 - same]:
                same += 1
            if telling[at] or same > 1 or same == at + 1:
                return thread, place_after(given, at + 1)
        return None

    def _known(self, given: list[Said]) -> int:
        """Return the place of the first turn that no thread has at this place."""
        marks = marked(given)
        return place_after(given, max((shared(each.marks, marks) for each in self._threads.values()), default=0))


def marked(turns: Iterable[Said]) -> list[bytes]:
    """Return the marks of turns, without those that have none."""
    return [each.mark for each in turns if each.mark is not None]


def shared(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    """Return how many marks two conversations have in common at their beginnings."""
    most = min(len(one), len(other))
    if one[:most] == other[:most]:
        return most
    return next(number for number in range(most) if one[number] != other[number])


def place_after(turns: Sequence[Said], marks: int) -> int:
    """Return the place behind the first so many turns with marks."""
    seen = 0
    for at, each in enumerate(turns):
        if seen == marks:
            return at
        seen += each.mark is not None
    return len(turns)
