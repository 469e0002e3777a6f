"""`Step`: one recorded operation, replayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from greenroom.actors.session.state.model import SessionState
from greenroom.storage.errors import GreenroomError
from greenroom.storage.events.model import StoredEvent

from .boundary import Answer
from .operations import Operation

__all__ = ["Check", "Pair", "Refusal", "Step"]


class Pair(NamedTuple):
    """An event as it was recorded and as it was replayed, or None. `equal` means byte for byte."""

    sequence: int | None
    recorded: StoredEvent | None
    place: int | None
    """The sequence in the replay."""
    replayed: StoredEvent | None
    equal: bool


class Refusal(NamedTuple):
    """The error that refuses a recorded command in the replay, and the sequences of its recorded events."""

    sequences: tuple[int, ...]
    error: GreenroomError


class Check(NamedTuple):
    """A snapshot on the way. Digests are BLAKE3 of the encoded state."""

    sequence: int
    snapshot: bytes
    """The digest in the snapshot."""
    recorded: bytes
    """The digest of the state that the journal gives."""
    replayed: bytes
    """The digest of the replayed state."""
    intact: bool
    """Whether snapshot and journal agree."""


@dataclass(slots=True)
class Step:
    """One recorded operation, replayed: its events as they are in the journal, what the replay has made of them, and
    the state after it.

    The states belong to the replay, which changes them with its next step: a reader that keeps one takes a copy.
    """

    operation: Operation
    """The recorded events, with their sequences."""
    pairs: list[Pair]
    equal: bool
    """Whether the replay has made the same events, byte for byte."""
    state: SessionState
    """The replayed state."""
    recorded_state: SessionState
    """The state that the journal gives: the same object as long as nothing was different."""
    refusals: tuple[Refusal, ...] = ()
    answers: tuple[Answer, ...] = ()
    """Answers from outside that this operation has needed."""
    check: Check | None = None
    taken: int = 0
    """How many events were taken as they were recorded, because nothing decides them."""
    unproven: int = 0
    """How many of them a command decides, which could not be decided anew: damage or retention has taken what it needs
    to know."""

    @property
    def first(self) -> int:
        """The sequence of the first recorded event."""
        return self.operation[0][0]

    @property
    def last(self) -> int:
        """The sequence of the last recorded event."""
        return self.operation[-1][0]

    sequence = last
    """The same: where the replay stands after this step."""

    @property
    def events(self) -> Operation:
        """The recorded events, with their sequences."""
        return self.operation

    @property
    def error(self) -> GreenroomError | None:
        """Why the operation, or a part of it, could not be replayed; None if it was."""
        return self.refusals[0].error if self.refusals else None

    @property
    def time(self) -> int:
        """When it was recorded, in ns since the epoch."""
        return self.operation[0][1].time
