"""Choose the events that still tell of the current conversation, for a bundle without the way there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from greenroom.storage.codec.records import pack_value
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.turns import (
    ADDED,
    DELTA,
    EDITED,
    FINISHED,
    RETRACTED,
    STARTED,
    has_field,
    moved_turn_event,
    sequences_of,
)

__all__ = ["CurrentTurns"]

_NOTHING: Final = pack_value(None)


@dataclass(slots=True)
class _Current:
    """Where a turn's present fields come from: the sequences of its newest edits, and whether it was ever finished."""

    content: int | None = None
    metadata: int | None = None
    finished: bool = False


class CurrentTurns:
    """The turns that a journal leaves, and what each of its events tells of them."""

    def __init__(self) -> None:
        self._turns: dict[int, _Current] = {}

    def follow(self, sequence: int, stored: StoredEvent) -> None:
        """Take in the next event about turns."""
        kind, data = stored.type, stored.data
        if kind in (ADDED, STARTED):
            self._turns[sequence] = _Current(finished=kind == ADDED)
        elif kind == RETRACTED:
            for turn in sequences_of(data):
                self._turns.pop(turn, None)
        else:
            current = self._turns.get(data["sequence"])
            if current is None:
                return
            if kind == FINISHED:
                current.finished = True
            elif kind == EDITED:
                for name in ("content", "metadata"):
                    if has_field(data, name):
                        setattr(current, name, sequence)

    def present(self, sequence: int, stored: StoredEvent, place: Callable[[int], int | None]) -> dict[str, Any] | None:
        """Return the data of an event with only what is present of it; `place` gives the new sequences of events.
        Return None for an event of which nothing is."""
        kind = stored.type
        current = self._turns.get(stored.data.get("sequence", sequence)) if kind != RETRACTED else None
        if current is None or (kind == DELTA and (current.finished or current.content is not None)):
            return None
        if kind == EDITED and sequence not in (current.content, current.metadata):
            return None
        data = dict(stored.data)
        for name, at in (("content", current.content), ("metadata", current.metadata)):
            if at is None or at == sequence:
                continue
            removed = [data.pop(each, None) for each in (name, f"{name}_hash")]
            if name == "content" and removed != [None, None]:
                data.pop("text", None)
                if kind != EDITED:
                    data["content"] = _NOTHING
        return moved_turn_event(data, place)
