"""Events in causal order: a cause before what it caused, also across sessions."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from greenroom.storage.events.model import Event

__all__ = ["MAX_TIMELINE", "TimelineRow", "causal_order"]

MAX_TIMELINE: Final = 10_000
"""The default limit of events in a timeline."""


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One event of a timeline. `depth` is the number of causes above it, `cause` the id of its cause; None if the
    timeline does not contain the cause."""

    event: Event
    depth: int
    cause: str | None

    def __repr__(self) -> str:
        return f"<TimelineRow {self.event.id} {self.event.type} at depth {self.depth}>"

    def to_dict(self) -> dict[str, Any]:
        """Return every field of the event, and `depth` and `cause`."""
        return {**self.event.to_dict(), "depth": self.depth, "cause": self.cause}


def causal_order(events: Iterable[Event], causes: Iterable[tuple[str, str]] = ()) -> list[TimelineRow]:
    """Return events in causal order: every cause before its effects, and the events of a session in the order of its
    journal. Otherwise events are ordered by time, session and sequence.

    `causes` are further pairs (effect, cause) of event ids, from links. Links made by users may contradict each other;
    then time decides.
    """
    known = {event.id: event for event in events}
    cause_of = {event.id: _cause(event, known) for event in known.values()}
    before: dict[str, set[str]] = {each: set() for each in known}
    for each, cause in cause_of.items():
        if cause is not None:
            before[each].add(cause)
    for effect, cause in causes:
        if effect in known and cause in known and effect != cause:
            before[effect].add(cause)
            cause_of[effect] = cause_of[effect] or cause
    ordered = sorted(known.values(), key=_place)
    previous: dict[str, str] = {}
    for event in sorted(known.values(), key=lambda event: (event.session_id, event.sequence)):
        if event.session_id in previous:
            before[event.id].add(previous[event.session_id])
        previous[event.session_id] = event.id
    after: dict[str, list[str]] = {each: [] for each in known}
    for each, needed in before.items():
        for cause in needed:
            after[cause].append(each)
    left = {each: len(needed) for each, needed in before.items()}
    ready = [(_place(event), event.id) for event in ordered if not left[event.id]]
    heapq.heapify(ready)
    waiting = iter(ordered)
    depths: dict[str, int] = {}
    rows: list[TimelineRow] = []
    while len(rows) < len(known):
        if not ready:  # a cycle: break it at its oldest event
            oldest = next(event for event in waiting if event.id not in depths)
            ready.append((_place(oldest), oldest.id))
        _, each = heapq.heappop(ready)
        if each in depths:
            continue
        cause = cause_of[each] if cause_of[each] in depths else None
        depths[each] = depths[cause] + 1 if cause is not None else 0
        rows.append(TimelineRow(known[each], depths[each], cause))
        for effect in after[each]:
            left[effect] -= 1
            if not left[effect] and effect not in depths:
                heapq.heappush(ready, (_place(known[effect]), effect))
    return rows


def _cause(event: Event, known: dict[str, Event]) -> str | None:
    """Return the nearest known cause of an event: its direct cause, else its root."""
    for cause in (event.causation_id, event.root_id):
        if cause is not None and cause != event.id and cause in known:
            return cause
    return None


def _place(event: Event) -> tuple[Any, str, int]:
    return event.timestamp, event.session_id, event.sequence
