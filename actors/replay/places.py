"""Where the recorded events stand in a replay that has fewer or more events than the recording."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any, Final

from greenroom.storage.errors import ReplayError
from greenroom.storage.events.index import APPROVAL_CLOSED, LINKED
from greenroom.storage.events.model import RESULT_CHANGED, StoredEvent
from greenroom.storage.events.turns import RETRACTED, TURN_EVENTS, runs_of, sequences_of

__all__ = ["Places", "Shift"]


class Shift:
    """Maps recorded numbers to those of the replay. It takes memory only where the two go apart."""

    def __init__(self) -> None:
        self._from: list[int] = [0]
        self._by: list[int] = [0]
        self._missing: set[int] = set()

    @property
    def moved(self) -> bool:
        """Whether any number differs, or is missing."""
        return len(self._from) > 1 or bool(self._missing)

    def set(self, recorded: int, replayed: int) -> None:
        """Note the number that a recorded one has in the replay. Recorded numbers come in order."""
        by = replayed - recorded
        if by != self._by[-1]:
            self._from.append(recorded)
            self._by.append(by)

    def miss(self, recorded: int) -> None:
        """Note that a recorded number does not exist in the replay."""
        self._missing.add(recorded)

    def get(self, recorded: int) -> int | None:
        """Return the number in the replay; None if there is none."""
        if recorded in self._missing:
            return None
        return recorded + self._by[bisect_right(self._from, recorded) - 1]

    def recorded(self, replayed: int) -> int | None:
        """Return the recorded number of a number in the replay; None if it was not recorded."""
        for since, by in zip(reversed(self._from), reversed(self._by), strict=True):
            found = replayed - by
            if found >= since:
                return found if found not in self._missing else None
        return None


_NUMBERS: Final = frozenset({"artifact.deleted", "artifact.shared", "artifact.revoked"})
_CALLS: Final = frozenset({"tool.returned", "agent.returned", RESULT_CHANGED})


class Places:
    """The places of events and artifacts of one replay."""

    def __init__(self, session_id: str) -> None:
        self.events = Shift()
        self.artifacts = Shift()
        self._own = f"{session_id}/"

    @property
    def moved(self) -> bool:
        return self.events.moved or self.artifacts.moved

    def in_replay(self, stored: StoredEvent) -> StoredEvent:
        """Return a recorded event with the events and artifacts that it names at their places in the replay. Raises
        ReplayError if one of them is not there."""
        if not self.moved:
            return stored
        type_, data = stored.type, stored.data
        if type_ in TURN_EVENTS:
            data = self._turns(type_, data)
        elif type_ in _NUMBERS:
            data = {**data, "sequence": _there(self.artifacts.get, data["sequence"], "artifact")}
        elif type_ in APPROVAL_CLOSED:
            data = {**data, "approval": _there(self.events.get, data["approval"], "question")}
        elif type_ in _CALLS:
            data = {**data, "call": _there(self.events.get, data["call"], "call")}
            if "artifact" in data:
                data["artifact"] = _there(self.artifacts.get, data["artifact"], "artifact")
        elif type_ == LINKED:
            data = {**data, "from": self._event(data["from"]), "to": self._event(data["to"])}
        context = stored.context
        if context is not None and any(context.get(name, "").startswith(self._own) for name in _IDS):
            context = {name: self._event(value) if name in _IDS else value for name, value in context.items()}
        return stored._replace(data=data, context=context)

    def _turns(self, type_: str, data: dict[str, Any]) -> dict[str, Any]:
        if type_ == RETRACTED:
            turns = [place for each in sequences_of(data) if (place := self.events.get(each)) is not None]
            if not turns:
                raise ReplayError("the messages that it takes back are not there in this replay")
            moved = {**data, "turns": runs_of(turns)}
            if "head" in data:
                moved["head"] = _there(self.events.get, data["head"], "event")
            return moved
        if "sequence" in data:
            return {**data, "sequence": _there(self.events.get, data["sequence"], "message")}
        return data

    def _event(self, named: str) -> str:
        """Return the id of an event as it is in the replay; of one that is not there, as it was."""
        if not named.startswith(self._own):
            return named
        place = self.events.get(int(named[len(self._own) :]))
        return f"{self._own}{place}" if place is not None else named


_IDS: Final = ("correlation_id", "causation_id", "root_id")


def _there(get: Callable[[int], int | None], number: int, what: str) -> int:
    place = get(number)
    if place is None:
        raise ReplayError(f"{what} {number}, which it is about, is not there in this replay")
    return place
