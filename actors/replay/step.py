"""`Step`: one recorded operation, replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgpack

from greenroom.actors.session.state.model import SessionState, in_order
from greenroom.storage.errors import GreenroomError
from greenroom.storage.events.model import StoredEvent

from .boundary import Answer
from .operations import Operation

__all__ = ["Check", "Pair", "Refusal", "Step", "encoded", "paired"]


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

    @property
    def time(self) -> int:
        """When it was recorded, in ns since the epoch."""
        return self.operation[0][1].time


# Only built-in values are packed, so no Python code runs while the shared packer works.
_pack: Final[Callable[[Any], bytes]] = msgpack.Packer(unicode_errors="surrogatepass").pack


def paired(made: list[tuple[int, StoredEvent]], recorded: Operation) -> Iterator[Pair]:
    """Yield the events of the replay beside those of the recording: by their order, or, if one has more, by type."""
    if len(made) == len(recorded):
        for (place, now), (sequence, was) in zip(made, recorded, strict=True):
            yield Pair(sequence, was, place, now, sequence == place and _are_equal(now, was))
        return
    rest = list(recorded)
    for place, now in made:
        while any(was.type == now.type for _, was in rest) and rest[0][1].type != now.type:
            yield Pair(*rest.pop(0), None, None, False)
        if rest and rest[0][1].type == now.type:
            sequence, was = rest.pop(0)
            yield Pair(sequence, was, place, now, sequence == place and _are_equal(now, was))
        else:
            yield Pair(None, None, place, now, False)
    for sequence, was in rest:
        yield Pair(sequence, was, None, None, False)


def _are_equal(one: StoredEvent, other: StoredEvent) -> bool:
    """Return whether two events are the same bytes. Older versions wrote the fields of some in another order."""
    if encoded(one) == encoded(other):
        return True
    return one == other and _pack(in_order(list(one))) == _pack(in_order(list(other)))


def encoded(stored: StoredEvent) -> bytes:
    """Return the bytes of an event, as the journal has them."""
    return _pack(stored if stored.context is not None else stored[:6])
