"""The steps of a recording, and the events that tell of them: so that one number means the same in every command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from greenroom.storage.errors import ReplayError
from greenroom.storage.events.calls import RECORDING_CROSSING

from .reading import JournalSource, runs_of, source_of

if TYPE_CHECKING:
    from greenroom.runtime.handles.session import Session

__all__ = ["Steps", "steps_of"]


class Steps:
    """The steps of the newest recording in a session: step 1 is the call that began first, as in `in_order`."""

    def __init__(self, session: Session, source: JournalSource, run: int) -> None:
        self._session = session
        found = []
        for sequence, stored in source.events(run - 1):
            data = stored.data
            if stored.type == RECORDING_CROSSING and data.get("run") == run:
                found.append((data["time"], data.get("process", 0), data["number"], sequence))
        if all(process == 0 for _, process, _, _ in found):
            found.sort(key=lambda each: each[2])
        else:
            found.sort()
        self.events = [each[3] for each in found]
        """The event of each step."""
        self._numbers = {sequence: step for step, sequence in enumerate(self.events, 1)}

    def __len__(self) -> int:
        return len(self.events)

    def of(self, event: int, crossing: object = None) -> int | None:
        """Return the step that an event tells of: its own, or that of the `crossing` in its data; None if of none."""
        return self._numbers.get(crossing if type(crossing) is int else event)

    def upto(self, event: int) -> int:
        """Return how many steps, from the first, stand up to an event without a gap."""
        return next((step for step, each in enumerate(self.events) if each > event), len(self.events))

    def model_calls(self) -> Iterator[tuple[int, int]]:
        """Yield the steps that are calls of a model, each with the event that says so."""
        for event in self._session.events():
            crossing = event.data.get("crossing") if event.type == "agent.called" else None
            if type(crossing) is int and (step := self._numbers.get(crossing)) is not None:
                yield step, event.sequence

    def call_upto(self, step: int) -> int:
        """Return the event of the newest call of a model up to a step. Raises ReplayError if there is none."""
        if not 1 <= step <= len(self):
            raise ReplayError(f"session {self._session.id} has the steps 1 to {len(self)}, not {step}")
        calls = dict(self.model_calls())
        found = max((each for each in calls if each <= step), default=None)
        if found is None:
            first = f"the first one is step {min(calls)}" if calls else "it has none"
            raise ReplayError(f"session {self._session.id} has no call of a model up to step {step}: {first}")
        return calls[found]


def steps_of(session: Session) -> Steps | None:
    """Return the steps of the newest recording in a session; None if it has no recording."""
    source = source_of(session)
    runs = runs_of(source)
    return Steps(session, source, runs[-1]) if runs else None
